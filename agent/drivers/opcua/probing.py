"""A first look at an OPC UA server, for a person at the command line: what it offers, who it is, whether we get in."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
from asyncua import ua

from agent.drivers.opcua.binary.builtin import T
from agent.drivers.opcua.config import Config
from agent.drivers.opcua.errors import translated
from agent.drivers.opcua.secure import endpoints
from agent.drivers.opcua.secure.connecting import Link
from agent.drivers.opcua.services import STATE
from agent.drivers.opcua.session import connected
from agent.runtime.pki import certificates


async def probe(config: Config) -> str:
    """The server's endpoints, certificate, state, limits and namespaces: one line each. OSError if it does not answer.

    Where there is no session, why: what to do about it comes with it.
    """
    with translated(config.endpoint), anyio.fail_after(config.connect_timeout_s):
        offered = await Link(config).connect_and_get_server_endpoints()
    lines = [*(f"  {name}" for name in sorted(endpoints.shown(offered))), *_certificates(offered)]
    try:
        state, more = await _session(config)
    except OSError as error:
        state, more = "no session", [f"  {error}"]
    return "\n".join([f"{config.endpoint}: {state}", *lines, *more])


def _certificates(offered: Sequence[ua.EndpointDescription]) -> list[str]:
    """The certificates that the endpoints show, mostly one."""
    lines = []
    for content in dict.fromkeys(e.ServerCertificate for e in offered if e.ServerCertificate):
        try:
            found = certificates.load_sent(content)[0]
        except ValueError as error:
            lines.append(f"  a certificate that cannot be read: {error}")
            continue
        lines.append(f"  certificate {certificates.common_name(found)}, {', '.join(certificates.uris(found))}")
        lines.append(f"    for {', '.join(certificates.hosts(found)) or 'no host'}")
        lines.append(f"    until {found.not_valid_after_utc:%Y-%m-%d}, sha256 {certificates.sha256(found)}")
        lines.append(f"    sha1 {certificates.sha1(found)}")
    return lines


async def _session(config: Config) -> tuple[str, list[str]]:
    """The server's state; its limits and namespaces, one line each. OSError."""
    async with connected(config) as session:
        found = await session.read([STATE])
        namespaces = await session.namespaces()
        limits = f"  at most {session.limits['read']} nodes a read, {session.limits['monitor']} monitored items a call"
    state = int(found.number[0]) if found.kind[0] == T.INT32 else -1
    name = ua.ServerState(state).name if 0 <= state <= 7 else "state unknown"
    return name, [limits, *(f"  ns={i}: {uri}" for i, uri in enumerate(namespaces))]
