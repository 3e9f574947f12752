"""The store: one SQLite file in WAL mode of what happened, what was sent, what was lost and why (decision 7).

    record.py     Entry (to be kept), Record (kept: class, epoch, seq), Gap (lost), and how nouns become entries
    schema.py     the tables; opening, and setting a damaged file aside
    blocks.py     ticks and snapshots of one asset packed together
    write.py      Store: the one writer; commits batches
    retain.py     the only thing that deletes
    read.py       Reader: short reads, also from another process
    clocks.py     which wall time a boot time was
    intervals.py  ranges of sequence numbers

sqlite3 is used here and nowhere else. All of it is synchronous; `agent.runtime.journal` is its asynchronous face.
"""
