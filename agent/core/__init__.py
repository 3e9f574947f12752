"""Nouns, quality and pure folds. No await, no I/O."""
