"""The one narrow way back from outside to an asset or a machine."""
