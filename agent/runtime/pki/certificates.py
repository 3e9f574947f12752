"""Reading certificates, revocation lists and keys: DER or PEM, alone or in chains; what they say of their owner."""

from __future__ import annotations

import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

BEGIN = b"-----BEGIN"


def load(content: bytes) -> x509.Certificate:
    """The first certificate of a file, DER or PEM. ValueError where there is none."""
    return load_chain(content)[0]


def load_chain(content: bytes) -> list[x509.Certificate]:
    """All certificates of a file or a message, one after the other, DER or PEM. ValueError where one cannot be read."""
    if content.lstrip().startswith(BEGIN):
        return list(x509.load_pem_x509_certificates(content))
    found, rest = [], content
    while rest:
        one = first(rest)
        found.append(x509.load_der_x509_certificate(one))
        rest = rest[len(one) :]
    if not found:
        raise ValueError("it is empty")
    return found


def load_sent(content: bytes) -> list[x509.Certificate]:
    """What a peer sent: its certificate (ValueError where it is none), and behind it what can be read."""
    leaf = first(content)
    found, rest = [x509.load_der_x509_certificate(leaf)], content[len(leaf) :]
    while one := first(rest):
        try:
            found.append(x509.load_der_x509_certificate(one))
        except ValueError:
            break
        rest = rest[len(one) :]
    return found


def load_crl(content: bytes) -> x509.CertificateRevocationList:
    """A certificate revocation list, DER or PEM. ValueError where it is none."""
    pem = content.lstrip().startswith(BEGIN)
    return x509.load_pem_x509_crl(content) if pem else x509.load_der_x509_crl(content)


def load_key(content: bytes) -> rsa.RSAPrivateKey:
    """An RSA private key, DER or PEM, not encrypted. ValueError says what it is instead.

    Its primes are not tested again: with 4096 bits that takes 1.4 s, in which nothing else of this process moves.
    """
    load = (
        serialization.load_pem_private_key if content.lstrip().startswith(BEGIN) else serialization.load_der_private_key
    )
    try:
        key = load(content, None, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:
        raise ValueError("the private key is encrypted with a password, expected one that is not") from error
    except UnsupportedAlgorithm as error:
        raise ValueError(f"the private key is of a kind that is not known: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("the private key is not RSA, which is all that the security policies know")
    return key


def first(chain: bytes | None) -> bytes:
    """The first certificate of a chain: DER is a SEQUENCE with its length at its head. Empty for none."""
    if not chain or len(chain) < 2:
        return b""
    octets = chain[1] & 0x7F if chain[1] & 0x80 else 0
    length = int.from_bytes(chain[2 : 2 + octets], "big") if octets else chain[1]
    return chain[: 2 + octets + length]


def der(certificate: x509.Certificate) -> bytes:
    """The certificate as it is sent."""
    return certificate.public_bytes(serialization.Encoding.DER)


def uris(certificate: x509.Certificate) -> list[str]:
    """The URIs it is for; of an OPC UA application the first is its ApplicationUri."""
    names = _alternative(certificate)
    return [] if names is None else names.get_values_for_type(x509.UniformResourceIdentifier)


def hosts(certificate: x509.Certificate) -> list[str]:
    """The host names and IP addresses it is for. Some devices write an address as a name."""
    names = _alternative(certificate)
    if names is None:
        return []
    return [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]


def _alternative(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def sha1(certificate: x509.Certificate) -> str:
    """The thumbprint that OPC UA knows a certificate by: 40 hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA1()).hex()


def sha256(certificate: x509.Certificate) -> str:
    """The fingerprint to compare: 64 hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def common_name(certificate: x509.Certificate) -> str:
    """The common name, or what else the subject says."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string() or "unnamed"


def file_name(certificate: x509.Certificate) -> str:
    """The common name and the SHA-1 thumbprint, as other applications name these files."""
    common = re.sub(r"[^A-Za-z0-9_.-]+", "_", common_name(certificate))[:64]
    return f"{common}-{sha1(certificate)}.der"


def has_fingerprint(certificate: x509.Certificate, wanted: str) -> bool:
    """Whether a certificate has this fingerprint, as `fingerprints.read` gives it."""
    return wanted in (f"sha256:{sha256(certificate)}", f"sha1:{sha1(certificate)}")
