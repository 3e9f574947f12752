"""The answers that carry values (Read, Publish, Republish; OPC 10000-4 §5.11, §5.14), decoded to columns. Pure.

Nearly all values of a PLC are numbers of one size. The walk through a message only finds where each lies and how it is
laid out (which stamps, which type); all values of one layout are then taken out at once, the rest one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from agent.core import quality
from agent.core.nouns import F8, I8, U4
from agent.drivers.opcua.binary.builtin import FIXED, UNIX_EPOCH, MalformedError, NodeId, T, Variant
from agent.drivers.opcua.binary.cursor import Cursor

U1 = npt.NDArray[np.uint8]

DATA_CHANGE, STATUS_CHANGE = 811, 820
READ, PUBLISH, REPUBLISH = 634, 829, 835
# `kind` of a row whose content is in `others`.
OTHER = 255
LARGEST_EXACT = 2**53
NUMPY = {"?": "?", "b": "i1", "B": "u1", "h": "<i2", "H": "<u2", "i": "<i4", "I": "<u4", "q": "<i8", "Q": "<u8"}
NUMPY |= {"f": "<f4", "d": "<f8"}
# A DateTime is a number too, but loses ticks as one: it is decoded with the rest.
NUMBERS = {int(kind): NUMPY[code] for kind, code in FIXED.items() if kind != T.DATETIME}


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """k DataValues as columns.

    handle u4[k] (u4[0] of a read); kind u1[k]: the builtin type of a number, 0 for no value, OTHER for what is in
    `others` by row; number f8[k] (NaN where there is none); status u4[k]; source_ns, server_ns i8[k] since 1970, 0
    where the server gave none.
    """

    handle: U4
    kind: U1
    number: F8
    status: U4
    source_ns: I8
    server_ns: I8
    others: dict[int, Variant]


@dataclass(frozen=True, slots=True, eq=False)
class Notification:
    """One NotificationMessage. `ended`: the status of a subscription that the server gave up, else 0.

    A keep-alive has no parts, and tells the sequence number of the next message.
    """

    sequence: int
    samples: tuple[Samples, ...]
    ended: int
    keep_alive: bool


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """A PublishResponse."""

    subscription: int
    message: Notification


def service_result(cursor: Cursor, expected: int) -> int:
    """Pass the type and the header of a response; the StatusCode of the whole service.

    MalformedError where the response is not of the type `expected` (the number of its encoding).
    """
    found = cursor.nodeid()
    if found != NodeId(0, expected):
        raise MalformedError(f"a response of type {found}, expected i={expected}")
    cursor.i8()
    cursor.u4()
    result = cursor.u4()
    cursor.diagnostic()
    for _ in range(cursor.count()):
        cursor.text()
    cursor.extension()
    return result


def read_results(cursor: Cursor) -> Samples:
    """The results of a ReadResponse, after its header."""
    return samples(cursor, handles=False)


def published(cursor: Cursor) -> Published:
    """A PublishResponse, after its header."""
    subscription = cursor.u4()
    for _ in range(cursor.count()):
        cursor.u4()
    cursor.u1()
    return Published(subscription, notification(cursor))


def notification(cursor: Cursor) -> Notification:
    """A NotificationMessage. What it carries besides changes of data (events) is left out."""
    sequence = cursor.u4()
    cursor.i8()
    found, ended, count = list[Samples](), 0, cursor.count()
    for _ in range(count):
        part = cursor.extension()
        if part.encoding.identifier == DATA_CHANGE and part.body is not None:
            found.append(samples(Cursor(part.body), handles=True))
        elif part.encoding.identifier == STATUS_CHANGE and part.body is not None:
            status = Cursor(part.body).u4()
            ended = 0 if quality.is_good(status) else status
    return Notification(sequence, tuple(found), ended, count == 0)


def samples(cursor: Cursor, handles: bool) -> Samples:
    """An array of DataValues, each after its client handle where `handles` says so."""
    data, at, skip = cursor.data, 0, 4 if handles else 0
    k = cursor.count()
    out = _empty(k, handles)
    places: dict[bytes, tuple[list[int], list[int]]] = {}
    at = cursor.at
    for row in range(k):
        form = data[at + skip : at + skip + 2]
        size = _size(form, handles)
        if size:
            rows, starts = places.setdefault(form, ([], []))
            rows.append(row)
            starts.append(at)
            at += size
        else:
            cursor.at = at
            _one(cursor, row, out, handles)
            at = cursor.at
    if at > len(data):
        raise MalformedError(f"{k} values do not fit in the message of {len(data)} bytes")
    cursor.at = at
    octets = np.frombuffer(data, np.uint8)
    for form, (rows, starts) in places.items():
        _many(octets, np.array(starts, np.intp), np.array(rows, np.intp), form, out)
    return out


def joined(parts: Sequence[Samples]) -> Samples:
    """The rows of all, one after the other."""
    if len(parts) == 1:
        return parts[0]
    out, at = _empty(sum(len(part.kind) for part in parts), any(len(part.handle) for part in parts)), 0
    for part in parts:
        rows = slice(at, at + len(part.kind))
        for name in ("handle", "kind", "number", "status", "source_ns", "server_ns"):
            getattr(out, name)[rows] = getattr(part, name)
        out.others.update((at + row, value) for row, value in part.others.items())
        at = rows.stop
    return out


def _empty(k: int, handles: bool) -> Samples:
    return Samples(
        np.zeros(k if handles else 0, np.uint32),
        np.zeros(k, np.uint8),
        np.full(k, np.nan),
        np.zeros(k, np.uint32),
        np.zeros(k, np.int64),
        np.zeros(k, np.int64),
        {},
    )


@cache
def _layout(form: bytes, handles: bool) -> np.dtype[np.void] | None:
    """How a DataValue lies that begins with these two bytes (its mask, the form of its Variant); None: no fixed way."""
    if len(form) < 2 or not form[0] & 1 or form[0] > 0x3F or form[1] not in NUMBERS:
        return None
    mask = form[0]
    columns = [("handle", "<u4")] if handles else []
    columns += [("mask", "u1"), ("form", "u1"), ("value", NUMBERS[form[1]])]
    for bit, name, kind in (
        (0x02, "status", "<u4"),
        (0x04, "source", "<i8"),
        (0x10, "source_pico", "<u2"),
        (0x08, "server", "<i8"),
        (0x20, "server_pico", "<u2"),
    ):
        columns += [(name, kind)] if mask & bit else []
    return np.dtype(columns)


@cache
def _size(form: bytes, handles: bool) -> int:
    layout = _layout(form, handles)
    return 0 if layout is None else layout.itemsize


def _many(octets: U1, starts: npt.NDArray[np.intp], rows: npt.NDArray[np.intp], form: bytes, out: Samples) -> None:
    """Take out all values of one layout."""
    handles = len(out.handle) > 0
    layout = _layout(form, handles)
    assert layout is not None
    names = layout.names or ()
    found = octets[starts[:, None] + np.arange(layout.itemsize)].view(layout)[:, 0]
    if handles:
        out.handle[rows] = found["handle"]
    out.kind[rows] = form[1]
    out.number[rows] = found["value"]
    if "status" in names:
        out.status[rows] = found["status"]
    for name, column in (("source", out.source_ns), ("server", out.server_ns)):
        if name in names:
            column[rows] = _unix_ns(found[name])
    if form[1] in (T.INT64, T.UINT64):
        _keep_large(found["value"], rows, form[1], out)


def _keep_large(values: npt.NDArray[np.int64], rows: npt.NDArray[np.intp], kind: int, out: Samples) -> None:
    """Integers that a float64 cannot hold exactly stay integers."""
    for i in np.flatnonzero(np.abs(out.number[rows]) > LARGEST_EXACT - 1):
        value = int(values[i])
        if abs(value) > LARGEST_EXACT:
            row = int(rows[i])
            out.kind[row], out.number[row], out.others[row] = OTHER, np.nan, Variant(kind, value)


def _unix_ns(ticks: I8) -> I8:
    there = (ticks > UNIX_EPOCH) & (ticks < 2**63 - 1)
    # 2262 is the last year that nanoseconds in 64 bits can tell.
    there &= ticks - np.where(there, UNIX_EPOCH, 0) < (2**63 - 1) // 100
    return np.where(there, (np.where(there, ticks, UNIX_EPOCH) - UNIX_EPOCH) * 100, 0)


def _one(cursor: Cursor, row: int, out: Samples, handles: bool) -> None:
    """Any DataValue."""
    if handles:
        out.handle[row] = cursor.u4()
    value = cursor.datavalue()
    out.status[row], out.source_ns[row], out.server_ns[row] = value.status, value.source_ns, value.server_ns
    if value.value is not None and value.value.type != T.NULL:
        out.kind[row] = OTHER
        out.others[row] = value.value
