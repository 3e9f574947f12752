"""Certificates for tests of OPC UA security: right ones, and each wrong in one thing."""

import datetime
import ipaddress
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
SERVER_URI = "urn:edgetwin.test:server"
RIGHT_USAGE = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)


@cache
def key(name="", bits=2048):
    """One private key a name."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def usage_of(*bits):
    names = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
        *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{name: name in bits for name in names})


def alternative(uri, hosts):
    names = [x509.UniformResourceIdentifier(uri)] if uri else []
    for host in hosts:
        if isinstance(host, x509.GeneralName):
            names.append(host)
            continue
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return x509.SubjectAlternativeName(names) if names else None


def certificate(
    name="plc",
    private=None,
    issuer=None,
    issuer_key=None,
    uri=SERVER_URI,
    hosts=("plc.test", "192.0.2.7"),
    start=NOW - DAY,
    end=NOW + 365 * DAY,
    usage=RIGHT_USAGE,
    extended=SERVER,
    ca=False,
    path_length=None,
    algorithm=None,
):
    """A certificate; signed by itself unless `issuer` is given. `usage` None: the extension is left out."""
    private = private or key(name)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), True)
    )
    if (names := alternative(uri, hosts)) is not None:
        builder = builder.add_extension(names, False)
    if usage is not None:
        builder = builder.add_extension(usage_of(*usage), True)
    if extended:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), False)
    return builder.sign(issuer_key or private, algorithm or hashes.SHA256())


def authority(name="authority", issuer=None, issuer_key=None, **more):
    """A certificate that may sign others."""
    more = {"usage": ("key_cert_sign", "crl_sign"), "extended": (), "uri": "", "hosts": (), "ca": True, **more}
    return certificate(name, issuer=issuer, issuer_key=issuer_key, **more)


def revocations(issuer, issuer_key, *revoked, start=NOW - DAY, end=NOW + 30 * DAY):
    """The revocation list of an authority."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject).last_update(start).next_update(end)
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(start).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer_key, hashes.SHA256())


def der(one):
    return one.public_bytes(serialization.Encoding.DER)


def pem(one):
    return one.public_bytes(serialization.Encoding.PEM)


def key_pem(private):
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def put_pair(folder, name, made, private):
    """The files (certificate, key) of a pair, as DER and PEM."""
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / f"{name}.der", folder / f"{name}.pem"
    files[0].write_bytes(der(made))
    files[1].write_bytes(key_pem(private))
    return files
