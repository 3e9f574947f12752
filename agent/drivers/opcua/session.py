"""One OPC UA session: connecting with the security asked for, the server's limits, reading and writing in batches."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
from asyncua import Client, ua
from asyncua.crypto import security_policies

from agent.drivers.opcua.config import Config
from agent.drivers.opcua.node import NodeRef
from agent.runtime import clock, meters

POLICIES = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
MAX_NODES_PER_READ = ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead
MAX_ITEMS_PER_CALL = ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall
LARGEST = 1000
GOODBYE_S = 1.0


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Errors of the OPC UA library as OSError, with what was asked and the standard's name of the code."""
    try:
        yield
    except ua.UaStatusCodeError as error:
        raise ConnectionError(f"{what}: {error}") from error
    except ua.UaError as error:
        raise ConnectionError(f"{what}: {error}") from error
    except TimeoutError as error:
        raise TimeoutError(f"{what}: no answer in time") from error
    except OSError as error:
        raise type(error)(f"{what}: {error}") from error


class Session:
    """An open session. `read_limit` and `item_limit` are what the server takes in one call."""

    def __init__(self, client: Client, config: Config) -> None:
        """Wrap a client that is connected."""
        self.client = client
        self.config = config
        self.read_limit = LARGEST
        self.item_limit = LARGEST

    async def learn_limits(self) -> None:
        """Ask the server how many nodes it takes in one call; 0 or nothing means no limit of its own."""
        nodes = [ua.NodeId(int(i)) for i in (MAX_NODES_PER_READ, MAX_ITEMS_PER_CALL)]
        found = [v.Value.Value if v.Value is not None else None for v in await self.read(nodes)]
        self.read_limit, self.item_limit = (min(LARGEST, n) if isinstance(n, int) and n > 0 else LARGEST for n in found)

    async def namespaces(self) -> list[str]:
        """The server's namespace array."""
        (value,) = await self.read([ua.NodeId(int(ua.ObjectIds.Server_NamespaceArray))])
        found = value.Value.Value if value.Value is not None else None
        return [str(uri) for uri in found] if isinstance(found, list) else []

    async def resolve(self, refs: Sequence[NodeRef | None]) -> list[ua.NodeId | None]:
        """The node ids on this server as it is now; None where it has no such namespace."""
        namespaces = await self.namespaces()
        indexes = [None if ref is None else ref.index_in(namespaces) for ref in refs]
        return [
            None if ref is None or index is None else ua.NodeId(ref.identifier, index)
            for ref, index in zip(refs, indexes, strict=True)
        ]

    async def read(self, nodes: Sequence[ua.NodeId]) -> list[ua.DataValue]:
        """The newest value of each node, in as few calls as the server allows. OSError."""
        values: list[ua.DataValue] = []
        for start in range(0, len(nodes), self.read_limit):
            part = list(nodes[start : start + self.read_limit])
            with self._counted("read"):
                values += await self.client.uaclient.session.read_attributes(part, ua.AttributeIds.Value)
        if len(values) != len(nodes):
            raise ConnectionError(f"{self.config.endpoint} read: {len(values)} values came for {len(nodes)} nodes")
        return values

    async def write(self, node: ua.NodeId, value: ua.Variant) -> ua.StatusCode:
        """Write one value without stamps or status of ours; the server's verdict. OSError."""
        with self._counted("write"):
            found = await self.client.uaclient.session.write_attributes(
                [node], [ua.DataValue(Value=value, StatusCode=None)], ua.AttributeIds.Value
            )
        return found[0]

    @contextmanager
    def _counted(self, what: str) -> Iterator[None]:
        counts, done = meters.current(), False
        counts.add(f"{self.config.id}/requests")
        asked_ns = clock.now_ns()
        try:
            with translated(f"{self.config.endpoint} {what}"):
                yield
            done = True
        finally:
            if not done:
                counts.add(f"{self.config.id}/errors")
        counts.set(f"{self.config.id}/rtt_s", (clock.now_ns() - asked_ns) * 1e-9)


@asynccontextmanager
async def connected(config: Config) -> AsyncIterator[Session]:
    """A session, closed at the end whatever happens. OSError says why there is none."""
    # asyncua logs each of its failures with a traceback; what matters comes out as our errors.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    # The library's own health check is switched off by its length: ours reads what we need anyway.
    client = Client(config.endpoint, timeout=config.connect_timeout_s, watchdog_intervall=86_400.0)
    client.session_timeout = int(config.session_timeout_s * 1000)
    client.name = client.description = "edgetwin"
    client.application_uri = f"urn:{socket.gethostname()}:edgetwin"
    broken = True
    try:
        with translated(config.endpoint), anyio.fail_after(config.connect_timeout_s):
            await _secure(client, config)
            await client.connect(auto_reconnect=False)
            session = Session(client, config)
            await session.learn_limits()
        yield session
        broken = False
    except anyio.get_cancelled_exc_class():
        broken = False
        raise
    finally:
        await _leave(client, broken)


async def _leave(client: Client, broken: bool) -> None:
    """Close the session politely, or just the socket where the server is not there to hear it."""
    with anyio.CancelScope(shield=True):
        if broken and client.uaclient.protocol is not None:
            client.disconnect_socket()
            await anyio.lowlevel.checkpoint()
        with anyio.move_on_after(GOODBYE_S):
            try:
                await client.disconnect()
            except (OSError, ua.UaError):
                pass
        if client.uaclient.protocol is not None:
            client.disconnect_socket()
        await anyio.lowlevel.checkpoint()


async def _secure(client: Client, config: Config) -> None:
    """Set security and user before connecting. OSError says what is missing."""
    if config.user and config.password_file is not None:
        client.set_user(config.user)
        client.set_password(config.password_file.read_text().rstrip("\r\n"))
    if config.security == "none":
        return
    certificate, key = config.certificate, config.private_key
    if certificate is None or key is None:
        certificate, key = await own_certificate(client, config.pki_dir)
    pinned = None if config.server_certificate is None else str(config.server_certificate)
    mode = getattr(ua.MessageSecurityMode, config.mode)
    try:
        await client.set_security(POLICIES[config.security], certificate, key, server_certificate=pinned, mode=mode)
    except ValueError as error:
        raise OSError(f"certificate or key cannot be used ({certificate}, {key}): {error}") from error


async def own_certificate(client: Client, pki_dir: Path) -> tuple[Path, Path]:
    """(certificate, key) in `pki_dir`, made on first use; the key is readable by us alone."""
    certificate, key = pki_dir / "opcua-client.der", pki_dir / "opcua-client-key.pem"
    pki_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    await client.setup_self_signed_certificate(key, certificate)
    key.chmod(0o600)
    return certificate, key
