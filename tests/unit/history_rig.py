"""Journals with some history in them, written as the daemon writes them."""

import numpy as np

from agent.core.nouns import Kind, Mode, Point, Role, Snapshot
from agent.store import blocks, record
from agent.store.record import ClockRow
from agent.store.write import Store, Work

SECOND = 1_000_000_000
WALL = 1_700_000_000 * SECOND
NAMES = ("a", "b", "text", "row")
KINDS = (Kind.NUMBER, Kind.ENUMERATION, Kind.TEXT, Kind.ARRAY)


def points(names=NAMES):
    kinds = dict(zip(NAMES, KINDS, strict=True))
    return tuple(Point(f"m/x/{name}", Role.MEASURED, kind=kinds[name]) for name in names)


def snapshot(n, names=NAMES, *, t_ns, sample_ns=None, size=1):
    """The n-th: `a` is n, `b` stands still in between; `size` makes the message large."""
    k = len(names) * size
    value = np.tile(np.array([{"a": float(n), "b": float(n // 4)}.get(name, np.nan) for name in names]), size)
    time_ns = np.tile(np.array([t_ns - 7 if name != "b" else (sample_ns or t_ns) for name in names]), size)
    rows = {name: row for row, name in enumerate(names)}
    texts = {rows["text"]: f"t{n}"} if "text" in rows else {}
    arrays = {rows["row"]: np.array([n, n + 1.0])} if "row" in rows else {}
    return Snapshot("m", 1, (1 << 32) + n, t_ns, value, np.full(k, n % 3, np.uint32), time_ns, time_ns + 5, texts,
                    Mode.RUNNING, {}, (), None, (), (), (), arrays=arrays)  # fmt: skip


def keep(path, snapshots, *, boot="boot-1", offset=WALL, quality="synchronised", names=NAMES, per_block=10, events=()):
    """Blocks of snapshots as the daemon writes them, their layout before them."""
    store, _ = Store.open(path, 50_000_000, boot, "g")
    rows = [ClockRow(0, offset, quality)] if quality else []
    store.commit(Work(entries=[record.layout("m", 0, points(names))], clock=rows))
    for at in range(0, len(snapshots), per_block):
        some = snapshots[at : at + per_block]
        store.commit(Work(entries=[blocks.pack([record.snapshot(s) for s in some])]))
    store.commit(Work(entries=[record.event(e) for e in events]))
    store.close()


def seconds(count, first=1, **over):
    return [snapshot(n, t_ns=n * SECOND, **over) for n in range(first, first + count)]
