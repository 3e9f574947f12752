"""The store: one SQLite file in WAL mode of what happened, what was sent, what was lost and why (decision 7).

    record.py     Entry (to be kept), Record (kept: class, epoch, seq), Gap (lost), and how nouns become entries
    schema.py     the tables; opening, and setting a damaged file aside
    blocks.py     ticks and snapshots of one asset packed together, columnar.py as columns over time
    write.py      Store: the one writer; commits batches. space.py: how much of the disk it may take
    retain.py     the only thing that deletes
    rows.py       a read-only connection; read.py: Reader, the questions; short reads, also from another process
    between.py    records of an asset between two wall times
    history.py    what one point was, and events, page by page; table.py: many points, cycle by cycle
    holes.py      what is missing, in words; verify.py: whether every record is what was written; rates.py: how it fills
    clocks.py     which wall time a boot time was
    intervals.py  ranges of sequence numbers

sqlite3 is used here and nowhere else. All of it is synchronous; `agent.runtime.journal` is its asynchronous face.
"""
