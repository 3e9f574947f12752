"""How a broker knows who we are: names, passwords and certificates, out of files that are read at each connection."""

from __future__ import annotations

import ssl
from pathlib import Path

from agent.sinks.mqtt import Config, sas
from agent.sinks.mqtt.faults import Fault, LinkError


def user(config: Config) -> str | None:
    """The user name. LinkError: its file cannot be read."""
    return config.user if config.user_file is None else _line(config.user_file)


def password(config: Config, now_s: int) -> str | None:
    """The password, or a token made at that time (s since 1970). LinkError: its file cannot be read."""
    key = config.shared_access_key_file
    if key is None:
        return None if config.password_file is None else _line(config.password_file)
    try:
        return sas.token(config.places[0][0], config.client_id, _line(key), now_s)
    except ValueError as error:
        raise LinkError(f"{key}: {error}", Fault.FILE) from error


def _line(file: Path) -> str:
    try:
        return file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise LinkError(f"{file}: {error}", Fault.FILE) from error


def tls(config: Config) -> ssl.SSLContext | None:
    """Who may vouch for the broker, and our certificate; None without TLS. LinkError: a file cannot be used."""
    if not config.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if config.cert_file is not None:
            context.load_cert_chain(config.cert_file, config.key_file)
        if config.alpn:
            context.set_alpn_protocols(list(config.alpn))
    except OSError as error:  # of OpenSSL too
        files = ", ".join(str(f) for f in (config.ca_file, config.cert_file, config.key_file) if f)
        raise LinkError(f"{files}: {error}", Fault.FILE) from error
    return context
