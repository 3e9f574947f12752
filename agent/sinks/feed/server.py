"""The daemon's side of the feed: one Unix socket, many readers, none of them ever waited for.

One task takes what the daemon shows and leaves it with each client; one task a client sends what was left with it.
A slow client finds only the newest Snapshot of each asset when it comes back: at most one waits for it a asset.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import pwd
import re
import shutil
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import anyio
import pydantic
from anyio.abc import TaskGroup

from agent.config.model import Model
from agent.core.nouns import Answer, Catalogue, Request, Snapshot
from agent.core.wire import WireError
from agent.runtime import meters
from agent.sinks.feed import protocol
from agent.sinks.feed.protocol import CLIENT_MESSAGE_LIMIT, HEADER, Beat

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

Ask = Callable[[Request], Awaitable[Answer]]

log = logging.getLogger(__name__)

PEER = struct.Struct("3i")  # pid, uid, gid
SEND_BUFFER = 128 * 1024  # bytes the kernel holds for a client: what lies there is no longer the newest
SILENCE_S = 60.0  # a client that takes nothing for this long is dropped
PARTING_S = 1.0  # what clients are given at the end to take the last Snapshot
ASKED_AT_ONCE = 16
METER = re.compile(r"[A-Za-z0-9_.-]{1,48}")
METERS_LIMIT = 64


class Config(Model):
    """The feed's socket, and who may use it: its owner and `group` (mode 0660)."""

    type: Literal["feed"] = "feed"
    id: str = "feed"
    socket: Path = Path("/run/edgetwin/feed.sock")
    group: str | None = None
    clients: int = pydantic.Field(default=32, ge=1, le=1000)


async def run(config: Config, taps: Taps, ask: Ask) -> None:
    """Serve until cancelled, or until `taps` ends. OSError says why the socket cannot be had."""
    listening = listen(config)
    try:
        async with anyio.create_task_group() as tasks:
            feed = Feed(config, ask, tasks)
            server = await asyncio.start_unix_server(feed.welcome, sock=listening)
            try:
                async for noun in taps.latest():
                    feed.show(noun)
                await feed.part()
            finally:
                server.close()
                tasks.cancel_scope.cancel()
    finally:
        listening.close()
        with suppress(FileNotFoundError):
            config.socket.unlink()


def listen(config: Config) -> socket.socket:
    """The bound socket with its mode and group set, so that nobody else can connect even for a moment."""
    replace_stale(config.socket)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(os.fspath(config.socket))
        config.socket.chmod(0o660)
        if config.group is not None:
            shutil.chown(config.socket, group=config.group)
    except OSError as error:
        bound.close()
        raise OSError(error.errno, f"feed: {config.socket}: {error.strerror}") from error
    except LookupError as error:
        bound.close()
        config.socket.unlink()
        raise OSError(errno.EINVAL, f"feed: this machine has no group '{config.group}'") from error
    return bound


def replace_stale(path: Path) -> None:
    """Remove the socket of a dead daemon. OSError where a living one serves it, or where something else lies there."""
    if len(os.fsencode(path)) > 107:
        raise OSError(errno.ENAMETOOLONG, f"{path}: a Unix socket's path has at most 107 bytes")
    if not path.exists():
        return
    if not path.is_socket():
        raise OSError(errno.EEXIST, f"{path} exists and is not a socket: remove it or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass  # a full backlog: somebody lives there
    raise OSError(errno.EADDRINUSE, f"{path}: another daemon serves this socket")


class Feed:
    """The newest of everything, and the clients it is shown to."""

    def __init__(self, config: Config, ask: Ask, tasks: TaskGroup) -> None:
        """Nothing is known yet; a client that comes now waits for the first Catalogue."""
        self.config = config
        self.ask = ask
        self.tasks = tasks
        self.catalogue: Catalogue | None = None
        self.packed = b""  # the Catalogue, once a client has asked for it
        self.snapshots: dict[str, Snapshot] = {}
        self.clients: set[Client] = set()

    def show(self, noun: Catalogue | Snapshot) -> None:
        """Leave a Catalogue or a Snapshot with every client: no I/O, no waiting; nothing is packed for nobody."""
        if isinstance(noun, Catalogue):
            self.catalogue, self.packed = noun, b""
            self.snapshots.clear()
            for client in self.clients:
                self._leave_catalogue(client, noun)
        elif self.catalogue is not None and noun.epoch == self.catalogue.epoch:
            self.snapshots[noun.asset] = noun
            message = protocol.pack(noun) if self.clients else b""
            for client in self.clients:
                client.leave_snapshot(noun.asset, message)

    async def part(self) -> None:
        """Give the clients a moment to take the last that was shown."""
        with anyio.move_on_after(PARTING_S):
            for client in tuple(self.clients):
                await client.emptied.wait()

    def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a new connection, or close it if there are enough."""
        if len(self.clients) >= self.config.clients:
            log.warning("feed: refused a client, %d are connected", len(self.clients))
            writer.transport.abort()
            return
        client = Client(reader, writer, self.ask, self.tasks)
        self._count(client, self.clients.add)
        self.tasks.start_soon(self._serve, client)

    async def _serve(self, client: Client) -> None:
        if self.catalogue is not None:
            self._leave_catalogue(client, self.catalogue)
        for asset, snapshot in self.snapshots.items():
            client.leave_snapshot(asset, protocol.pack(snapshot))
        try:
            await client.run()
        finally:
            client.writer.transport.abort()
            self._count(client, self.clients.discard)

    def _leave_catalogue(self, client: Client, catalogue: Catalogue) -> None:
        self.packed = self.packed or protocol.pack(catalogue)
        client.leave_catalogue(self.packed)

    def _count(self, client: Client, change: Callable[[Client], None]) -> None:
        change(client)
        meters.current().set(f"{self.config.id}/clients", len(self.clients))


class Client:
    """One connection: what waits to be sent, and what it asks."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ask: Ask, tasks: TaskGroup) -> None:
        """Take over a fresh connection; the kernel says who is at the other end.

        `tasks` outlives the connection: what was asked is carried to its end even if the asker goes.
        """
        connected = writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        _, self.uid, _ = PEER.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))
        self.user = user_name(self.uid)
        writer.transport.set_write_buffer_limits(high=0)  # drain() waits until the kernel has all of it
        self.reader = reader
        self.writer = writer
        self.ask = ask
        self.waiting: dict[str, bytes] = {}  # by asset; "" is the Catalogue and always first
        self.answers: list[bytes] = []
        self.asked = 0
        self.tasks = tasks
        self.news = anyio.Event()
        self.emptied = anyio.Event()

    def leave_catalogue(self, message: bytes) -> None:
        """What is waiting belongs to another epoch: only the Catalogue is left."""
        self.waiting = {"": message}
        self._wake()

    def leave_snapshot(self, asset: str, message: bytes) -> None:
        """The newest Snapshot of an asset takes the place of the one not sent yet, at the end of the queue."""
        self.waiting.pop(asset, None)
        self.waiting[asset] = message
        self._wake()

    async def run(self) -> None:
        """Send and receive until the client goes or says something that is not in the protocol."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._send, tasks)
            try:
                await self._receive()
            except (asyncio.IncompleteReadError, OSError):
                pass  # it went
            except WireError as error:
                meters.current().add("feed/malformed")
                log.warning("feed: closed a client of user %s: %s", self.user, error)
            tasks.cancel_scope.cancel()

    async def _send(self, tasks: TaskGroup) -> None:
        try:
            while True:
                while self.answers or self.waiting:
                    message = self.answers.pop(0) if self.answers else self.waiting.pop(next(iter(self.waiting)))
                    self.writer.write(message)
                    with anyio.fail_after(SILENCE_S):
                        await self.writer.drain()
                self.emptied.set()
                self.news = anyio.Event()
                await self.news.wait()
        except OSError:  # it went, or TimeoutError: it takes nothing
            tasks.cancel_scope.cancel()

    async def _receive(self) -> None:
        while True:
            length, kind = protocol.measure(await self.reader.readexactly(HEADER.size), CLIENT_MESSAGE_LIMIT)
            noun = protocol.unpack(kind, await self.reader.readexactly(length))
            if isinstance(noun, Request):
                self._take(noun)
            elif isinstance(noun, Beat):
                self._note(noun)
            else:
                raise WireError(f"a client does not send a {type(noun).__name__}")

    def _take(self, request: Request) -> None:
        if self.asked >= ASKED_AT_ONCE:
            self._answer(Answer(request.id, False, f"{ASKED_AT_ONCE} requests are already under way: wait for them"))
            return
        self.asked += 1
        # Who asks is what the kernel says, whatever stands in the message.
        self.tasks.start_soon(self._carry, replace(request, user=self.user))

    async def _carry(self, request: Request) -> None:
        try:
            self._answer(await self.ask(request))
        finally:
            self.asked -= 1

    def _answer(self, answer: Answer) -> None:
        self.answers.append(protocol.pack(answer))
        self._wake()

    def _wake(self) -> None:
        if self.emptied.is_set():
            self.emptied = anyio.Event()
        self.news.set()

    def _note(self, beat: Beat) -> None:
        # Meters decide about service levels and alarms: only the daemon's own children set them.
        if self.uid not in (os.getuid(), 0):
            raise WireError("a beat from a user that is not the daemon's")
        if len(beat.counters) > METERS_LIMIT or not all(map(METER.fullmatch, (beat.client, *beat.counters))):
            raise WireError(f"a beat whose names are not like [A-Za-z0-9_.-], or more than {METERS_LIMIT} of them")
        for name, value in beat.counters.items():
            meters.current().set(f"{beat.client}/{name}", value)


def user_name(uid: int) -> str:
    """The login name of a user id, `uid:1234` where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid:{uid}"
