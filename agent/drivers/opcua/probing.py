"""A first look at an OPC UA server, for a person at the command line."""

from __future__ import annotations

from asyncua import ua

from agent.drivers.opcua.config import Config
from agent.drivers.opcua.errors import translated
from agent.drivers.opcua.session import connected


async def probe(config: Config) -> str:
    """The server's endpoints, state, limits and namespaces: one line each. OSError if it does not answer."""
    async with connected(config) as session:
        with translated(config.endpoint):
            endpoints = await session.client.get_endpoints()
        (state,) = await session.read([ua.NodeId(int(ua.ObjectIds.Server_ServerStatus_State))])
        namespaces = await session.namespaces()
        limits = f"  at most {session.read_limit} nodes a read, {session.item_limit} monitored items a call"
    lines = [f"{config.endpoint}: {ua.ServerState(state.Value.Value).name if state.Value else 'state unknown'}", limits]
    offered = {f"  {e.SecurityPolicyUri.rsplit('#', 1)[-1]} {e.SecurityMode.name}" for e in endpoints}
    return "\n".join([*lines, *sorted(offered), *(f"  ns={i}: {uri}" for i, uri in enumerate(namespaces))])
