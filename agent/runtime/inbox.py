"""Where batches and commands wait for the next tick of each asset. `put` never waits; overflow is counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agent.core import quality
from agent.core.nouns import I4, Batch, Command
from agent.runtime import clock, meters

MAX_SAMPLES = 200_000


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """Where the tags of one source go in one asset: `to` i4[tags of the source] gives the asset's row, -1 for none."""

    asset: str
    to: I4


class Inbox:
    """What has arrived for one asset since its last tick."""

    def __init__(self, asset: str) -> None:
        """Nothing has arrived."""
        self._asset = asset
        self._batches: deque[Batch] = deque()
        self._commands: deque[Command] = deque()
        self._samples = 0

    def put(self, batch: Batch) -> None:
        """Take a batch whose tags are rows of this asset."""
        self._batches.append(batch)
        self._samples += len(batch.tag)
        while self._samples > MAX_SAMPLES and len(self._batches) > 1:
            dropped = len(self._batches.popleft().tag)
            self._samples -= dropped
            meters.current().add(f"{self._asset}/dropped", dropped)

    def command(self, command: Command) -> None:
        """Take a command that the gate let through."""
        self._commands.append(command)

    def take(self) -> tuple[tuple[Batch, ...], tuple[Command, ...]]:
        """All that waits, in order of arrival; the inbox is empty after it."""
        taken = tuple(self._batches), tuple(self._commands)
        self._batches.clear()
        self._commands.clear()
        self._samples = 0
        return taken


def routed(batch: Batch, route: Route) -> Batch | None:
    """The part of a source's batch that one asset uses, with the asset's rows; None where it uses nothing."""
    rows = route.to[batch.tag]
    keep = rows >= 0
    if keep.all():
        return replace(batch, tag=rows)
    if not keep.any():
        return None
    new_row = np.cumsum(keep) - 1
    texts = tuple((int(new_row[row]), text) for row, text in batch.texts if keep[row])
    arrays = tuple((int(new_row[row]), array) for row, array in batch.arrays if keep[row])
    return Batch(
        source=batch.source,
        tag=rows[keep],
        value=batch.value[keep],
        status=batch.status[keep],
        t_ns=batch.t_ns[keep],
        source_ns=batch.source_ns[keep],
        texts=texts,
        arrays=arrays,
        server_ns=batch.server_ns[keep] if len(batch.server_ns) else batch.server_ns,
    )


class Intake:
    """One source's way in: routes what it puts to the assets, and knows how alive the source is.

    Meters: `<source>/connected` (until its driver ends), `/age_s` (since a sample that was not Bad), `/samples`,
    `/jitter_s` (of the time between batches against their running mean, largest of the last minute, decaying; a driver
    that knows its due times tells its own).
    """

    def __init__(self, source: str, n_tags: int, routes: Sequence[Route], inboxes: dict[str, Inbox]) -> None:
        """Routes of the source's `n_tags` tags into the inboxes by asset id."""
        self._source, self._n = source, n_tags
        self._routes, self._inboxes = tuple(routes), inboxes
        self._good_ns = 0
        self._up: bool | None = None  # nobody has answered or failed yet
        self._rhythm: dict[int, _Rhythm] = {}
        counters = meters.current()
        started_ns = clock.now_ns()
        counters.gauge(f"{source}/connected", lambda: None if self._up is None else float(self._up))
        counters.gauge(f"{source}/age_s", lambda: (clock.now_ns() - (self._good_ns or started_ns)) * 1e-9)
        counters.gauge(f"{source}/jitter_s", lambda: max((r.jitter_s for r in self._rhythm.values()), default=0.0))

    def put(self, batch: Batch) -> None:
        """Take a batch from the driver. Never waits."""
        self._measure(batch)
        for route in self._routes:
            part = routed(batch, route)
            if part is not None:
                self._inboxes[route.asset].put(part)

    def down(self, reason: str) -> None:
        """The driver ended: all its tags are BadNoCommunication from now on."""
        now_ns = clock.now_ns()
        self._rhythm.clear()
        self._up = False
        self.put(
            Batch(
                self._source,
                np.arange(self._n, dtype=np.int32),
                np.full(self._n, np.nan),
                np.full(self._n, quality.BAD_NO_COMMUNICATION, np.uint32),
                np.full(self._n, now_ns, np.int64),
                np.zeros(self._n, np.int64),
            )
        )

    def _measure(self, batch: Batch) -> None:
        if not len(batch.tag):
            return
        now_ns = clock.now_ns()
        counters = meters.current()
        counters.turn(self._source)
        counters.add(f"{self._source}/samples", len(batch.tag))
        if not quality.bad_mask(batch.status).all():
            self._good_ns, self._up = now_ns, True
            self._rhythm.setdefault(int(batch.tag[0]), _Rhythm()).beat(now_ns)


class _Rhythm:
    """The time between beats, and how far it strays from its mean."""

    def __init__(self) -> None:
        self._last_ns = 0
        self._mean_s = 0.0
        self.jitter_s = 0.0

    def beat(self, now_ns: int) -> None:
        if self._last_ns:
            gap_s = (now_ns - self._last_ns) * 1e-9
            self._mean_s += (gap_s - self._mean_s) * (0.05 if self._mean_s else 1.0)
            self.jitter_s = max(abs(gap_s - self._mean_s), self.jitter_s * 0.98)
        self._last_ns = now_ns
