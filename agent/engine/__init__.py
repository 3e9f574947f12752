"""The engine: one pure function over ticks. Read `step.py` first."""
