"""Identified twins: a linear start, simulation-error refinement, bounded units, and the choice between them."""
