"""Modbus/TCP Security (MB-TCP-Security v2.1): TLS 1.2 or later, both sides show a certificate.

The device is who it should be when its certificate is signed by `ca_file` and names `server_name` (or the host). PLCs
often carry a certificate that names nothing and signs itself: then its SHA-256 fingerprint is pinned, and no name is
looked for. Which role our certificate has is for the device to say.
"""

from __future__ import annotations

import hashlib
import ssl
from datetime import datetime
from pathlib import Path

from agent.drivers.modbus.config import PINNED, Config
from agent.runtime.pki import fingerprints


def context(config: Config) -> ssl.SSLContext:
    """What a connection is made with, read anew: a renewed certificate needs no restart. OSError names a file."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.check_hostname = config.ca_file is not None and (not config.fingerprint or bool(config.server_name))
    if config.ca_file is None:
        made.verify_mode = ssl.CERT_NONE  # what the pin is for
    else:
        _load_authority(made, config.ca_file)
    _load_own(made, config.certificate, config.private_key)
    return made


def _load_authority(made: ssl.SSLContext, path: Path) -> None:
    try:
        made.load_verify_locations(path)
    except ssl.SSLError as error:
        raise OSError(f"ca_file {path} holds no certificate, expected PEM") from error
    except OSError as error:
        raise OSError(f"ca_file {path}: {error.strerror}") from error


def _load_own(made: ssl.SSLContext, certificate: Path | None, key: Path | None) -> None:
    def no_passphrase() -> bytes:
        raise OSError(f"private_key {key} has a passphrase, expected one without: its file mode protects it")

    for name, path in (("certificate", certificate), ("private_key", key)):
        if path is None:
            raise OSError(f"there is no {name}: the device wants to see who asks")
        try:
            path.read_bytes()
        except OSError as error:
            raise OSError(f"{name} {path}: {error.strerror}") from error
    try:
        made.load_cert_chain(str(certificate), str(key), password=no_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise OSError(f"private_key {key} does not belong to certificate {certificate}") from error
        raise OSError(
            f"certificate {certificate} and private_key {key} cannot be used, expected PEM: {error}"
        ) from error


def check_pin(config: Config, session: ssl.SSLObject) -> None:
    """ConnectionError unless the device's certificate is the one that is pinned, if one is."""
    found = hashlib.sha256(session.getpeercert(binary_form=True) or b"").hexdigest()
    if config.fingerprint and fingerprints.read(config.fingerprint, PINNED) != f"sha256:{found}":
        raise ConnectionError(f"its certificate has the SHA-256 fingerprint {found}, expected {config.fingerprint}")


def in_words(error: ssl.SSLError, name: str) -> str:
    """Why there is no connection."""
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = ""
        if "ostname mismatch" in error.verify_message or "IP address mismatch" in error.verify_message:
            hint = f" (server_name {name}; a certificate without a usable name can be pinned by fingerprint)"
        return f"its certificate is not trusted: {error.verify_message}{hint}"
    if (error.reason or "").startswith(("TLSV1_ALERT", "SSLV3_ALERT", "TLSV13_ALERT")):
        words = (error.reason or "").partition("ALERT_")[2].replace("_", " ").lower()
        return f"the device refuses our certificate or our TLS: {words}"
    return f"no TLS: {error.reason or error}"


def valid_until(path: Path) -> datetime:
    """When the first certificate of a PEM file ends. OSError, ValueError."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
