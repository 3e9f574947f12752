"""Detectors: how far a machine is from what it was when it was well, and which tag says so."""
