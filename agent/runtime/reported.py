"""What a gateway of a fleet says of its version: the newest, for whoever tells the cloud."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import anyio


class Reported:
    """The newest report, as a tree for JSON; the folder where bundles are handed in, and what was offered last."""

    def __init__(self, incoming: Path) -> None:
        """Nothing is said yet."""
        self.incoming = incoming
        self.newest: Mapping[str, Any] = {}
        self.offered: tuple[str, int] = ("", 0)  # SHA-256 of what the cloud offered last, and until when it is decided
        self._news = anyio.Event()

    def publish(self, tree: Mapping[str, Any]) -> None:
        """Say this from now on; nobody is told what he knows."""
        if tree != self.newest:
            self.newest = tree
            news, self._news = self._news, anyio.Event()
            news.set()

    async def latest(self) -> AsyncIterator[Mapping[str, Any]]:
        """The newest, then each newer one; a slow reader skips."""
        told: Mapping[str, Any] = {}
        while True:
            news = self._news
            if told != self.newest:
                told = self.newest
                yield told
            else:
                await news.wait()
