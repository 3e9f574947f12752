"""What goes over the feed's socket.

    message = u4 length of the body, little-endian | u1 kind | body (core.wire)

From the daemon: Catalogue, Snapshot, Answer. To the daemon: Request, Beat. Requests and Answers are matched by id.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from agent.core import wire
from agent.core.nouns import Answer, Catalogue, Request, Snapshot

HEADER = struct.Struct("<IB")

# A daemon trusts its clients with little; a client takes 10,000 points and all their texts.
CLIENT_MESSAGE_LIMIT = 64 * 1024
DAEMON_MESSAGE_LIMIT = 64 * 1024 * 1024


class Kind(IntEnum):
    """What the body of a message holds."""

    CATALOGUE = 1
    SNAPSHOT = 2
    REQUEST = 3
    ANSWER = 4
    BEAT = 5


@dataclass(frozen=True, slots=True)
class Beat:
    """A client is alive, and these are its counters: they become the meters `<client>/<counter>`."""

    client: str
    counters: Mapping[str, float]


Noun = Catalogue | Snapshot | Request | Answer | Beat

_TYPES: dict[Kind, type[Any]] = {
    Kind.CATALOGUE: Catalogue,
    Kind.SNAPSHOT: Snapshot,
    Kind.REQUEST: Request,
    Kind.ANSWER: Answer,
    Kind.BEAT: Beat,
}
_KINDS: dict[type[Any], Kind] = {noun: kind for kind, noun in _TYPES.items()}


def pack(noun: Noun) -> bytes:
    """The whole message of a noun."""
    body = wire.encode(noun)
    return HEADER.pack(len(body), _KINDS[type(noun)]) + body


def measure(header: bytes, limit: int) -> tuple[int, Kind]:
    """(length of the body in bytes, its kind) of a header; WireError if it is too long or of no known kind."""
    length, kind = HEADER.unpack(header)
    if length > limit:
        raise wire.WireError(f"a message of {length} bytes, more than {limit}")
    try:
        return length, Kind(kind)
    except ValueError as error:
        raise wire.WireError(f"a message of unknown kind {kind}") from error


def unpack(kind: Kind, body: bytes) -> Noun:
    """The noun in a body. WireError says what is wrong with it."""
    try:
        noun: Noun = wire.decode(_TYPES[kind], body)
    except (AttributeError, OverflowError, RecursionError) as error:  # a tree of another shape, or a bottomless one
        raise wire.WireError(f"not a {kind.name.lower()}: {error}") from error
    return noun
