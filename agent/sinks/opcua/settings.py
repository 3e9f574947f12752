"""What the daemon tells the OPC UA child: one JSON line on its standard input. Cheap to import: no pydantic."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

# The only policies there are, in the order a client should prefer them; each with SignAndEncrypt.
POLICIES = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the child needs; it reads no configuration file. Paths are absolute; `unit` is its name in meters."""

    unit: str
    gateway: str
    feed_socket: str
    endpoint: str
    policies: tuple[str, ...]
    users_file: str
    certificate_dir: str
    trust_dir: str
    trust_on_first_use: bool
    sessions: int
    message_limit: int
    product: str = "edgetwin"
    version: str = "0"

    def line(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self)) + "\n"


def parse(line: str) -> Settings:
    """The settings in a line; TypeError or ValueError where it is not one."""
    tree = json.loads(line)
    tree["policies"] = tuple(tree["policies"])
    return Settings(**tree)
