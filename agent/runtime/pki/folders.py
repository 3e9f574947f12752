"""The folders of certificates, laid out as OPC UA applications do: people may also move files in them by hand.

own/certs own/private      our certificate and its key (mode 0600)
trusted/certs trusted/crl  peers that are trusted, and authorities whose certificates are; what these have revoked
issuer/certs issuer/crl    authorities that only complete a chain
rejected/certs             what came and was not trusted

They are read at each connect, so that a change counts at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from agent.runtime.pki import fingerprints, making
from agent.runtime.pki.certificates import (
    der,
    file_name,
    has_fingerprint,
    load_chain,
    load_crl,
    sha256,
)
from agent.runtime.pki.judging import Trust

log = logging.getLogger(__name__)

OWN_NAME = "edgetwin"
REJECTED_LIMIT = 50  # files: a stranger must not fill the disk
TRUSTED, ISSUER, REJECTED = "trusted", "issuer", "rejected"


@dataclass(frozen=True, slots=True)
class Kept:
    """A certificate of a peer and the file it lies in. `store`: trusted, issuer or rejected."""

    store: str
    path: Path
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders below `root` (pki_dir)."""

    root: Path

    @property
    def own_certificate(self) -> Path:
        """Where our certificate lies."""
        return self.root / "own" / "certs" / f"{OWN_NAME}.der"

    @property
    def own_key(self) -> Path:
        """Where its key lies."""
        return self.root / "own" / "private" / f"{OWN_NAME}.pem"

    def certs(self, store: str) -> Path:
        """The folder of the certificates of a store."""
        return self.root / store / "certs"

    def own(self, subject: making.Subject, bits: int = making.KEY_BITS) -> making.Own:
        """Our certificate and key, made on first use. OSError; ValueError where the files hold something else."""
        self.make()
        made, fresh = making.own(self.own_certificate, self.own_key, subject, bits)
        if fresh:
            log.warning(
                "opcua: made a certificate for %s in %s: servers have to trust it", made.uri, self.own_certificate
            )
        return made

    def renew(self, subject: making.Subject, bits: int = making.KEY_BITS) -> making.Own:
        """Our certificate and key made anew, under the URI they had. OSError."""
        self.make()
        return making.renew(self.own_certificate, self.own_key, subject, bits)

    def make(self) -> None:
        """All folders, so that people find where to put things. OSError."""
        making.folder(self.root)
        for store in ("own/certs", "own/private", "trusted/certs", "trusted/crl", "issuer/certs", "issuer/crl"):
            making.folder(self.root / store)
        making.folder(self.certs(REJECTED))

    def trust(self, pin: str = "") -> Trust:
        """Whom we trust now. A file that cannot be read is passed over and told."""
        return Trust(
            tuple(k.certificate for k in self.kept(TRUSTED)),
            tuple(k.certificate for k in self.kept(ISSUER)),
            tuple(self._crls()),
            pin,
        )

    def kept(self, store: str) -> Iterator[Kept]:
        """The certificates of a store, by file name."""
        for path in _files(self.certs(store)):
            try:
                for certificate in load_chain(path.read_bytes()):
                    yield Kept(store, path, certificate)
            except (OSError, ValueError) as error:
                log.warning("opcua: passed over among the certificates: %s: %s", path, error)

    def _crls(self) -> Iterator[x509.CertificateRevocationList]:
        for store in (TRUSTED, ISSUER):
            for path in _files(self.root / store / "crl"):
                try:
                    yield load_crl(path.read_bytes())
                except (OSError, ValueError) as error:
                    log.warning("opcua: passed over among the revocation lists: %s: %s", path, error)

    def reject(self, certificate: x509.Certificate) -> Path | None:
        """Keep what was not trusted, and say where; None where it cannot be kept."""
        path = self.certs(REJECTED) / file_name(certificate)
        try:
            making.folder(self.root)
            making.folder(path.parent)
            if not path.exists():
                if len(kept := _files(path.parent)) >= REJECTED_LIMIT:
                    min(kept, key=lambda p: p.stat().st_mtime).unlink()
                making.put(path, der(certificate), 0o644)
        except OSError as error:
            log.error("opcua: a certificate cannot be kept in %s: %s", path.parent, error)
            return None
        return path

    def move(self, wanted: str, to: str) -> list[Path]:
        """Put the certificates or the revocation list of a file, or what has a fingerprint here, into a store.

        OSError; ValueError says what is not found or cannot be used.
        """
        self.make()
        content = Path(wanted).read_bytes() if Path(wanted).is_file() else None
        if content is not None and (crl := _crl(content)) is not None:
            return [self._put_crl(crl, content, to)]
        found = _chain(wanted, content) if content is not None else [self._known(wanted)]
        return [self._put(certificate, to) for certificate in found]

    def _put(self, certificate: x509.Certificate, to: str) -> Path:
        target = self.certs(to) / file_name(certificate)
        making.put(target, der(certificate), 0o644)
        for store in {TRUSTED, ISSUER, REJECTED} - {to}:
            self._take_out(certificate, store)
        return target

    def _take_out(self, certificate: x509.Certificate, store: str) -> None:
        """Out of a store; what lies in the same file gets one of its own."""
        kept = list(self.kept(store))
        files = {k.path for k in kept if k.certificate == certificate}
        for other in [k.certificate for k in kept if k.path in files and k.certificate != certificate]:
            making.put(self.certs(store) / file_name(other), der(other), 0o644)
        for path in files:
            path.unlink(missing_ok=True)

    def _put_crl(self, crl: x509.CertificateRevocationList, content: bytes, to: str) -> Path:
        if to == REJECTED:
            raise ValueError("a revocation list is not rejected: remove its file")
        signed = [s for s in (TRUSTED, ISSUER) if any(k.certificate.subject == crl.issuer for k in self.kept(s))]
        target = self.root / (signed or [to])[0] / "crl" / f"{_plain(crl.issuer.rfc4514_string())}.crl"
        making.put(target, content, 0o644)
        return target

    def _known(self, wanted: str) -> x509.Certificate:
        digits = _fingerprint(wanted)
        found = {
            sha256(k.certificate): k.certificate
            for store in (REJECTED, TRUSTED, ISSUER)
            for k in self.kept(store)
            if has_fingerprint(k.certificate, digits)
        }
        if not found:
            raise ValueError(f"no certificate with the fingerprint {digits} in {self.root}, and no such file")
        return next(iter(found.values()))


def _files(folder: Path) -> list[Path]:
    """By name, without those that are just being written."""
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def _fingerprint(wanted: str) -> str:
    try:
        return fingerprints.read(wanted)
    except ValueError as error:
        raise ValueError(f"{wanted}: there is no such file, and it is no fingerprint") from error


def _chain(name: str, content: bytes) -> list[x509.Certificate]:
    try:
        return load_chain(content)
    except ValueError as error:
        raise ValueError(f"{name}: neither a certificate nor a revocation list: {error}") from error


def _crl(content: bytes) -> x509.CertificateRevocationList | None:
    try:
        return load_crl(content)
    except ValueError:
        return None


def _plain(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in text)[:64]
