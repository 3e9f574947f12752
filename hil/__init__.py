"""The virtual plant bench: a two-tank rig, its PLCs, faults, recordings, receiving ends. Imports nothing of `agent`."""
