"""Subscribes to all variables under one node of an OPC UA server and counts what comes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncua import Client, Node, ua
from asyncua.crypto import security_policies
from asyncua.ua.uaerrors import BadNoMatch

from hil.certificate import WITNESS_URI, client_certificate
from hil.process import wait_before_retry

DEPTH_LIMIT = 8
CHECK_S = 1.0


@dataclass(frozen=True, slots=True)
class Login:
    """How to get in: policy name or "None", user, password, folder of the client's certificate."""

    security: str
    user: str | None
    password: str | None
    certificate_dir: Path | None


@dataclass(slots=True)
class Seen:
    """The newest notification of one node."""

    name: str
    unit: str | None
    value: object = None
    status: str | None = None
    source_time: str | None = None
    changes: int = 0


class OpcuaWitness:
    """A client with counters."""

    def __init__(self, url: str, login: Login, under: str, period_ms: float) -> None:
        self._url, self._login, self._under, self._period_ms = url, login, under, period_ms
        self._seen: dict[str, Seen] = {}
        self._connected = False
        self._connects = self._changes = self._good = 0
        self._error: str | None = None

    async def run(self) -> None:
        """Connects, subscribes and counts until cancelled."""
        attempt = 0
        while True:
            connects = self._connects
            try:
                await self._watch()
            except (OSError, ua.UaError) as error:
                self._error = f"{type(error).__name__}: {error}"
            self._connected = False
            attempt = 1 if self._connects > connects else attempt + 1
            await wait_before_retry(attempt, longest_s=5.0)

    def report(self, final: bool) -> dict[str, object]:
        """The counters, and at the end each node's last value."""
        line: dict[str, object] = {
            "connected": self._connected,
            "connects": self._connects,
            "nodes": len(self._seen),
            "changes": self._changes,
            "good": self._good,
            "error": None if self._connected else self._error,
        }
        if final:
            line["values"] = {node: _shown(seen) for node, seen in self._seen.items()}
        return line

    def datachange_notification(self, node: Node, value: object, notification: Any) -> None:
        """Called by asyncua for each data change."""
        data = notification.monitored_item.Value
        seen = self._seen[node.nodeid.to_string()]
        seen.value, seen.status = value, data.StatusCode.name
        seen.source_time = data.SourceTimestamp.isoformat() if data.SourceTimestamp else None
        seen.changes += 1
        self._changes += 1
        self._good += data.StatusCode.is_good()

    async def _watch(self) -> None:
        async with self._session() as client:
            root = await find_node(client, self._under)
            nodes = await variables_under(root)
            for node in nodes:
                await self._meet(node)
            subscription = await client.create_subscription(self._period_ms, self)
            await subscription.subscribe_data_change(nodes)
            self._connected = True
            self._connects += 1
            while True:
                await client.check_connection()
                await asyncio.sleep(CHECK_S)

    async def _meet(self, node: Node) -> None:
        key = node.nodeid.to_string()
        if key not in self._seen:
            name = await node.read_browse_name()
            self._seen[key] = Seen(name.Name, await unit_of(node))

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Client]:
        client = Client(self._url, timeout=5)
        client.application_uri = WITNESS_URI
        client.session_timeout = 60_000
        login = self._login
        if login.security != "None" and login.certificate_dir is not None:
            policy = getattr(security_policies, f"SecurityPolicy{login.security}", None)
            if policy is None:
                raise OSError(f"no security policy {login.security!r}")
            certificate, key = client_certificate(login.certificate_dir, socket.gethostname())
            mode = ua.MessageSecurityMode.SignAndEncrypt
            await client.set_security(policy, str(certificate), str(key), mode=mode)
        if login.user is not None:
            client.set_user(login.user)
            client.set_password(login.password or "")
        async with client:
            yield client


async def find_node(client: Client, wanted: str) -> Node:
    """The node with this node id, or the first below Objects with this browse or display name, breadth first."""
    if wanted.startswith("ns=") and ";" in wanted:
        return client.get_node(wanted)
    level = [node for node in await client.nodes.objects.get_children() if node.nodeid.NamespaceIndex]
    for _ in range(DEPTH_LIMIT):
        below = []
        for node in level:
            names = (await node.read_browse_name()).Name, (await node.read_display_name()).Text
            if wanted in (*names, node.nodeid.Identifier):
                return node
            below += await node.get_children()
        level = below
    raise BadNoMatch(f"no node {wanted!r} below Objects")


async def variables_under(root: Node) -> list[Node]:
    """All variables below a node, properties left out."""
    found: list[Node] = []
    level = [root]
    for _ in range(DEPTH_LIMIT):
        below = []
        for node in level:
            below += await node.get_children(ua.ObjectIds.Organizes)
            below += await node.get_children(ua.ObjectIds.HasComponent)
        classes = [await node.read_node_class() for node in below]
        found += [node for node, kind in zip(below, classes, strict=True) if kind == ua.NodeClass.Variable]
        level = below
    return list({node.nodeid: node for node in found}.values())


async def unit_of(node: Node) -> str | None:
    """The engineering unit's display name, if the variable has one."""
    try:
        unit = await (await node.get_child("0:EngineeringUnits")).read_value()
    except ua.UaError:
        return None
    text: str | None = unit.DisplayName.Text
    return text


def _shown(seen: Seen) -> dict[str, object]:
    value = seen.value
    try:
        json.dumps(value)
    except TypeError:
        value = str(value)
    return {
        "name": seen.name,
        "value": value,
        "unit": seen.unit,
        "status": seen.status,
        "source_time": seen.source_time,
        "changes": seen.changes,
    }
