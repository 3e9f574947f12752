"""What a gateway under `managed: fleet` runs: a signed version from outside, staged, tried, confirmed or taken back.

manifest.py    what a version is, and who answers for it          state.py     where this gateway stands: a fold
shelf.py       versions on the disk, each whole or not there      health.py    whether it does as well as before
starting.py    what to run at a start                             fleet.py     the task: stage, validate, apply, confirm

Everything lies in the folder `fleet` of the state directory. One file says what runs (`state.json`, replaced whole by
a rename): killed at any moment, the next start finds the old version or the new one, never a mixture.
"""

# What may be asked of it (`fleet.py`).
ORDERS = ("apply", "override", "end_override")
