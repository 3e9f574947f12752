"""The wiring of the OPC UA process: the feed comes in, nodes and values go out, a pulse says that all of it turns."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import random
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.crypto.permission_rules import SimpleRoleRuleset

from agent.core import quality
from agent.core.nouns import Catalogue
from agent.runtime import clock
from agent.sinks.feed.client import Feed, connect
from agent.sinks.opcua.server import certificates
from agent.sinks.opcua.server.guard import GuardedServer
from agent.sinks.opcua.server.sessions import Internal
from agent.sinks.opcua.server.space import Space
from agent.sinks.opcua.server.values import Values
from agent.sinks.opcua.settings import Settings

log = logging.getLogger(__name__)

PULSE_S = 1.0
PARTING_S = 0.3  # for clients to be told that the server stops
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
POLICY_TYPES = {
    "Aes256_Sha256_RsaPss": ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
    "Aes128_Sha256_RsaOaep": ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    "Basic256Sha256": ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
}


async def serve(settings: Settings) -> None:
    """Run until SIGTERM, SIGINT or the end of standard input. OSError where the endpoint cannot be had."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_reader(sys.stdin.fileno(), _watch_parent, stop)
    child = Child(settings)
    work = [asyncio.create_task(one) for one in child.work()]
    stopping = asyncio.create_task(stop.wait())
    try:
        ended, _ = await asyncio.wait([*work, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in ended - {stopping}:
            task.result()  # raises what went wrong
    finally:
        loop.remove_reader(sys.stdin.fileno())
        for task in [*work, stopping]:
            task.cancel()
        await asyncio.gather(*work, stopping, return_exceptions=True)
        await child.part()


def _watch_parent(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


class Child:
    """The server, its nodes and values, and the connection to the feed."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is opened yet."""
        self.settings = settings
        directory = Path(settings.certificate_dir)
        self.uri = f"urn:edgetwin:{settings.gateway}"
        trust = certificates.TrustList(Path(settings.trust_dir), directory / "rejected", settings.trust_on_first_use)
        self.internal = Internal(Path(settings.users_file), settings.sessions)
        self.server = GuardedServer(self.internal, trust, settings.message_limit)
        self.listening = False
        self.feed: Feed | None = None
        self.values: Values | None = None

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """What runs side by side."""
        return [self._follow(), self._pulse()]

    async def _prepare(self) -> None:
        settings, server = self.settings, self.server
        own, key = certificates.own(Path(settings.certificate_dir), self.uri, settings.endpoint)
        server.set_endpoint(settings.endpoint)
        server.set_server_name(f"edgetwin {settings.gateway}")
        server.product_uri, server.manufacturer_name = "urn:edgetwin", "edgetwin"
        server.application_type = ua.ApplicationType.Server
        server.set_security_policy(
            [POLICY_TYPES[policy] for policy in settings.policies], permission_ruleset=SimpleRoleRuleset()
        )
        server.set_identity_tokens([ua.UserNameIdentityToken])
        await server.load_certificate(own)
        await server.load_private_key(key)
        await server.init()
        await server.set_application_uri(self.uri)
        await server.set_build_info(
            "urn:edgetwin", "edgetwin", settings.product, settings.version, settings.version, _built()
        )

    async def _follow(self) -> None:
        """Show the feed; when it goes, say so in every value and come back to it."""
        await self._prepare()
        space = Space(self.server, self.settings.gateway)
        self.values = Values(space, self.internal.aspace)
        pause_s = SHORTEST_PAUSE_S
        while True:
            try:
                async with connect(self.settings.feed_socket) as feed:
                    self.feed, pause_s = feed, SHORTEST_PAUSE_S
                    await self._show(feed, space, self.values)
                    log.warning("opcua: the feed ended: %s", feed.error or "the daemon closed it")
            except ConnectionError as error:
                if pause_s == SHORTEST_PAUSE_S:
                    log.warning("opcua: %s", error)
            if self.feed is not None:
                self.feed = None
                await self.values.lose(quality.BAD_NO_COMMUNICATION)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _show(self, feed: Feed, space: Space, values: Values) -> None:
        async for noun in feed:
            if isinstance(noun, Catalogue):
                await space.show(noun)
                values.begin(noun)
                await self._listen()
            else:
                await values.show(noun)

    async def _listen(self) -> None:
        """Only once the nodes are there: a client that came earlier would find its NodeIds unknown."""
        if not self.listening:
            await self.server.start()
            self.listening = True
            log.info("opcua: listening on %s", self.settings.endpoint)

    async def _pulse(self) -> None:
        """A line a second to the parent, counters to the feed, the service level to clients."""
        os.set_blocking(sys.stdout.fileno(), False)
        level = ua.NodeId(ua.ObjectIds.Server_ServiceLevel)
        shown = -1
        while True:
            with suppress(BlockingIOError):  # a parent that does not read its pipe has other troubles
                os.write(sys.stdout.fileno(), b"alive\n")
            if self.feed is not None:
                with suppress(OSError):
                    await self.feed.beat(self.settings.unit, self._counters())
            new = self.values.service_level(clock.now_ns()) if self.values else 1
            if self.listening and new != shown:
                shown = new
                byte = ua.Variant(new, ua.VariantType.Byte)
                await self.internal.aspace.write_attribute_value(level, ua.AttributeIds.Value, ua.DataValue(byte))
            await asyncio.sleep(PULSE_S)

    def _counters(self) -> dict[str, float]:
        return {
            "sessions": float(self.internal.sessions()),
            "subscriptions": float(len(self.internal.subscription_service.subscriptions)),
            "values_written": float(self.values.written if self.values else 0),
            "notifications": float(self.internal.notifications),
            "errors": float(self.values.errors if self.values else 0),
            "refused": float(self.internal.refused),
        }

    async def part(self) -> None:
        """Tell clients that the server stops (OPC 10000-5 §12.6), then stop."""
        if not self.listening:
            return
        node = self.server.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus))
        status = copy(await node.read_value())
        status.State, status.SecondsTillShutdown = ua.ServerState.Shutdown, 1
        await node.write_value(status)
        await self._set(ua.ObjectIds.Server_ServerStatus_SecondsTillShutdown, ua.Variant(1, ua.VariantType.UInt32))
        state = ua.Variant(ua.ServerState.Shutdown, ua.VariantType.Int32)
        await self._set(ua.ObjectIds.Server_ServerStatus_State, state)
        await asyncio.sleep(PARTING_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.server.stop(), 2.0)

    async def _set(self, node: int, value: ua.Variant) -> None:
        await self.server.get_node(ua.NodeId(node)).write_value(value)


def _built() -> datetime.datetime:
    """When this software was put here: the time of this file."""
    return datetime.datetime.fromtimestamp(Path(__file__).stat().st_mtime, datetime.UTC)
