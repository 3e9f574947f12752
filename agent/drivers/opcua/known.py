"""The newest that is known of each tag, what the subscription told last, and what it kept silent about. No I/O."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agent.core import quality
from agent.drivers.opcua.values import Raw

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


class Columns:
    """One value of each of n tags: value f8[n], status u4[n], source_ns i8[n], texts by row."""

    def __init__(self, n: int) -> None:
        """Nothing is known yet."""
        self.value = np.full(n, np.nan)
        self.status = np.full(n, quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self.source_ns = np.zeros(n, np.int64)
        self.texts: dict[int, str] = {}

    def differs(self, rows: Rows, raw: Raw) -> Mask:
        """Where value, text or status of k rows is another: bool[k]. The source's stamp does not count."""
        texts, mine = dict(raw.texts), self.value[rows]
        same = (raw.value == mine) | (np.isnan(raw.value) & np.isnan(mine))
        words = np.array([texts.get(i) != self.texts.get(int(row)) for i, row in enumerate(rows)], np.bool_)
        return np.asarray(~same | (raw.status != self.status[rows]) | words, np.bool_)

    def take(self, rows: Rows, raw: Raw) -> None:
        """Take in k rows; of one that comes twice the last counts."""
        self.value[rows], self.status[rows], self.source_ns[rows] = raw.value, raw.status, raw.source_ns
        texts = dict(raw.texts)
        for i, row in enumerate(rows):
            if i in texts:
                self.texts[int(row)] = texts[i]
            else:
                self.texts.pop(int(row), None)

    def of(self, rows: Rows) -> Raw:
        """What is known of some rows."""
        texts = tuple((i, self.texts[int(row)]) for i, row in enumerate(rows) if int(row) in self.texts)
        return Raw(self.value[rows], self.status[rows], self.source_ns[rows], texts)


class Known:
    """What is known of n tags."""

    def __init__(self, n: int) -> None:
        """Nothing is known yet."""
        self.newest = Columns(n)
        self.told = Columns(n)
        self._told_ns = np.zeros(n, np.int64)
        self._unsaid = np.zeros(n, np.int32)
        self._since_ns = np.zeros(n, np.int64)

    def notified(self, rows: Rows, raw: Raw, now_ns: int) -> tuple[Rows, Raw]:
        """Take in k notified samples: those to pass on, in order, so that the last of each tag is the newest known.

        Left out is what is known already, stamp and all (a new subscription repeats it). Where a read has gone ahead of
        the notifications, what it read follows once more after them.
        """
        self.told.take(rows, raw)
        self._told_ns[rows], self._unsaid[rows] = now_ns, 0
        new = self.newest.differs(rows, raw) | (raw.source_ns != self.newest.source_ns[rows])
        rows, raw = rows[new], picked(raw, new)
        last = np.zeros(len(self.told.value), np.int64)
        np.maximum.at(last, rows, raw.source_ns)
        ahead: Rows = np.flatnonzero((last > 0) & (self.newest.source_ns > last))
        rows, raw = np.concatenate([rows, ahead]), joined(raw, self.newest.of(ahead))
        self.newest.take(rows, raw)
        return rows, raw

    def read(self, rows: Rows, raw: Raw, subscribed: Mask, asked_ns: int) -> tuple[Rows, Raw]:
        """Take in a read of k rows asked at `asked_ns`: those to pass on.

        A row that was notified since then is left out: the read may be the older one. Where the read says another thing
        than the subscription told last, that stays unsaid until the subscription speaks of the row or the read agrees.
        """
        current = self._told_ns[rows] < asked_ns
        odd = self.told.differs(rows, raw) & subscribed[rows]
        begins = odd & (self._unsaid[rows] == 0)
        self._since_ns[rows[begins]] = asked_ns
        self._unsaid[rows] = np.where(odd & current, self._unsaid[rows] + 1, 0)
        rows, raw = rows[current], picked(raw, current)
        self.newest.take(rows, raw)
        return rows, raw

    def silent(self, now_ns: int, patience_ns: int) -> bool:
        """Whether two reads or more knew something that the subscription has not told for longer than `patience_ns`."""
        return bool(((self._unsaid >= 2) & (now_ns - self._since_ns > patience_ns)).any())

    def subscribed_anew(self) -> None:
        """A new subscription begins: nothing is held against it."""
        self._unsaid[:] = 0


def picked(raw: Raw, mask: Mask) -> Raw:
    """The rows of some columns where the mask (bool[k]) holds, texts renumbered."""
    kept = np.flatnonzero(mask)
    texts = dict(raw.texts)
    words = tuple((i, texts[int(old)]) for i, old in enumerate(kept) if int(old) in texts)
    return Raw(raw.value[kept], raw.status[kept], raw.source_ns[kept], words)


def joined(first: Raw, second: Raw) -> Raw:
    """The rows of both, one after the other."""
    k = len(first.value)
    return Raw(
        np.concatenate([first.value, second.value]),
        np.concatenate([first.status, second.status]),
        np.concatenate([first.source_ns, second.source_ns]),
        first.texts + tuple((k + row, text) for row, text in second.texts),
    )
