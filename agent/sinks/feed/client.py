"""A client of the feed, on asyncio and core alone so that it is cheap to import.

    async with connect(path) as feed:
        answer = await feed.ask(Request(...))
        async for noun in feed:                  # Catalogue, then the newest Snapshot of each asset, then newer ones
            ...

One task reads the socket, so an Answer comes whether or not anybody iterates. Newest wins on this side too: of each
asset at most one Snapshot waits. The iteration ends when the daemon goes; `error` says why if that was no clean end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from agent.core.nouns import Answer, Catalogue, Request, Snapshot
from agent.core.wire import WireError
from agent.sinks.feed import protocol
from agent.sinks.feed.protocol import DAEMON_MESSAGE_LIMIT, HEADER, Beat, Noun


def connect(path: str | Path) -> Feed:
    """The feed at a socket, to be entered: `async with connect(path) as feed`."""
    return Feed(Path(path))


class Feed:
    """One connection. Iterates over Catalogue and Snapshot; ConnectionError where no daemon answers."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before the feed is entered."""
        self.path = path
        self.error: Exception | None = None
        self._catalogue: Catalogue | None = None
        self._snapshots: dict[str, Snapshot] = {}
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._news = asyncio.Event()
        self._ended = False

    async def __aenter__(self) -> Feed:
        """Open the socket and start to read."""
        try:
            self._reader, self._writer = await asyncio.open_unix_connection(str(self.path))
        except OSError as error:
            raise ConnectionError(f"no daemon answers on {self.path}: {error.strerror or error}") from error
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket; what was asked and not answered fails."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def __aiter__(self) -> Feed:
        """The feed is its own iterator; one reader at a time."""
        return self

    async def __anext__(self) -> Catalogue | Snapshot:
        """The newest that was not given yet; a Catalogue before the Snapshots it explains."""
        while True:
            if self._catalogue is not None:
                catalogue, self._catalogue = self._catalogue, None
                return catalogue
            if self._snapshots:
                return self._snapshots.pop(next(iter(self._snapshots)))
            if self._ended:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    async def ask(self, request: Request) -> Answer:
        """What became of a Request. ConnectionError if the daemon goes first: what became of it is then unknown."""
        if self._ended:
            raise ConnectionError(f"the daemon on {self.path} is gone")
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[request.id] = answer
        try:
            await self._send(request)
            return await answer
        finally:
            self._answers.pop(request.id, None)

    async def beat(self, client: str, counters: Mapping[str, float]) -> None:
        """Say that `client` is alive, with its counters; they become meters `<client>/<counter>`."""
        await self._send(Beat(client, dict(counters)))

    async def _send(self, noun: Noun) -> None:
        self._writer.write(protocol.pack(noun))
        await self._writer.drain()

    async def _read(self) -> None:
        try:
            while True:
                header = await self._reader.readexactly(HEADER.size)
                length, kind = protocol.measure(header, DAEMON_MESSAGE_LIMIT)
                self._take(protocol.unpack(kind, await self._reader.readexactly(length)))
        except (asyncio.IncompleteReadError, OSError, WireError) as error:
            clean = isinstance(error, asyncio.IncompleteReadError) and not error.partial
            self.error = None if clean else error
        finally:
            self._end()

    def _take(self, noun: Noun) -> None:
        if isinstance(noun, Catalogue):
            self._catalogue = noun
            self._snapshots.clear()
        elif isinstance(noun, Snapshot):
            self._snapshots.pop(noun.asset, None)
            self._snapshots[noun.asset] = noun
        elif isinstance(noun, Answer):
            waiting = self._answers.get(noun.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(noun)
        self._news.set()

    def _end(self) -> None:
        self._ended = True
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError(f"the daemon on {self.path} went before it answered"))
        self._news.set()
