"""Connecting to an OPC UA server with the security asked for, and leaving it."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.lowlevel
from asyncua import Client, ua
from asyncua.crypto import security_policies

from agent.drivers.opcua.config import Config
from agent.drivers.opcua.errors import translated
from agent.drivers.opcua.services import Session

POLICIES = {
    "Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
GOODBYE_S = 1.0


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
