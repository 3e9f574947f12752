"""A small `Taps` for tests of sinks: what is put in is shown, newest first, as the daemon's own hub does it."""

from collections.abc import AsyncIterator

import anyio
import numpy as np

from agent.core.nouns import Catalogue, Mode, Part, Point, Role, Snapshot


def catalogue(points, epoch=1, gateway="gw1", asset="tank"):
    points = tuple(Point(p, Role.MEASURED) if isinstance(p, str) else p for p in points)
    return Catalogue(gateway, epoch, points, (Part(asset, 0, len(points)),))


def snapshot(values, seq=1, epoch=1, asset="tank", t_ns=1_000, **over):
    value = np.asarray(values, np.float64)
    columns = {
        "status": np.zeros(len(value), np.uint32),
        "time_ns": np.full(len(value), t_ns, np.int64),
        "source_ns": np.zeros(len(value), np.int64),
        "texts": {},
    }
    columns.update(over)
    return Snapshot(asset=asset, epoch=epoch, seq=seq, t_ns=t_ns, value=value, mode=Mode.RUNNING, context={},
                    conditions=(), case=None, events=(), summaries=(), faults=(), **columns)  # fmt: skip


class FakeTaps:
    """`put` shows a noun to every reader of `latest`; `end` ends them as a draining daemon does."""

    def __init__(self, gateway="gw1"):
        self.gateway = gateway
        self.nouns = []
        self.ended = False
        self.news = anyio.Event()

    def put(self, *nouns):
        self.nouns.extend(nouns)
        self._wake()

    def end(self):
        self.ended = True
        self._wake()

    def _wake(self):
        self.news.set()
        self.news = anyio.Event()

    async def latest(self) -> AsyncIterator[Catalogue | Snapshot]:
        at = 0
        while True:
            while at < len(self.nouns):
                at += 1
                yield self.nouns[at - 1]
            if self.ended:
                return
            await self.news.wait()
