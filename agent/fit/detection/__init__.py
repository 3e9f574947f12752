"""How a detector is made."""
