"""The processes of the demonstration: each is one that a user could start by hand."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

READY_S = 30.0
GRACE_S = 8.0


class DemoError(RuntimeError):
    """The demonstration cannot go on, and why."""


@dataclass(slots=True)
class Child:
    """One process with its log file. `last` is its newest line of standard output."""

    name: str
    arguments: tuple[str, ...]
    log: Path
    process: asyncio.subprocess.Process | None = None
    last: str = ""
    _reader: asyncio.Task[None] | None = None
    _ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, ready: bool) -> None:
        """Start it; with `ready`, wait for its line that says so."""
        self._ready.clear()
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *self.arguments, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self._reader = asyncio.create_task(self._read())
        if ready:
            await self._until_ready()

    async def _until_ready(self) -> None:
        waits = [asyncio.create_task(self._ready.wait()), asyncio.create_task(self._exit())]
        done, late = await asyncio.wait(waits, timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        for task in late:
            task.cancel()
        if not done or waits[1] in done:
            raise DemoError(f"{self.name} did not start: {tail(self.log)} (its log: {self.log})")

    async def _exit(self) -> None:
        if self.process is not None:
            await self.process.wait()

    async def _read(self) -> None:
        if self.process is None or self.process.stdout is None:
            return
        async for line in self.process.stdout:
            self.last = line.decode(errors="replace").rstrip()
            if self.last.startswith("ready"):
                self._ready.set()

    async def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end; after a grace time make it."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            self.process.send_signal(by)
        try:
            await asyncio.wait_for(self.process.wait(), GRACE_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
        if self._reader is not None:
            await self._reader


def tail(log: Path) -> str:
    """The last line of a log that says something."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on now."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()


def taken(ports: Sequence[int]) -> list[int]:
    """Those of the ports on loopback that somebody holds."""
    found = []
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                found.append(port)
    return found
