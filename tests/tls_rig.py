"""Certificates made for a test, and a TLS end in front of a plain server: what a PLC with Modbus Security does."""

import asyncio
import datetime
import ipaddress
import ssl
from contextlib import asynccontextmanager

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)
PEM = serialization.Encoding.PEM


def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """Signs certificates; `issue` writes NAME.crt and NAME.key and gives their paths."""

    def __init__(self, folder, name="plant CA"):
        self.folder, self.name, self.key = folder, named(name), ec.generate_private_key(ec.SECP256R1())
        own = self._sign(self.name, self.key, (), ca=True)
        self.file = folder / f"{name.replace(' ', '-')}.crt"
        self.file.write_bytes(own.public_bytes(PEM))

    def issue(self, name, sans=(), start=-DAY, end=30 * DAY, passphrase=None):
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._sign(named(name), key, sans, start=start, end=end)
        certificate, private = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(made.public_bytes(PEM))
        sealed = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        private.write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, sealed))
        return certificate, private

    def _sign(self, subject, key, sans, ca=False, start=-DAY, end=30 * DAY):
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now + start).not_valid_after(now + end)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        if ca:
            usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        if sans:
            names = [x509.IPAddress(ipaddress.ip_address(s)) if s[0].isdigit() else x509.DNSName(s) for s in sans]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self.key, hashes.SHA256())


def fingerprint(certificate):
    """SHA-256 of a certificate file, as openssl prints it."""
    found = x509.load_pem_x509_certificate(certificate.read_bytes()).fingerprint(hashes.SHA256())
    return found.hex(":").upper()


def device_context(certificate, key, clients=None, newest=None):
    """What a device listens with; `clients`: who signs its clients' certificates, None: it asks for none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    if newest is not None:
        context.maximum_version = newest
    return context


class TlsEnd:
    """Counts the `connections` that came through with TLS, and keeps the `versions` of TLS that they spoke."""

    def __init__(self, to_port, context):
        self.connections, self._to_port = 0, to_port
        self.context, self.versions = context, []

    async def talk(self, reader, writer):
        self.connections += 1
        self.versions.append(writer.get_extra_info("ssl_object").version())
        try:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._to_port)
        except OSError:
            writer.transport.abort()
            return
        pumps = [asyncio.create_task(p) for p in (_pump(reader, inner_writer), _pump(inner_reader, writer))]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            inner_writer.transport.abort()
            writer.transport.abort()


async def _pump(reader, writer):
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    except OSError:
        return


@asynccontextmanager
async def tls_end(to_port, context):
    """A TLS end on a port of its own in front of `to_port`; gives (end, port)."""
    end, talks = TlsEnd(to_port, context), set()

    async def talk(reader, writer):
        task = asyncio.current_task()
        talks.add(task)
        try:
            await end.talk(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            talks.discard(task)

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    try:
        yield end, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0)
