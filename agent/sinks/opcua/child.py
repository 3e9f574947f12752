"""The daemon's side of the OPC UA server: starts the process, listens to its pulse, restarts it, stops it.

Nothing here waits for the process and nothing here touches another part of the daemon. The pulse is a line a second on
the child's standard output; it does not come by way of the feed, because a feed that is down is no reason to cut off
SCADA. When the daemon dies, the end of the child's standard input tells the child to go.
"""

from __future__ import annotations

import importlib.metadata
import logging
import random
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from subprocess import PIPE
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import anyio
import pydantic
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream

from agent.config.model import Model
from agent.core.nouns import Answer, Request
from agent.runtime import clock, meters
from agent.sinks.opcua.settings import POLICIES, Settings

if TYPE_CHECKING:
    from agent.runtime.taps import Taps

log = logging.getLogger(__name__)
child_log = logging.getLogger("agent.sinks.opcua.server")

START_S = 60.0  # to the first sign of life: a slow board imports for ten seconds
SILENCE_S = 10.0
GRACE_S = 5.0  # from SIGTERM to SIGKILL
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
STEADY_S = 60.0  # a child that lived this long is restarted at once
LEVEL = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) ")


class Config(Model):
    """The OPC UA server. Closed by default: on this machine only, signed and encrypted, no anonymous user."""

    type: Literal["opcua"] = "opcua"
    id: str = "opcua"
    endpoint: str = pydantic.Field("opc.tcp://127.0.0.1:4840", description="Where it listens: this machine only")
    policies: tuple[Literal["Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256"], ...] = pydantic.Field(
        POLICIES,  # type: ignore[arg-type]
        description="Security offered to clients, each with SignAndEncrypt",
    )
    users_file: Path = pydantic.Field(
        Path("/etc/edgetwin/opcua-users"), description="Users and their salted hashes; without it nobody can log in"
    )
    certificate_dir: Path = pydantic.Field(
        Path("/var/lib/edgetwin/opcua"),
        description="Its own certificate and key, made at the first start; trusted/ and rejected/ for those of clients",
    )
    trust_dir: Path | None = pydantic.Field(None, description="Where the trusted certificates lie instead")
    trust_on_first_use: bool = pydantic.Field(
        False, description="Trust every client certificate: for a demonstration, never for a plant"
    )
    feed_socket: Path | None = pydantic.Field(None, description="The daemon's feed; found by itself")
    sessions: int = pydantic.Field(default=50, ge=1, le=1000, description="Most clients at a time")
    message_limit: int = pydantic.Field(
        default=4 * 1024 * 1024, ge=64 * 1024, le=64 * 1024 * 1024, description="Largest message of a client, in bytes"
    )

    @pydantic.field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        if parts.scheme != "opc.tcp" or not parts.hostname or not parts.port:
            raise ValueError(f"'{endpoint}': expected opc.tcp://HOST:PORT, as opc.tcp://127.0.0.1:4840")
        return endpoint

    @pydantic.field_validator("policies")
    @classmethod
    def _check_policies(cls, policies: tuple[str, ...]) -> tuple[str, ...]:
        if not policies:
            raise ValueError(f"expected at least one of {', '.join(POLICIES)}")
        return policies


async def run(config: Config, taps: Taps, ask: Callable[[Request], Awaitable[Answer]]) -> None:
    """Keep one child alive until cancelled; what it shows comes to it over the feed, not from `taps`."""
    if config.feed_socket is None:
        raise ValueError("opcua: feed_socket is missing: the server reads the feed, so a sink of type feed is needed")
    settings = settings_of(config, taps.gateway)
    pause_s = SHORTEST_PAUSE_S
    while True:
        started_ns = clock.now_ns()
        await _live(settings, config.id)
        meters.current().set(f"{config.id}/up", 0.0)
        meters.current().add(f"{config.id}/restarts")
        if clock.now_ns() - started_ns > STEADY_S * 1e9:
            pause_s = SHORTEST_PAUSE_S
        await anyio.sleep(pause_s * random.uniform(0.5, 1.0))
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def settings_of(config: Config, gateway: str) -> Settings:
    """What the child is told."""
    return Settings(
        unit=config.id,
        gateway=gateway,
        feed_socket=str(config.feed_socket),
        endpoint=config.endpoint,
        policies=tuple(config.policies),
        users_file=str(config.users_file.absolute()),
        certificate_dir=str(config.certificate_dir.absolute()),
        trust_dir=str((config.trust_dir or config.certificate_dir / "trusted").absolute()),
        trust_on_first_use=config.trust_on_first_use,
        sessions=config.sessions,
        message_limit=config.message_limit,
        version=importlib.metadata.version("edgetwin"),
    )


async def _live(settings: Settings, unit: str) -> None:
    """One life of the child, from its start to its end; SILENCE_S without a pulse ends it."""
    async with _process(settings) as process, anyio.create_task_group() as tasks:
        tasks.start_soon(_pass_on, _stream(process.stderr))
        limit_s = START_S
        lines = _lines(_stream(process.stdout))
        while True:
            with anyio.move_on_after(limit_s) as watch:
                if await anext(lines, None) is None:
                    break
                meters.current().set(f"{unit}/up", 1.0)
                limit_s = SILENCE_S
            if watch.cancelled_caught:
                log.error("opcua: the server gave no sign of life for %.0f s: killed", limit_s)
                process.kill()
                break
        log.warning("opcua: the server ended with status %s", await process.wait())
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def _process(settings: Settings) -> AsyncIterator[Process]:
    command = [sys.executable, "-m", "agent.sinks.opcua.server"]
    process = await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    try:
        with suppress(anyio.BrokenResourceError):  # it died at once: the end of its output says so too
            if process.stdin is not None:
                await process.stdin.send(settings.line().encode())
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
        with anyio.move_on_after(GRACE_S):
            await process.wait()
    if process.returncode is None:
        log.warning("opcua: the server did not stop within %.0f s: killed", GRACE_S)
        process.kill()
    await process.aclose()


def _stream(stream: ByteReceiveStream | None) -> ByteReceiveStream:
    if stream is None:
        raise OSError("opcua: the server's output is not a pipe")
    return stream


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[str]:
    text = ""
    async for piece in TextReceiveStream(stream, errors="replace"):
        *whole, text = (text + piece).split("\n")
        for line in whole:
            yield line


async def _pass_on(stream: ByteReceiveStream) -> None:
    """The child's log lines go into ours, each with its level; the lines of a traceback keep the level before."""
    level = logging.ERROR
    async for line in _lines(stream):
        if match := LEVEL.match(line):
            level = logging.getLevelNamesMapping()[match[1]]
        child_log.log(level, "%s", line[match.end() :] if match else line)
