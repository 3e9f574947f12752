"""What was published and is not confirmed yet by the receiving end (`acknowledge: end_to_end`).

A broker's acknowledgement is no durability. A record counts as sent once `<prefix>/stored` names it:

    {"epoch": 1, "class": "event", "ranges": [[1, 5], [7, 9]]}

What is not confirmed in time is sent again. While nobody confirms anything, that is done once with all and then with
the oldest alone, ever more seldom: a receiving end that is away for days costs a metered line next to nothing. As soon
as it confirms anything, all that is overdue follows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import chain, takewhile
from typing import Any

from agent.runtime.journal import Cursor, Record

Key = tuple[str, int, int]  # class, epoch, sequence

# Published and not confirmed: beyond, nothing is published but what is sent again; of what is stored, half as much.
MOST = 10_000

DOUBLINGS = 4  # of the time to confirm: how seldom things get


@dataclass(frozen=True, slots=True)
class Sent:
    """A record without its body, who gave it, when it was published last, and how often it was."""

    record: Record
    cursor: Cursor
    at_ns: int
    times: int = 1


class Unconfirmed:
    """Outlives connections: what a broker has taken is not sent again only because the line broke."""

    def __init__(self, timeout_s: float) -> None:
        """Nothing is published yet."""
        self._timeout_ns = int(timeout_s * 1e9)
        self._sent: dict[Key, Sent] = {}
        self._silent = 0  # times something was sent again since anything was confirmed
        self._asked_ns = 0

    def __len__(self) -> int:
        return len(self._sent)

    def full(self, most: int = MOST) -> bool:
        """Whether nothing more may be published."""
        return len(self._sent) >= most

    def knows(self, record: Record, cursor: Cursor) -> bool:
        """Whether it waits already; then for the acknowledgement to that cursor."""
        sent = self._sent.get(_key(record))
        if sent is not None:
            self._sent[_key(record)] = replace(sent, cursor=cursor)
        return sent is not None

    def publishing(self, record: Record, cursor: Cursor, now_ns: int) -> None:
        """A record goes out: the confirmation may be faster than the broker."""
        self._sent[_key(record)] = Sent(replace(record, body=b""), cursor, now_ns)

    def failed(self, record: Record) -> None:
        """The broker may not have it: the next connection publishes it."""
        self._sent.pop(_key(record), None)

    def confirmed(self, payload: bytes) -> list[Sent]:
        """What a message on `stored` says the receiving end has. ValueError: what it should look like."""
        class_, epoch, ranges = _parsed(payload)
        few = sum(last - first + 1 for first, last in ranges) <= len(self._sent)
        seqs = (n for first, last in ranges for n in range(first, last + 1)) if few else (key[2] for key in self._sent)
        keys = [(class_, epoch, n) for n in seqs if few or any(first <= n <= last for first, last in ranges)]
        found = [self._sent.pop(key) for key in dict.fromkeys(keys) if key in self._sent]
        self._silent = 0 if found else self._silent
        return found

    def overdue(self, now_ns: int) -> list[Record]:
        """What to send again now; from now on it counts as sent again."""
        if self._silent and now_ns - self._asked_ns < self._patience_ns(self._silent):
            return []
        old = takewhile(lambda item: now_ns - item[1].at_ns > self._timeout_ns, self._sent.items())  # they are in order
        late = [key for key, sent in old if now_ns - sent.at_ns > self._patience_ns(sent.times)]
        chosen = late[:1] if self._silent else late
        if chosen:
            self._silent, self._asked_ns = self._silent + 1, now_ns
        return [self._again(key, now_ns) for key in chosen]

    def gone(self, record: Record) -> Sent | None:
        """A record that is in the journal no more: nobody waits for it."""
        return self._sent.pop(_key(record), None)

    def _again(self, key: Key, now_ns: int) -> Record:
        sent = self._sent.pop(key)  # to the end: the oldest comes first
        self._sent[key] = replace(sent, at_ns=now_ns, times=sent.times + 1)
        return sent.record

    def _patience_ns(self, times: int) -> int:
        return self._timeout_ns << min(times - 1, DOUBLINGS)


def _key(record: Record) -> Key:
    return record.class_, record.epoch, record.seq


def _parsed(payload: bytes) -> tuple[str, int, list[tuple[int, int]]]:
    try:
        said: Any = json.loads(payload)
        class_, epoch, ranges = said["class"], said["epoch"], [(first, last) for first, last in said["ranges"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError('expected {"epoch": 1, "class": "event", "ranges": [[1, 5], [7, 9]]}') from None
    if not isinstance(class_, str) or not all(type(n) is int for n in (epoch, *chain(*ranges))):
        raise ValueError("expected class as a word, epoch and ranges as whole numbers")
    return class_, epoch, ranges
