"""The witness's own client certificate: `python -m hil.certificate DIR` makes it before the witness starts."""

import argparse
import os
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

WITNESS_URI = "urn:edgetwin:hil:witness"
VALID_DAYS = 365


def client_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Paths of witness.der (certificate) and witness.pem (key), made if absent."""
    certificate_path, key_path = folder / "witness.der", folder / "witness.pem"
    if not (certificate_path.exists() and key_path.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        _write_key(key_path, key)
        certificate_path.write_bytes(_sign(key, host).public_bytes(serialization.Encoding.DER))
    return certificate_path, key_path


def _write_key(path: Path, key: rsa.RSAPrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)


def _sign(key: rsa.RSAPrivateKey, host: str) -> x509.Certificate:
    """A self-signed OPC UA application certificate (OPC 10000-6, 6.2.2) with the application's URI and host."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edgetwin witness")])
    alternative = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(WITNESS_URI), x509.DNSName(host)])
    usage = x509.KeyUsage(True, True, True, True, False, True, False, False, False)
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(minutes=5)).not_valid_after(now + timedelta(days=VALID_DAYS))
    builder = builder.add_extension(alternative, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())


def main(argv: list[str] | None = None) -> int:
    """Entry of the command: prints the certificate's path."""
    parser = argparse.ArgumentParser(prog="python -m hil.certificate", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    certificate, _ = client_certificate(parser.parse_args(argv).folder, socket.gethostname())
    print(certificate)
    return 0


if __name__ == "__main__":
    sys.exit(main())
