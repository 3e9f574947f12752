"""A first look at an OPC UA server, for a person at the command line."""

from __future__ import annotations

from asyncua import ua

from agent.drivers.opcua.binary import T
from agent.drivers.opcua.config import Config
from agent.drivers.opcua.errors import translated
from agent.drivers.opcua.services import STATE
from agent.drivers.opcua.session import connected


async def probe(config: Config) -> str:
    """The server's endpoints, state, limits and namespaces: one line each. OSError if it does not answer."""
    async with connected(config) as session:
        with translated(config.endpoint):
            endpoints = await session.client.get_endpoints()
        found = await session.read([STATE])
        namespaces = await session.namespaces()
        limits = f"  at most {session.limits['read']} nodes a read, {session.limits['monitor']} monitored items a call"
    state = int(found.number[0]) if found.kind[0] == T.INT32 else -1
    lines = [f"{config.endpoint}: {ua.ServerState(state).name if 0 <= state <= 7 else 'state unknown'}", limits]
    offered = {f"  {e.SecurityPolicyUri.rsplit('#', 1)[-1]} {e.SecurityMode.name}" for e in endpoints}
    return "\n".join([*lines, *sorted(offered), *(f"  ns={i}: {uri}" for i, uri in enumerate(namespaces))])
