"""The sending side of `desired`: a bundle to a broker, retained, and what its gateway makes of it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio

from agent.control.deploy.manifest import CHUNK_BYTES, Bundle, packed
from agent.runtime.together import together
from agent.sinks.mqtt import Config
from agent.sinks.mqtt.link import Link, connected

INLINE_BYTES = 64 * 1024  # of all files together; more comes in pieces (cloud brokers take 128 KB a message)

Told = Callable[[Mapping[str, Any]], bool]
Pieces = Sequence[tuple[str, bytes]]


async def send(config: Config, prefix: str, client_id: str, bundle: Bundle, told: Told, wait_s: float) -> bool:
    """Publish a bundle; `told` gets each report of it until it says that this was the last. False: none came in time.

    The pieces of its files stay at the broker until the gateway has them: it may be away. ConnectionError, OSError.
    """
    pieces = _pieces(bundle, f"{prefix}/desired/file")
    async with connected(config, client_id, None) as link:
        for topic, content in pieces:
            await link.publish(topic, content, retain=True)
        await link.publish(f"{prefix}/desired", packed(bundle, with_files=not pieces), retain=True)
        with anyio.move_on_after(wait_s) as waiting:
            reports = _Reports(bundle.digest[:16], told)
            await link.subscribe(f"{prefix}/reported", reports.take)
            await together(link.watch, lambda: reports.run(link, pieces, waiting))
    return reports.over


class _Reports:
    """What was reported of one manifest."""

    def __init__(self, manifest: str, told: Told) -> None:
        self._manifest, self._told = manifest, told
        self._waiting = deque[Mapping[str, Any]]()
        self._news = anyio.Event()
        self.over = False

    def take(self, topic: str, payload: bytes) -> None:
        try:
            tree = json.loads(payload)
            if tree["manifest"] == self._manifest:
                self._waiting.append(tree)
                self._news.set()
        except (KeyError, TypeError, ValueError):
            return

    async def run(self, link: Link, pieces: Pieces, waiting: anyio.CancelScope) -> None:
        while not self.over:
            await self._news.wait()
            self._news = anyio.Event()
            while self._waiting and not self.over:
                report = self._waiting.popleft()
                self.over = self._told(report)
                if pieces and not report.get("waiting"):
                    for topic, _ in pieces:
                        await link.publish(topic, b"", retain=True)
                    pieces = ()
        waiting.cancel()


def _pieces(bundle: Bundle, topic: str) -> Pieces:
    """(topic, content) of each piece of each file; none where all fit into one message."""
    if sum(map(len, bundle.files.values())) <= INLINE_BYTES:
        return ()
    return tuple(
        (f"{topic}/{sha}/{number}", content[start : start + CHUNK_BYTES])
        for sha, content in bundle.files.items()
        for number, start in enumerate(range(0, len(content), CHUNK_BYTES))
    )
