"""A feed, the OPC UA sink over it with its real child process, and clients of it."""

import asyncio
import datetime
import os
import socket
import time
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from asyncua import Client, ua
from asyncua.crypto.security_policies import (
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from feed_taps import FakeTaps

from agent.core.nouns import Answer
from agent.runtime import meters
from agent.sinks import feed, opcua
from agent.sinks.opcua import users

USER, PASSWORD = "anna", "correct horse"
CLIENT_URI = "urn:test:client"
POLICIES = {
    "Basic256Sha256": SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": SecurityPolicyAes256Sha256RsaPss,
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificate(folder, name, uri=CLIENT_URI, days=30):
    """(certificate, key) of a client, as DER and PEM files."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(True, True, True, True, False, False, False, False, False)
    names = [x509.UniformResourceIdentifier(uri), x509.DNSName("localhost"), x509.DNSName(socket.gethostname())]
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=60))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(usage, True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / f"{name}.der", folder / f"{name}.pem"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.DER))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / f"{name}.crt.pem").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return certificate, private


async def refuse(request):
    return Answer(request.id, False, "nothing is written here")


class Rig:
    """What a test holds: `taps` to show something, `url` to connect to, `meters`, and the child's process id."""

    def __init__(self, folder, **options):
        self.folder = folder
        self.taps = FakeTaps()
        self.port = free_port()
        self.url = f"opc.tcp://127.0.0.1:{self.port}"
        self.feed_config = feed.Config(socket=folder / "feed.sock")
        users.add(folder / "users", USER, PASSWORD)
        self.config = opcua.Config(
            endpoint=self.url,
            users_file=folder / "users",
            certificate_dir=folder / "pki",
            feed_socket=self.feed_config.socket,
            **options,
        )
        self.meters = meters.Meters()
        self.others = frozenset(opcua_children())

    def trust(self, certificate):
        trusted = self.folder / "pki" / "trusted"
        trusted.mkdir(parents=True, exist_ok=True)
        (trusted / certificate.name).write_bytes(certificate.read_bytes())

    def client(self, identity=None, policy="Basic256Sha256", user=USER, password=PASSWORD):
        """An asyncua client, secured unless `identity` is None."""
        client = Client(self.url, timeout=6)
        client.application_uri = CLIENT_URI
        if user is not None:
            client.set_user(user)
            client.set_password(password)
        self.secured = identity
        client.rig_security = (POLICIES[policy], identity) if identity else None
        return client

    async def listening(self, within_s=30):
        with anyio.fail_after(within_s):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await anyio.sleep(0.05)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return

    def children(self):
        """Process ids of this rig's OPC UA server: one, or none."""
        return [child for child in opcua_children() if child not in self.others]


def opcua_children():
    """Process ids of all OPC UA servers that this process has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue
            if parent == os.getpid() and b"agent.sinks.opcua.server" in command:
                found.append(int(entry.name))
    return found


@asynccontextmanager
async def connected(client):
    """Enter a client; the security is set here because that reads files."""
    if client.rig_security:
        policy, (certificate, key) = client.rig_security
        await client.set_security(policy, str(certificate), str(key), mode=ua.MessageSecurityMode.SignAndEncrypt)
    async with client:
        yield client


@asynccontextmanager
async def running(rig, *nouns):
    """The feed and the sink with its child, ready to be connected to; started at `rig.started_s`."""
    rig.taps.put(*nouns)
    meters.install(rig.meters)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run, rig.feed_config, rig.taps, refuse)
        start = time.monotonic()
        tasks.start_soon(opcua.run, rig.config, rig.taps, refuse)
        if nouns:
            await rig.listening()
        rig.start_s = time.monotonic() - start
        yield rig
        tasks.cancel_scope.cancel()


async def until(condition, within_s=10):
    """Wait until `condition()` (perhaps a coroutine) gives something true, and give it."""
    with anyio.fail_after(within_s):
        while True:
            value = condition()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await anyio.sleep(0.05)
