"""The server's own certificate, and the list of clients that are trusted (OPC 10000-4 §6.1.3).

certificate_dir/own.der, own.pem (key, mode 0600)
trusted/   certificates of clients, or of authorities whose clients are trusted; DER or PEM
rejected/  what came and was refused: move it to trusted/ to let it in; the server looks at each connection
"""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa

from agent.runtime.pki import making
from agent.runtime.pki.certificates import der, file_name, first, load, uris

log = logging.getLogger(__name__)

REJECTED_LIMIT = 50  # files: a stranger must not fill the disk


def own(directory: Path, uri: str, endpoint: str) -> tuple[Path, Path]:
    """(certificate, key) of this server, made if missing or made for another URI. OSError."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    certificate, key = directory / "own.der", directory / "own.pem"
    subject = making.Subject(f"edgetwin {uri.rsplit(':', 1)[-1]}", uri, _hosts(endpoint))
    try:
        found, fresh = making.own(certificate, key, subject)
    except ValueError as error:
        raise OSError(str(error)) from error
    if uri not in uris(found.certificate):
        certificate.unlink()  # of another gateway: its URI does not rule here
        _, fresh = making.own(certificate, key, subject)
    if fresh:
        log.warning("opcua: made a certificate for %s in %s: clients have to trust it", uri, certificate)
    return certificate, key


def _hosts(endpoint: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys([urlsplit(endpoint).hostname or "localhost", socket.gethostname(), "localhost"]))


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
        now = making.wall()
        if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
            raise Untrusted(
                "BadCertificateTimeInvalid", f"valid from {leaf.not_valid_before_utc} to {leaf.not_valid_after_utc}"
            )
        if not isinstance(key := leaf.public_key(), rsa.RSAPublicKey) or key.key_size < 2048:
            raise Untrusted("BadCertificatePolicyCheckFailed", "expected an RSA key of 2048 bits or more")
        if not any(_vouches(trusted, leaf) for trusted in self._trusted()):
            self._refuse_or_remember(leaf)
        if application_uri is not None and application_uri not in uris(leaf):
            raise Untrusted("BadCertificateUriInvalid", f"the certificate is for {uris(leaf)}, not {application_uri}")

    def _trusted(self) -> list[x509.Certificate]:
        found = []
        for path in sorted(self.trusted.glob("*")):
            try:
                found.append(load(path.read_bytes()))
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
        path.write_bytes(der(certificate))
    except OSError as error:
        log.error("opcua: a certificate cannot be kept: %s", error)


def _leaf(chain: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(first(chain))
    except ValueError as error:
        raise Untrusted("BadCertificateInvalid", f"not a certificate: {error}") from error


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
