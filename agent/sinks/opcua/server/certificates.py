"""The server's own certificate, and the list of clients that are trusted (OPC 10000-4 §6.1.3).

certificate_dir/own.der, own.pem (key, mode 0600)
trusted/   certificates of clients, or of authorities whose clients are trusted; DER or PEM
rejected/  what came and was refused: move it to trusted/ to let it in; the server looks at each connection
"""

from __future__ import annotations

import datetime
import ipaddress
import logging
import os
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.runtime import clock

log = logging.getLogger(__name__)

YEARS = 10
KEY_BITS = 2048  # what all three policies allow
REJECTED_LIMIT = 50  # files: a stranger must not fill the disk


def own(directory: Path, uri: str, endpoint: str) -> tuple[Path, Path]:
    """(certificate, key) of this server, made if missing or made for another URI."""
    certificate, key = directory / "own.der", directory / "own.pem"
    if not (certificate.exists() and key.exists() and uri in _uris(_load(certificate.read_bytes()))):
        _make(certificate, key, uri, endpoint)
        log.warning("opcua: made a certificate for %s in %s: clients have to trust it", uri, certificate)
    return certificate, key


def _make(certificate: Path, key: Path, uri: str, endpoint: str) -> None:
    certificate.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"edgetwin {uri.rsplit(':', 1)[-1]}"[:64])])
    start = datetime.datetime.fromtimestamp(clock.wall_ns() / 1e9, datetime.UTC) - datetime.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=365 * YEARS))
    )
    for extension, critical in _extensions(private.public_key(), uri, endpoint):
        builder = builder.add_extension(extension, critical)
    signed = builder.sign(private, hashes.SHA256())
    encoded = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write_private(key, encoded)
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.DER))


def _extensions(key: rsa.RSAPublicKey, uri: str, endpoint: str) -> list[tuple[x509.ExtensionType, bool]]:
    """What OPC 10000-6 §6.2.2 asks of an application instance certificate."""
    usage = x509.KeyUsage(True, True, True, True, False, False, False, False, False)
    return [
        (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), *_host_names(endpoint)]), False),
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (usage, True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), False),
        (x509.SubjectKeyIdentifier.from_public_key(key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(key), False),
    ]


def _host_names(endpoint: str) -> list[x509.GeneralName]:
    hosts = dict.fromkeys([urlsplit(endpoint).hostname or "localhost", socket.gethostname(), "localhost"])
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _write_private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


class Untrusted(Exception):  # noqa: N818  (it is an answer to a client, not a fault of ours)
    """A client certificate that is not accepted. `reason` is the name of the OPC UA status code."""

    def __init__(self, reason: str, text: str) -> None:
        """`text` says to a person what is wrong."""
        super().__init__(text)
        self.reason = reason


class TrustList:
    """Which clients may connect. The folders are read at each check, so that a change counts at once."""

    def __init__(self, trusted: Path, rejected: Path, on_first_use: bool) -> None:
        """Make the folders; `on_first_use` lets everybody in and remembers them."""
        self.trusted = trusted
        self.rejected = rejected
        self.on_first_use = on_first_use
        for folder in (trusted, rejected):
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)

    def check(self, certificate: bytes, application_uri: str | None = None) -> None:
        """Accept the certificate of a client (DER, perhaps with its chain behind it) or raise Untrusted.

        With `application_uri` also that the certificate belongs to the application that shows it.
        """
        leaf = _leaf(certificate)
        now = datetime.datetime.fromtimestamp(clock.wall_ns() / 1e9, datetime.UTC)
        if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
            raise Untrusted(
                "BadCertificateTimeInvalid", f"valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc}"
            )
        if not isinstance(key := leaf.public_key(), rsa.RSAPublicKey) or key.key_size < 2048:
            raise Untrusted("BadCertificatePolicyCheckFailed", "expected an RSA key of 2048 bits or more")
        if not any(_vouches(trusted, leaf) for trusted in self._trusted()):
            self._refuse_or_remember(leaf)
        if application_uri is not None and application_uri not in _uris(leaf):
            raise Untrusted("BadCertificateUriInvalid", f"the certificate is for {_uris(leaf)}, not {application_uri}")

    def _trusted(self) -> list[x509.Certificate]:
        found = []
        for path in sorted(self.trusted.glob("*")):
            try:
                found.append(_load(path.read_bytes()))
            except (OSError, ValueError) as error:
                log.warning("opcua: passed over in the list of the trusted: %s: %s", path, error)
        return found

    def _refuse_or_remember(self, leaf: x509.Certificate) -> None:
        name = file_name(leaf)
        if self.on_first_use:
            _keep(self.trusted / name, leaf)
            log.warning("opcua: trust on first use: %s is trusted from now on", name)
            return
        if len(list(self.rejected.glob("*"))) < REJECTED_LIMIT:
            _keep(self.rejected / name, leaf)
        kept = self.rejected / name
        raise Untrusted("BadCertificateUntrusted", f"refused; to trust it move {kept} to {self.trusted}")


def _keep(path: Path, certificate: x509.Certificate) -> None:
    try:
        path.write_bytes(certificate.public_bytes(serialization.Encoding.DER))
    except OSError as error:
        log.error("opcua: a certificate cannot be kept: %s", error)


def file_name(certificate: x509.Certificate) -> str:
    """The common name and the SHA-1 thumbprint, as other servers name these files."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    common = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(names[0].value))[:64] if names else "unnamed"
    return f"{common}-{certificate.fingerprint(hashes.SHA1()).hex()}.der"


def first(chain: bytes | None) -> bytes:
    """The first certificate of a chain: DER is a SEQUENCE with its length at its head. Empty for none."""
    if not chain or len(chain) < 2:
        return b""
    octets = chain[1] & 0x7F if chain[1] & 0x80 else 0
    length = int.from_bytes(chain[2 : 2 + octets], "big") if octets else chain[1]
    return chain[: 2 + octets + length]


def _leaf(chain: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(first(chain))
    except ValueError as error:
        raise Untrusted("BadCertificateInvalid", f"not a certificate: {error}") from error


def _load(content: bytes) -> x509.Certificate:
    pem = content.lstrip().startswith(b"-----BEGIN")
    return x509.load_pem_x509_certificate(content) if pem else x509.load_der_x509_certificate(content)


def _vouches(trusted: x509.Certificate, leaf: x509.Certificate) -> bool:
    """It is the very certificate, or the authority that signed it."""
    if trusted == leaf:
        return True
    try:
        if not trusted.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        leaf.verify_directly_issued_by(trusted)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return True


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return names.get_values_for_type(x509.UniformResourceIdentifier)
