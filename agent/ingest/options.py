"""Which broker and which database, as a user names them. No secret is a part of a command line: all can read those."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pydantic
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import ProgrammingError

from agent.config.hosts import on_this_machine
from agent.sinks.mqtt import Config

SYSTEM_CERTIFICATES = 160000  # version of libpq that knows sslrootcert=system


class OptionError(ValueError):
    """What is wrong with an option, and what was expected."""


@dataclass(frozen=True, slots=True)
class Options:
    """`prefix`: what the topics begin with, + for any word. `group`: receivers of one group share the messages."""

    broker: Config
    database: str
    prefix: str = "edgetwin/+"
    group: str = "edgetwin-ingest"

    @property
    def levels(self) -> int:
        """How many words of a topic are its prefix."""
        return self.prefix.count("/") + 1


@dataclass(frozen=True, slots=True)
class Credentials:
    """How the broker knows us, and we it."""

    password_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


def broker(url: str, client_id: str, version: str, credentials: Credentials) -> Config:
    """`mqtts://user@host:8883` as the options of a connection. OptionError: what is wrong with it."""
    found = urlsplit(url)
    if found.scheme not in ("mqtt", "mqtts") or not found.hostname or found.path.strip("/"):
        raise OptionError(f"--broker {url}: expected mqtts://[user@]host[:port], or mqtt:// on this machine")
    if found.password is not None:
        raise OptionError("--broker: a password there is read by everyone on this machine; use --password-file")
    try:
        return Config.model_validate(
            {
                "host": found.hostname,
                "port": found.port,
                "tls": found.scheme == "mqtts",
                "user": unquote(found.username) if found.username else None,
                "client_id": client_id or f"edgetwin-ingest-{socket.gethostname()}",
                "version": version,
                "password_file": credentials.password_file,
                "ca_file": credentials.ca_file,
                "cert_file": credentials.cert_file,
                "key_file": credentials.key_file,
            }
        )
    except pydantic.ValidationError as error:
        said = error.errors()[0]
        where = "".join(f"{part}: " for part in said["loc"])
        raise OptionError(f"--broker {url}: {where}{said['msg'].removeprefix('Value error, ')}") from error
    except ValueError as error:  # the port
        raise OptionError(f"--broker {url}: {error}") from error


def database(url: str) -> str:
    """A connection string of libpq, closed by default: what passes a network is encrypted, and the server is known."""
    try:
        said = conninfo_to_dict(url)
    except ProgrammingError as error:
        raise OptionError(f"--database: {str(error).strip()}; expected postgresql://[user@]host/database") from error
    port = str(said.get("port") or "5432")
    if not all(one.isdigit() for one in port.split(",")):
        raise OptionError(f"--database: port {port}, expected a number")
    if "password" in said:
        raise OptionError("--database: a password there is read by everyone on this machine; use ~/.pgpass, PGPASSFILE "
                          "or ?passfile=FILE")  # fmt: skip
    return make_conninfo("", **_encrypted(said), application_name="edgetwin-ingest", connect_timeout="10")


def _encrypted(said: dict[str, str | int | None]) -> dict[str, str | int | None]:
    hosts = str(said.get("host") or said.get("hostaddr") or os.environ.get("PGHOST", ""))
    local = all(not host or host.startswith(("/", "@")) or on_this_machine(host) for host in hosts.split(","))
    if local or "sslmode" in said or "PGSSLMODE" in os.environ:
        return said
    said = said | {"sslmode": "verify-full"}
    if "sslrootcert" not in said and "PGSSLROOTCERT" not in os.environ and pq.version() >= SYSTEM_CERTIFICATES:
        said["sslrootcert"] = "system"
    return said


def prefix(text: str) -> str:
    """A prefix of topics, with + for any word. OptionError: it cannot be one."""
    words = text.split("/")
    if not all(words) or any(("+" in w and w != "+") or "#" in w or "\0" in w for w in words) or text[0] == "$":
        raise OptionError(f"--prefix {text}: expected words with / between, + for any one word, as edgetwin/+")
    return text


def group_of(text: str) -> str:
    """The name of a group of receivers. OptionError: it cannot be one."""
    if set(text) & set("/+#\0"):
        raise OptionError(f"--group {text}: expected a word without / + #")
    return text
