"""The decoding of OPC UA Binary: a place in some bytes that moves on as they are read (OPC 10000-6 §5.2)."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from typing import Any

from agent.drivers.opcua.binary.builtin import (
    FIXED,
    DataValue,
    Extension,
    MalformedError,
    NodeId,
    T,
    Ticks,
    Variant,
    unix_ns,
)

# Nested Variants and DiagnosticInfos deeper than this are refused, as the standard advises (OPC 10000-6 §5.1.8).
DEEPEST = 32


class Cursor:
    """Reads values one after the other from `data`; MalformedError where it ends too early."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        """Begin at byte `at`."""
        self.data = data
        self.at = at

    def take(self, count: int) -> bytes:
        """The next bytes."""
        end = self.at + count
        if count < 0 or end > len(self.data):
            raise MalformedError(f"{count} bytes wanted at {self.at} of {len(self.data)}")
        part, self.at = self.data[self.at : end], end
        return part

    def unpack(self, code: struct.Struct) -> tuple[Any, ...]:
        """The next values of one size."""
        try:
            found = code.unpack_from(self.data, self.at)
        except struct.error as error:
            raise MalformedError(f"the message ends within a value: {error}") from error
        self.at += code.size
        return found

    def u1(self) -> int:
        """A byte."""
        return self.take(1)[0]

    def u4(self) -> int:
        """UInt32."""
        return int(self.unpack(U4)[0])

    def i4(self) -> int:
        """Int32."""
        return int(self.unpack(I4)[0])

    def i8(self) -> int:
        """Int64."""
        return int(self.unpack(I8)[0])

    def count(self) -> int:
        """The length of an array; -1 (null) counts as none. MalformedError where it cannot fit in what is left."""
        n = self.i4()
        if n > len(self.data) - self.at:
            raise MalformedError(f"an array of {n} elements in {len(self.data) - self.at} bytes")
        return max(n, 0)

    def bytestring(self) -> bytes | None:
        """ByteString."""
        n = self.i4()
        return None if n < 0 else self.take(n)

    def text(self) -> str | None:
        """String. What is no UTF-8 becomes a replacement character."""
        raw = self.bytestring()
        return None if raw is None else raw.decode("utf-8", "replace")

    def guid(self) -> uuid.UUID:
        """Guid (§5.2.2.6): the first three fields little-endian."""
        return uuid.UUID(bytes_le=self.take(16))

    def nodeid(self) -> NodeId:
        """NodeId or ExpandedNodeId (§5.2.2.9, §5.2.2.10)."""
        form = self.u1()
        kind = form & 0x3F
        index = 0
        if kind == 1:
            index = self.u1()
        elif kind in (2, 3, 4, 5):
            index = int(self.unpack(U2)[0])
        readers: dict[int, Callable[[], Any]] = {
            0: self.u1,
            1: lambda: self.unpack(U2)[0],
            2: self.u4,
            3: lambda: self.text() or "",
            4: self.guid,
            5: lambda: self.bytestring() or b"",
        }
        if kind not in readers:
            raise MalformedError(f"0x{form:02X} is no form of a NodeId")
        identifier = readers[kind]()
        uri = (self.text() or "") if form & 0x80 else ""
        if form & 0x40:
            self.u4()  # the server's index: always this one
        return NodeId(index, identifier, uri)

    def localized(self) -> str | None:
        """The text of a LocalizedText, its locale dropped."""
        mask = self.u1()
        if mask & 1:
            self.text()
        return self.text() if mask & 2 else None

    def qualified(self) -> str:
        """A QualifiedName as `index:name`, or `name` in namespace 0."""
        (index,) = self.unpack(U2)
        name = self.text() or ""
        return f"{index}:{name}" if index else name

    def extension(self) -> Extension:
        """An ExtensionObject, not decoded."""
        encoding = self.nodeid()
        how = self.u1()
        if how not in (0, 1, 2):
            raise MalformedError(f"0x{how:02X} is no form of an ExtensionObject")
        body = self.bytestring() if how else None
        return Extension(encoding, body if how == 1 else None)

    def diagnostic(self, depth: int = 0) -> None:
        """A DiagnosticInfo, passed over."""
        _not_too_deep(depth)
        mask = self.u1()
        for bit in (1, 2, 8, 4):
            if mask & bit:
                self.i4()
        if mask & 0x10:
            self.text()
        if mask & 0x20:
            self.u4()
        if mask & 0x40:
            self.diagnostic(depth + 1)

    def variant(self, depth: int = 0) -> Variant:
        """Variant (§5.2.2.16)."""
        _not_too_deep(depth)
        form = self.u1()
        kind = form & 0x3F
        if kind > T.DIAGNOSTIC:
            kind = T.BYTESTRING  # reserved numbers are decoded so (Table 27)
        if not form & 0x80:
            return Variant(kind, self.builtin(kind, depth))
        value = self.array(kind, depth)
        dims = (len(value),)
        if form & 0x40:
            dims = tuple(self.array(T.INT32))
            if _size(dims) != len(value):
                raise MalformedError(f"{len(value)} elements in a matrix of {dims}")
        return Variant(kind, value, dims)

    def array(self, kind: int, depth: int = 0) -> list[Any]:
        """The elements of an array of a builtin type; null is an array without elements."""
        n = self.count()
        if kind in FIXED:
            found = self.unpack(struct.Struct(f"<{n}{FIXED[T(kind)]}"))
            return [Ticks(v) for v in found] if kind == T.DATETIME else list(found)
        return [self.builtin(kind, depth) for _ in range(n)]

    def builtin(self, kind: int, depth: int = 0) -> Any:
        """One value of a builtin type."""
        if kind in FIXED:
            (value,) = self.unpack(SINGLE[kind])
            return Ticks(value) if kind == T.DATETIME else value
        if kind == T.VARIANT:
            return self.variant(depth + 1)
        if kind == T.DATAVALUE:
            return self.datavalue(depth + 1)
        if kind == T.NULL:
            return None
        return READERS[kind](self)

    def datavalue(self, depth: int = 0) -> DataValue:
        """DataValue (§5.2.2.17)."""
        mask = self.u1()
        value = self.variant(depth) if mask & 0x01 else None
        status = self.u4() if mask & 0x02 else 0
        source = self.i8() if mask & 0x04 else 0
        if mask & 0x10:
            self.take(2)
        server = self.i8() if mask & 0x08 else 0
        if mask & 0x20:
            self.take(2)
        return DataValue(value, status, unix_ns(source), unix_ns(server))


U2, U4, I4, I8 = (struct.Struct(f"<{code}") for code in "HIiq")
SINGLE = {int(kind): struct.Struct(f"<{code}") for kind, code in FIXED.items()}
READERS: dict[int, Callable[[Cursor], Any]] = {
    T.STRING: Cursor.text,
    T.GUID: Cursor.guid,
    T.BYTESTRING: Cursor.bytestring,
    T.XML: Cursor.text,
    T.NODEID: Cursor.nodeid,
    T.EXPANDED_NODEID: Cursor.nodeid,
    T.QUALIFIED_NAME: Cursor.qualified,
    T.LOCALIZED_TEXT: Cursor.localized,
    T.EXTENSION: Cursor.extension,
    T.DIAGNOSTIC: Cursor.diagnostic,
}


def _not_too_deep(depth: int) -> None:
    if depth > DEEPEST:
        raise MalformedError(f"nested deeper than {DEEPEST} levels")


def _size(dims: tuple[int, ...]) -> int:
    size = 1
    for length in dims:
        size *= max(0, length)
    return size
