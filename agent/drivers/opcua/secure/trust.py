"""Our certificate, and whether a server's is accepted. No OPC UA library needed."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509

from agent.config.hosts import on_this_machine
from agent.drivers.opcua.secure.security import Security
from agent.runtime import timesync
from agent.runtime.pki import certificates, making
from agent.runtime.pki.folders import Folders
from agent.runtime.pki.judging import Expected, Finding, findings

log = logging.getLogger(__name__)

WARN_DAYS = 30.0


def subject() -> making.Subject:
    """What a certificate of ours that is made now says."""
    host = socket.gethostname()
    return making.Subject(f"edgetwin {host}", f"urn:{host}:edgetwin:client", (host,))


def ours(config: Security) -> making.Own:
    """Our certificate and key: those of the configuration, else our own, made on first use. OSError."""
    try:
        if config.certificate is not None and config.private_key is not None:
            return making.loaded(config.certificate, config.private_key)
        return Folders(config.pki_dir).own(subject(), config.key_bits)
    except ValueError as error:
        raise OSError(str(error)) from error


def named(own: making.Own) -> str:
    """Our certificate as a person finds it on the server."""
    thumbprint = certificates.sha1(own.certificate).upper()
    return f"{certificates.common_name(own.certificate)} (SHA-1 thumbprint {thumbprint})"


def files(config: Security) -> tuple[Path, Path]:
    """Where our certificate and key lie."""
    if config.certificate is not None and config.private_key is not None:
        return config.certificate, config.private_key
    folders = Folders(config.pki_dir)
    return folders.own_certificate, folders.own_key


Stamp = tuple[tuple[int, int, int], ...]


def stamp(config: Security) -> Stamp:
    """(time, size, inode) of the files of our certificate and key; another after each change. Empty: none yet."""
    try:
        found = [path.stat() for path in files(config)]
    except FileNotFoundError:
        return ()
    return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in found)


def days_left(certificate: x509.Certificate) -> float:
    """Until its time ends, in days."""
    return (certificate.not_valid_after_utc - making.wall()).total_seconds() / 86_400


def doubts(sent: Sequence[x509.Certificate], config: Security, expected: Expected) -> list[Finding]:
    """What speaks against the chain of a server, as our folders and pins are now. OSError where a pin is not there."""
    trust = Folders(config.pki_dir).trust(_pin(config))
    return findings(sent, trust, expected, making.wall())


def accept(chain: bytes, config: Security, expected: Expected) -> list[x509.Certificate]:
    """The server's certificate and what stands behind it, if it is accepted. OSError says all that speaks against it.

    One that is not trusted is kept among the rejected.
    """
    try:
        sent = certificates.load_sent(chain)
    except ValueError as error:
        raise ConnectionError(
            f"the server shows no certificate that can be read (BadCertificateInvalid): {error}"
        ) from error
    found = doubts(sent, config, expected)
    if config.trust == "none":
        log.warning("%s: trust none: took %s for the server", config.id, certificates.sha256(sent[0]))
    overlooked = {f.step for f in found} - {"policy"} if config.trust == "none" else set(config.ignore)
    against = [f for f in found if f.step not in overlooked]
    for finding in found:
        if finding not in against:
            log.warning("%s: ignored: %s: %s", config.id, finding.status, finding.text)
    if against:
        raise ConnectionError(_refused(sent[0], against, config))
    return sent


def expected(config: Security, uri: str, suite_keys: tuple[int, int], sha1: bool) -> Expected:
    """What the server's certificate has to say. On the loopback interface the host is this one, whatever its name."""
    host = "" if on_this_machine(config.host) else config.host
    return Expected(uri, host, *suite_keys, sha1)


def _pin(config: Security) -> str:
    if config.server_certificate is None:
        return config.server_fingerprint
    try:
        return f"sha256:{certificates.sha256(certificates.load(config.server_certificate.read_bytes()))}"
    except ValueError as error:
        raise OSError(f"{config.server_certificate}: not a certificate: {error}") from error


def _refused(leaf: x509.Certificate, against: Sequence[Finding], config: Security) -> str:
    said = "; ".join(f"{f.text} ({f.status})" for f in against)
    text = f"the certificate of the server is not accepted: {said}"
    steps = {f.step for f in against}
    if "validity" in steps and timesync.quality() != timesync.SYNCHRONISED:
        text += "; the clock of this machine is not synchronised"
    if steps & {"trust", "chain"} and not (config.server_certificate or config.server_fingerprint):
        kept = Folders(config.pki_dir).reject(leaf) or certificates.sha256(leaf)
        text += f"; if this fingerprint is the server's: edgetwin certs trust {kept} CONFIG"
    ways = [s for s in ("validity", "host_name", "uri", "usage", "revocation") if s in steps]
    if ways and steps == set(ways):
        text += f"; to accept it all the same: ignore: [{', '.join(ways)}]"
    return text
