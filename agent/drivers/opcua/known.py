"""The newest that is known of each tag, what the subscription told last, and what it kept silent about. No I/O."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agent.core import quality
from agent.core.nouns import F8
from agent.drivers.opcua.items import Rows
from agent.drivers.opcua.values import Beside, Raw

Mask = npt.NDArray[np.bool_]
# Info bits (overflow, limits) come with a notification and not with a read: they are no difference between the two.
CODE = np.uint32(0xFFFF_0000)


class Columns:
    """One value of each of n tags: value f8[n], status u4[n], source_ns, server_ns i8[n], texts and arrays by row."""

    def __init__(self, n: int) -> None:
        """Nothing is known yet."""
        self.value = np.full(n, np.nan)
        self.status = np.full(n, quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self.source_ns = np.zeros(n, np.int64)
        self.server_ns = np.zeros(n, np.int64)
        self._has = np.zeros(n, np.bool_)
        self._beside: dict[int, Beside] = {}

    def differs(self, rows: Rows, raw: Raw, within: F8) -> Mask:
        """Where value (by more than `within` f8[k]), what is beside it, or the code of the status of k rows is another.

        Stamps and info bits do not count.
        """
        mine = self.value[rows]
        with np.errstate(invalid="ignore"):
            same = (raw.value == mine) | (np.abs(raw.value - mine) <= within) | (np.isnan(raw.value) & np.isnan(mine))
        other = ~same | ((raw.status ^ self.status[rows]) & CODE != 0)
        if raw.beside or self._has[rows].any():
            theirs = dict(raw.beside)
            for i in np.union1d(np.flatnonzero(self._has[rows]), np.array(list(theirs), np.intp)):
                other[i] |= not _equal(theirs.get(int(i)), self._beside.get(int(rows[i])))
        return np.asarray(other, np.bool_)

    def take(self, rows: Rows, raw: Raw) -> None:
        """Take in k rows; of one that comes twice the last counts."""
        self.value[rows], self.status[rows] = raw.value, raw.status
        self.source_ns[rows], self.server_ns[rows] = raw.source_ns, raw.server_ns
        for row in rows[self._has[rows]]:
            self._beside.pop(int(row), None)
        self._has[rows] = False
        last = {int(row): i for i, row in enumerate(rows)} if raw.beside else {}
        for i, content in raw.beside:
            row = int(rows[i])
            if last[row] == i:
                self._has[row], self._beside[row] = True, content

    def of(self, rows: Rows) -> Raw:
        """What is known of some rows."""
        beside = tuple((int(i), self._beside[int(rows[i])]) for i in np.flatnonzero(self._has[rows]))
        return Raw(self.value[rows], self.status[rows], self.source_ns[rows], self.server_ns[rows], beside)


def _equal(one: Beside | None, other: Beside | None) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other, equal_nan=True))
    return type(one) is type(other) and bool(one == other)


class Known:
    """What is known of n tags. `deadband` f8[n] in the raw unit: a change up to it is none."""

    def __init__(self, deadband: F8, unheard: F8 | None = None) -> None:
        """Nothing is known yet. `unheard` f8[n]: differences up to this a subscription need not tell (the deadband)."""
        n = len(deadband)
        self.newest = Columns(n)
        self.told = Columns(n)
        self._deadband = deadband
        self._unheard = deadband if unheard is None else unheard
        self.told_ns = np.zeros(n, np.int64)
        self._unsaid = np.zeros(n, np.int32)
        self._since_ns = np.zeros(n, np.int64)

    def notified(self, rows: Rows, raw: Raw, now_ns: int) -> tuple[Rows, Raw]:
        """Take in k notified samples: those to pass on, in order, so that the last of each tag is the newest known.

        Left out is what is known already, stamp and all (a new subscription repeats it), or is within the deadband of
        it. Where a read has gone ahead of the notifications, what it read follows once more after them.
        """
        self.told.take(rows, raw)
        self.told_ns[rows], self._unsaid[rows] = now_ns, 0
        deadband = self._deadband[rows]
        stamped = (deadband == 0) & (raw.source_ns != self.newest.source_ns[rows])
        new = self.newest.differs(rows, raw, deadband) | stamped
        _thin(rows, raw, deadband, new)
        if not new.all():
            rows, raw = rows[new], picked(raw, new)
        last = np.zeros(len(self.told_ns), np.int64)
        np.maximum.at(last, rows, raw.source_ns)
        ahead: Rows = np.flatnonzero((last > 0) & (self.newest.source_ns > last))
        if len(ahead):
            rows, raw = np.concatenate([rows, ahead]), joined(raw, self.newest.of(ahead))
        self.newest.take(rows, raw)
        return rows, raw

    def read(self, rows: Rows, raw: Raw, subscribed: Mask, asked_ns: int) -> tuple[Rows, Raw]:
        """Take in a read of k rows asked at `asked_ns`: those to pass on.

        A row that was notified since then is left out: the read may be the older one. Where the read says another thing
        than the subscription told last, that stays unsaid until the subscription speaks of the row or the read agrees.
        A value within the deadband of the newest confirms that one.
        """
        current = self.told_ns[rows] < asked_ns
        odd = self.told.differs(rows, raw, self._unheard[rows]) & subscribed[rows]
        begins = odd & (self._unsaid[rows] == 0)
        self._since_ns[rows[begins]] = asked_ns
        self._unsaid[rows] = np.where(odd & current, self._unsaid[rows] + 1, 0)
        rows, raw = rows[current], picked(raw, current)
        small = (self._deadband[rows] > 0) & ~self.newest.differs(rows, raw, self._deadband[rows])
        raw.value[small] = self.newest.value[rows[small]]
        self.newest.take(rows, raw)
        return rows, raw

    def unsaid(self, now_ns: int, patience_ns: int) -> Rows:
        """Tags of which two reads or more knew something that their subscription has not told for longer than this."""
        return np.flatnonzero((self._unsaid >= 2) & (now_ns - self._since_ns > patience_ns))

    def silent(self, now_ns: int, patience_ns: int) -> bool:
        """Whether there are any such tags."""
        return len(self.unsaid(now_ns, patience_ns)) > 0

    def subscribed_anew(self) -> None:
        """A new subscription begins: nothing is held against it."""
        self._unsaid[:] = 0


def _thin(rows: Rows, raw: Raw, deadband: F8, new: Mask) -> None:
    """Of several samples of a tag in one message, those within the deadband of the one before are not `new` either."""
    last: dict[int, int] = {}
    for i in np.flatnonzero(new & (deadband > 0)):
        before = last.get(int(rows[i]))
        small = before is not None and abs(raw.value[i] - raw.value[before]) <= deadband[i]
        if small and raw.status[i] == raw.status[before]:
            new[i] = False
        else:
            last[int(rows[i])] = int(i)


def picked(raw: Raw, mask: Mask) -> Raw:
    """The rows of some columns where the mask (bool[k]) holds, what is beside them renumbered."""
    beside = raw.beside
    if beside:
        new = np.cumsum(mask) - 1
        beside = tuple((int(new[old]), content) for old, content in beside if mask[old])
    return Raw(raw.value[mask], raw.status[mask], raw.source_ns[mask], raw.server_ns[mask], beside)


def joined(first: Raw, second: Raw) -> Raw:
    """The rows of both, one after the other."""
    k = len(first.value)
    return Raw(
        np.concatenate([first.value, second.value]),
        np.concatenate([first.status, second.status]),
        np.concatenate([first.source_ns, second.source_ns]),
        np.concatenate([first.server_ns, second.server_ns]),
        first.beside + tuple((k + row, content) for row, content in second.beside),
    )
