"""A peer's certificate, step by step as OPC 10000-4 §6.1.3 lists them: everything that speaks against it. Pure.

Each step that fails is a Finding: the name of the standard's status code and a sentence for a person. Whether one may
be overlooked is decided by who asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from agent.runtime.pki.certificates import common_name, has_fingerprint, hosts, sha1, sha256, uris

LONGEST_PATH = 8
UNVERIFIABLE = (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError)


@dataclass(frozen=True, slots=True)
class Finding:
    """One step that failed. `step`: signature, chain, policy, trust, validity, host_name, uri, usage,
    revocation (not known) or revoked."""

    step: str
    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom we trust. With a `pin` (a fingerprint, as fingerprints.read gives it) only the certificate that has it."""

    trusted: tuple[x509.Certificate, ...] = ()
    issuers: tuple[x509.Certificate, ...] = ()
    crls: tuple[x509.CertificateRevocationList, ...] = ()
    pin: str = ""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a server's certificate has to say. `host` as written in the endpoint; empty: any.

    `smallest_key`, `largest_key` in bits and `sha1`, whether a signature over SHA-1 will do, are the security policy's.
    """

    uri: str
    host: str = ""
    smallest_key: int = 2048
    largest_key: int = 4096
    sha1: bool = False


def findings(sent: Sequence[x509.Certificate], trust: Trust, expected: Expected, now: datetime) -> list[Finding]:
    """All that speaks against the server that sent this chain, in the standard's order; empty: it is accepted."""
    leaf = sent[0]
    known = leaf in trust.trusted or bool(trust.pin and has_fingerprint(leaf, trust.pin))
    path, broken = _path(sent, trust, known)
    return [
        *broken,
        *_policy(leaf, expected),
        *_trusted(path, trust, known),
        *_validity(path, now),
        *_host_name(leaf, expected, bool(trust.pin)),
        *_uri(leaf, expected),
        *_usage(path),
        *_revocation(path, trust, known, now),
    ]


def _path(sent: Sequence[x509.Certificate], trust: Trust, known: bool) -> tuple[list[x509.Certificate], list[Finding]]:
    """From the leaf to the first certificate that is trusted, or else as far up as it goes; and what broke it."""
    candidates = [*trust.trusted, *trust.issuers, *sent[1:]]
    path = [sent[0]]
    while len(path) <= LONGEST_PATH:
        last = path[-1]
        if known or last in trust.trusted:
            return path, []
        if last.issuer == last.subject:
            forged = Finding("signature", "BadCertificateInvalid", f"the signature of {common_name(last)} is wrong")
            return path, [] if _issued(last, last) else [forged]
        issuer = _issuer(last, candidates)
        if issuer is None:
            return path, [_unissued(last, any(c.subject == last.issuer for c in candidates))]
        path.append(issuer)
    return path, [Finding("chain", "BadCertificateChainIncomplete", f"its chain is longer than {LONGEST_PATH}")]


def _issuer(certificate: x509.Certificate, candidates: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """The one whose key has signed it: an authority that was renewed is there twice under one name."""
    return next((c for c in candidates if c.subject == certificate.issuer and _issued(certificate, c)), None)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except UNVERIFIABLE:
        return False
    return True


def _unissued(certificate: x509.Certificate, named: bool) -> Finding:
    issuer = certificate.issuer.rfc4514_string()
    if named:
        text = f"the signature of {common_name(certificate)} is not that of its authority {issuer}"
        return Finding("signature", "BadCertificateInvalid", text)
    text = f"the authority {issuer} that signed {common_name(certificate)} is not known here"
    return Finding("chain", "BadCertificateChainIncomplete", text)


def _policy(leaf: x509.Certificate, expected: Expected) -> Iterator[Finding]:
    lo, hi = expected.smallest_key, expected.largest_key
    key = leaf.public_key()
    if not isinstance(key, rsa.RSAPublicKey) or not lo <= key.key_size <= hi:
        found = f"{key.key_size} bits" if isinstance(key, rsa.RSAPublicKey) else "of another kind"
        text = f"its key is {found}, expected an RSA key of {lo} to {hi} bits"
        yield Finding("policy", "BadCertificatePolicyCheckFailed", text)
    algorithm = _hash_name(leaf)
    if algorithm in ("md5", "") or (algorithm == "sha1" and not expected.sha1):
        text = f"it is signed over {algorithm.upper() or 'an unknown hash'}, expected SHA-256 or stronger"
        yield Finding("policy", "BadCertificatePolicyCheckFailed", text)


def _hash_name(certificate: x509.Certificate) -> str:
    try:
        found = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return "" if found is None else found.name


def _trusted(path: Sequence[x509.Certificate], trust: Trust, known: bool) -> Iterator[Finding]:
    leaf = path[0]
    shown = f"{common_name(leaf)} (sha256 {sha256(leaf)}, sha1 {sha1(leaf)})"
    if trust.pin:
        if not has_fingerprint(leaf, trust.pin):
            yield Finding("trust", "BadCertificateUntrusted", f"it is {shown}, expected {trust.pin}")
    elif not known and not any(c in trust.trusted for c in path):
        yield Finding("trust", "BadCertificateUntrusted", f"{shown} is not trusted")


def _validity(path: Sequence[x509.Certificate], now: datetime) -> Iterator[Finding]:
    for certificate in path:
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not start <= now <= end:
            status = "BadCertificateTimeInvalid" if certificate is path[0] else "BadCertificateIssuerTimeInvalid"
            when = f"is valid only from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
            text = f"{common_name(certificate)} {when}; it is {now:%Y-%m-%d %H:%M} here"
            yield Finding("validity", status, text)


def _host_name(leaf: x509.Certificate, expected: Expected, pinned: bool) -> Iterator[Finding]:
    """A pin names this one server already: who it is does not hang on a name."""
    wanted = expected.host.casefold().rstrip(".")
    names = [name.casefold().rstrip(".") for name in hosts(leaf)]
    if wanted and not pinned and wanted not in names:
        text = f"it is for {', '.join(names) or 'no host at all'}, not for {expected.host}"
        yield Finding("host_name", "BadCertificateHostNameInvalid", text)


def _uri(leaf: x509.Certificate, expected: Expected) -> Iterator[Finding]:
    """OPC 10000-4 §6.1.3: the ApplicationUri that the server tells of itself stands in its certificate."""
    if expected.uri not in uris(leaf):
        text = f"it is for {', '.join(uris(leaf)) or 'no URI at all'}, but the server calls itself {expected.uri}"
        yield Finding("uri", "BadCertificateUriInvalid", text)


def _usage(path: Sequence[x509.Certificate]) -> Iterator[Finding]:
    """OPC 10000-6 §6.2.2. What is left out restricts nothing (RFC 5280 §4.2.1.3)."""
    usage = _key_usage(path[0])
    missing = [
        word
        for word, bit in (
            ("digitalSignature", "digital_signature"),
            ("keyEncipherment", "key_encipherment"),
            ("dataEncipherment", "data_encipherment"),
        )
        if usage is not None and not getattr(usage, bit)
    ]
    missing += [] if _serves(path[0]) else ["serverAuth"]
    if missing:
        text = f"it may not be used for {', '.join(missing)}, which a server needs"
        yield Finding("usage", "BadCertificateUseNotAllowed", text)
    for below, authority in enumerate(path[1:]):
        if not _signs(authority, below):
            text = f"{common_name(authority)} is no authority that may sign certificates"
            yield Finding("usage", "BadCertificateIssuerUseNotAllowed", text)


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def _serves(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return True
    return ExtendedKeyUsageOID.SERVER_AUTH in usages or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usages


def _signs(authority: x509.Certificate, below: int) -> bool:
    """Whether it is an authority, with so many authorities below it."""
    try:
        basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    usage = _key_usage(authority)
    deep_enough = basic.path_length is None or basic.path_length >= below
    return basic.ca and deep_enough and (usage is None or usage.key_cert_sign)


def _revocation(path: Sequence[x509.Certificate], trust: Trust, known: bool, now: datetime) -> Iterator[Finding]:
    """For a certificate that is trusted itself a list may be missing, but what stands in a list counts."""
    above = _issuer(path[0], trust.issuers + trust.trusted) if known else None
    path = [path[0], above] if above is not None else path
    for certificate, issuer in pairwise(path):
        of_issuer = "" if certificate is path[0] else "Issuer"
        newest = _newest(trust.crls, issuer)
        if not known and (lack := _lack(newest, now)):
            text = f"the revocation list of {common_name(issuer)} {lack}"
            yield Finding("revocation", f"BadCertificate{of_issuer}RevocationUnknown", text)
        if newest is not None and newest.get_revoked_certificate_by_serial_number(certificate.serial_number):
            text = f"{common_name(certificate)} was revoked by {common_name(issuer)}"
            yield Finding("revoked", f"BadCertificate{of_issuer}Revoked", text)


def _lack(crl: x509.CertificateRevocationList | None, now: datetime) -> str:
    if crl is None:
        return "is missing"
    end = crl.next_update_utc
    return f"ended at {end:%Y-%m-%d %H:%M} UTC" if end is not None and end < now else ""


def _newest(
    crls: Sequence[x509.CertificateRevocationList], issuer: x509.Certificate
) -> x509.CertificateRevocationList | None:
    """The newest list that this authority has signed."""
    mine = [crl for crl in crls if crl.issuer == issuer.subject and _signed(crl, issuer)]
    return max(mine, key=lambda crl: crl.last_update_utc, default=None)


def _signed(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    key = issuer.public_key()
    try:
        return isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) and crl.is_signature_valid(key)
    except UNVERIFIABLE:
        return False
