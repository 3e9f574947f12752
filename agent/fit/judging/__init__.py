"""What the daemon will judge by, learned from rows that a model has not seen."""
