"""Our own application instance certificate (OPC 10000-6 §6.2.2) and its key: made on first use, whole or not at all.

The URI of a certificate that is there rules: a host that gets another name keeps its old ApplicationUri, because
servers know us by it.
"""

from __future__ import annotations

import datetime
import fcntl
import ipaddress
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.runtime import clock
from agent.runtime.pki.certificates import common_name, der, hosts, load, load_chain, load_key, uris

YEARS = 10
KEY_BITS = 2048  # what all policies allow; the deprecated ones allow no more
# A clock that says less was never set: what were made then would be over as soon as the clock is right.
EARLIEST = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Own:
    """Our certificate with the authorities behind it, and its key."""

    chain: tuple[x509.Certificate, ...]
    key: rsa.RSAPrivateKey

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate itself."""
        return self.chain[0]

    @property
    def uri(self) -> str:
        """Our ApplicationUri."""
        return uris(self.certificate)[0]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a certificate that we make says of us. `hosts`: names and addresses."""

    name: str
    uri: str
    hosts: tuple[str, ...]


class Mismatch(ValueError):  # noqa: N818
    """A certificate and a key that do not belong together."""


def wall() -> datetime.datetime:
    """The time in UTC as this machine believes."""
    return datetime.datetime.fromtimestamp(clock.wall_ns() / 1e9, datetime.UTC)


def loaded(certificate: Path, key: Path) -> Own:
    """A pair from its files, DER or PEM. OSError; ValueError names the file and says what is wrong with it."""
    try:
        chain = tuple(load_chain(certificate.read_bytes()))
    except ValueError as error:
        raise ValueError(f"{certificate}: not a certificate: {error}") from error
    try:
        private = load_key(key.read_bytes())
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
    if private.public_key() != chain[0].public_key():
        raise Mismatch(f"{key} is not the key of {certificate}")
    if not uris(chain[0]):
        raise ValueError(
            f"{certificate}: no URI in its SubjectAltName, expected our ApplicationUri (OPC 10000-6 §6.2.2)"
        )
    return Own(chain, private)


def own(certificate: Path, key: Path, subject: Subject, bits: int = KEY_BITS) -> tuple[Own, bool]:
    """The pair in these files, made if there is none; and whether it was made now.

    Two that come at once get the same pair. A certificate without its key, or with another's, is issued anew under its
    old URI. OSError says what stands in the way; ValueError what the files hold instead.
    """
    with locked(certificate.parent):
        if certificate.exists() and key.exists():
            try:
                return loaded(certificate, key), False
            except Mismatch:
                pass  # left behind in the middle of a renewal
        made = _make(certificate, key, _kept(certificate, subject), bits)
        return made, True


def renew(certificate: Path, key: Path, subject: Subject, bits: int = KEY_BITS) -> Own:
    """A new pair in place of the old one, with its URI; `subject` where there was none. OSError."""
    with locked(certificate.parent):
        return _make(certificate, key, _kept(certificate, subject), bits)


def _kept(certificate: Path, subject: Subject) -> Subject:
    """The subject with the name and URI of the certificate that is there."""
    try:
        old = load(certificate.read_bytes())
    except (OSError, ValueError):
        return subject
    names = tuple(dict.fromkeys((*subject.hosts, *hosts(old))))
    return Subject(common_name(old), uris(old)[0], names) if uris(old) else subject


def _make(certificate: Path, key: Path, subject: Subject, bits: int) -> Own:
    now = wall()
    if now < EARLIEST:
        raise OSError(
            f"{certificate} is not made while the clock of this machine says {now:%Y-%m-%d}: waiting for the time"
        )
    private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    signed = signed_by_itself(private, subject, now)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder(key.parent)
    put(key, pem, 0o600)
    put(certificate, der(signed), 0o644)
    return Own((signed,), private)


def signed_by_itself(key: rsa.RSAPrivateKey, subject: Subject, now: datetime.datetime) -> x509.Certificate:
    """A self-signed certificate that begins a day before `now`: the clock of the peer may be behind."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject.name[:64])])
    start = now - datetime.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=365 * YEARS))
    )
    for extension, critical in _extensions(key.public_key(), subject):
        builder = builder.add_extension(extension, critical)
    return builder.sign(key, hashes.SHA256())


def _extensions(key: rsa.RSAPublicKey, subject: Subject) -> list[tuple[x509.ExtensionType, bool]]:
    """Usages: digitalSignature, nonRepudiation, keyEncipherment, dataEncipherment; keyCertSign, as it signs itself."""
    usage = x509.KeyUsage(True, True, True, True, False, True, False, False, False)
    names = [x509.UniformResourceIdentifier(subject.uri), *map(_general_name, subject.hosts)]
    return [
        (x509.SubjectAlternativeName(names), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(key), False),
    ]


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def folder(path: Path) -> None:
    """A folder for us alone, and for whom what is above it belongs to: root may make it for the daemon. OSError."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700 if one is path else 0o755, exist_ok=True)
        _give(one, one.parent)


def put(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all. OSError."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    _give(fresh, path.parent)
    fresh.replace(path)


def _give(path: Path, like: Path) -> None:
    """What root makes belongs to whom the folder belongs to."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One at a time, threads and processes alike."""
    folder(directory)
    lock = directory / ".lock"
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _give(lock, directory)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
