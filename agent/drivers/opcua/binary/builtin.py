"""OPC UA Binary (OPC 10000-6 §5.2), decoding only: the builtin types, Variants and DataValues. Pure, no library.

What a server sends is decoded here and not by the library because that builds five objects a value, registers classes
for ExtensionObjects, and reads the picoseconds of a DataValue in another order than Table 26 of the standard gives.

    Variant     type: the builtin type's number; value: a number, text ... or where `dims` is given a list of them
    Extension   a structure that is not decoded yet: the NodeId of its encoding, and its body
    Ticks       a DateTime
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

# 1601-01-01 to 1970-01-01 in ticks of 100 ns.
UNIX_EPOCH = 116_444_736_000_000_000
EPOCH_1601 = datetime(1601, 1, 1, tzinfo=UTC)
LONGEST = datetime.max.replace(tzinfo=UTC) - EPOCH_1601


class MalformedError(ValueError):
    """Bytes that are no OPC UA Binary."""


class T(IntEnum):
    """The builtin types (OPC 10000-6 Table 1)."""

    NULL = 0
    BOOLEAN = 1
    SBYTE = 2
    BYTE = 3
    INT16 = 4
    UINT16 = 5
    INT32 = 6
    UINT32 = 7
    INT64 = 8
    UINT64 = 9
    FLOAT = 10
    DOUBLE = 11
    STRING = 12
    DATETIME = 13
    GUID = 14
    BYTESTRING = 15
    XML = 16
    NODEID = 17
    EXPANDED_NODEID = 18
    STATUSCODE = 19
    QUALIFIED_NAME = 20
    LOCALIZED_TEXT = 21
    EXTENSION = 22
    DATAVALUE = 23
    VARIANT = 24
    DIAGNOSTIC = 25


# struct codes of the types that have one size.
FIXED = {
    T.BOOLEAN: "?",
    T.SBYTE: "b",
    T.BYTE: "B",
    T.INT16: "h",
    T.UINT16: "H",
    T.INT32: "i",
    T.UINT32: "I",
    T.INT64: "q",
    T.UINT64: "Q",
    T.FLOAT: "f",
    T.DOUBLE: "d",
    T.DATETIME: "q",
    T.STATUSCODE: "I",
}


class Ticks(int):
    """A DateTime: 100 ns since 1601."""

    @property
    def unix_s(self) -> float:
        """Seconds since 1970."""
        return (self - UNIX_EPOCH) / 1e7

    def __str__(self) -> str:
        """ISO 8601 in UTC, to the microsecond; the first and the last that Python knows stand for those beyond."""
        return (EPOCH_1601 + min(timedelta(microseconds=max(int(self), 0) // 10), LONGEST)).isoformat()


@dataclass(frozen=True, slots=True)
class NodeId:
    """A node of a server: index of its namespace (or the URI, in an ExpandedNodeId), and its identifier."""

    index: int
    identifier: int | str | bytes | uuid.UUID
    uri: str = ""

    def __str__(self) -> str:
        """As OPC 10000-6 §5.3.1.10 writes it."""
        i = self.identifier
        kind = {int: "i", str: "s", bytes: "b", uuid.UUID: "g"}[type(i)]
        shown = i.hex() if isinstance(i, bytes) else i
        where = f"nsu={self.uri};" if self.uri else f"ns={self.index};" if self.index else ""
        return f"{where}{kind}={shown}"


@dataclass(frozen=True, slots=True)
class Extension:
    """A structure as it came; body None: none, or in XML."""

    encoding: NodeId
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Variant:
    """`dims` is None for a scalar, else the length of each dimension; `value` of an array is flat, row-major."""

    type: int
    value: Any
    dims: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class DataValue:
    """Status and stamps (nanoseconds since 1970, 0 where none) as the server gave them; picoseconds are dropped."""

    value: Variant | None
    status: int = 0
    source_ns: int = 0
    server_ns: int = 0


def unix_ns(ticks: int) -> int:
    """Nanoseconds since 1970 of an OPC UA time; 0 where there is none (0 means so), or it lies before 1970."""
    return max(0, ticks - UNIX_EPOCH) * 100 if ticks < 2**63 - 1 else 0
