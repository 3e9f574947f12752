"""The newest Snapshot of each asset, for whoever wants it: a slow reader skips, nobody waits for a reader."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio

from agent.core.nouns import Catalogue, Snapshot


class Hub:
    """Holds the Catalogue and the newest Snapshots. All readers and the one writer share the event loop."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Start with a catalogue and no snapshot."""
        self.catalogue = catalogue
        self.newest: dict[str, Snapshot] = {}
        self._news = anyio.Event()
        self._closed = False

    def publish(self, snapshot: Snapshot) -> None:
        """Make this the newest of its asset and wake the readers."""
        self.newest[snapshot.asset] = snapshot
        self._wake()

    def close(self) -> None:
        """No more will come: readers end after the newest."""
        self._closed = True
        self._wake()

    async def latest(self) -> AsyncIterator[Catalogue | Snapshot]:
        """The Catalogue, the newest Snapshot of each asset, then each newer one; a new Catalogue when it changes."""
        seen: dict[str, int] = {}
        told: Catalogue | None = None
        while True:
            news = self._news
            if told is not self.catalogue:
                told = self.catalogue
                seen.clear()
                yield told
            for snapshot in list(self.newest.values()):
                if seen.get(snapshot.asset) != snapshot.seq:
                    seen[snapshot.asset] = snapshot.seq
                    yield snapshot
            if self._closed and news is self._news:
                return
            await news.wait()

    def _wake(self) -> None:
        news, self._news = self._news, anyio.Event()
        news.set()
