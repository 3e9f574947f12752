"""Remaining life learned from units that ran to failure: everything is chosen by cross-validation grouped by unit."""
