"""Messages of one asset as columns over time: raw history in blocks of version 3.

    block = u1 version | u4 length of the outline | LZMA( outline, padded to 8 | eights | fours | rest )

A core.wire message is taken apart into a template (its JSON header with the long numbers taken out), its 8-byte
numbers (those out of the header, and f8 and i8 columns), its 4-byte numbers, and other bytes. Messages with the same
template are one group: what k of them hold is turned from rows into columns, so that each value lies beside those
before and after it, and the same value told by a tick, a snapshot and a condition is three times the same column. A
minute of 100 tags takes half the bytes of the messages compressed as they come. Of i8 columns side by side (our time,
the source's, the server's) each is kept as its difference from the one before it, where these differences are fewer.
What is no core.wire message is kept as it is.
"""

from __future__ import annotations

import json
import lzma
import math
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from agent.core import wire
from agent.core.nouns import I8

VERSION = 3
# All numbers of 8 bytes lie on multiples of 8, which lp and pb tell the compressor. The dictionary bounds its memory
# (3 MiB); four times as much of it saves 0.02 %.
FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 1, "dict_size": 1 << 18, "lc": 0, "lp": 3, "pb": 3}]
LENGTH = struct.Struct("<I")
WIDTHS = {8: np.int64, 4: np.int32, 1: np.uint8}

# Floats and whole numbers of 4 digits or more; in a template they are these two bytes, which JSON never has in itself.
NUMBER = re.compile(rb"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d{4,}")
MARK = re.compile(rb"[\x01\x02]")
A_FLOAT, A_WHOLE = b"\x01", b"\x02"
COLUMNS = b',"c":'
LARGEST, LONGEST = 1 << 63, 21


class Row(NamedTuple):
    """A message taken apart. `template`: empty where the message is kept as it is, in `rest`."""

    template: bytes
    eights: bytes
    fours: bytes
    rest: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Of n messages in g groups: kinds and templates of the groups; group i8[n] and t_ns i8[n] of each message, in
    order; sizes i8[g, 3]: bytes of a message's eights, fours and rest; relative: columns of each group's eights, as
    (first, length), that are differences from the one before."""

    kinds: tuple[str, ...]
    templates: tuple[str, ...]
    group: I8
    t_ns: I8
    sizes: I8
    relative: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """k messages of one kind and template: number of each in the block i8[k], their times i8[k], and their parts
    u1[k, bytes]."""

    kind: str
    template: bytes
    number: I8
    t_ns: I8
    parts: tuple[np.ndarray[tuple[int, int], np.dtype[np.uint8]], ...]

    def row(self, k: int) -> Row:
        """One of its messages."""
        eights, fours, rest = (part[k].tobytes() for part in self.parts)
        return Row(self.template, eights, fours, rest)


def apart(message: bytes) -> Row:
    """A message taken apart: `together` gives the same bytes again."""
    as_it_is = Row(b"", b"", b"", message)
    try:
        (length,) = LENGTH.unpack_from(message)
        start = LENGTH.size + length
        head, body = message[LENGTH.size : start], message[start:]
        said, _, spec = head.rpartition(COLUMNS)
        sizes = _column_sizes(COLUMNS + spec)
    except (struct.error, ValueError, LookupError, TypeError):
        return as_it_is
    if len(head) != length or sum(n for _, n in sizes) != len(body) or not head.isascii() or MARK.search(head):
        return as_it_is
    numbers: list[bytes] = []
    template = NUMBER.sub(lambda found: _taken(found[0], numbers), said) + COLUMNS + spec
    eights, fours, rest = numbers, list[bytes](), list[bytes]()
    at = 0
    for size, n in sizes:
        (eights if size == 8 else fours if size == 4 else rest).append(body[at : at + n])
        at += n
    return Row(template, b"".join(eights), b"".join(fours), b"".join(rest))


def _taken(text: bytes, numbers: list[bytes]) -> bytes:
    """What stands for a number in a template: itself, where its value would be written otherwise."""
    if b"." in text:
        value = float(text)
        if math.isfinite(value) and repr(value).encode() == text:
            numbers.append(struct.pack("<d", value))
            return A_FLOAT
    elif len(text) < LONGEST and str(whole := int(text)).encode() == text and -LARGEST <= whole < LARGEST:
        numbers.append(struct.pack("<q", whole))
        return A_WHOLE
    return text


def together(row: Row) -> bytes:
    """The message again."""
    if not row.template:
        return row.rest
    numbers = iter(struct.iter_unpack("8s", row.eights))
    head = MARK.sub(lambda mark: _text(mark[0], *next(numbers)), row.template)
    columns, at = [], [8 * count_numbers(row.template), 0, 0]
    for size, n in _column_sizes(_spec(row.template)):
        part = 0 if size == 8 else 1 if size == 4 else 2
        columns.append(row[1 + part][at[part] : at[part] + n])
        at[part] += n
    return b"".join([LENGTH.pack(len(head)), head, *columns])


def _text(mark: bytes, number: bytes) -> bytes:
    if mark == A_FLOAT:
        return repr(struct.unpack("<d", number)[0]).encode()
    return str(struct.unpack("<q", number)[0]).encode()


def count_numbers(template: bytes) -> int:
    """How many numbers were taken out of a header."""
    return template.count(A_FLOAT) + template.count(A_WHOLE)


def _spec(template: bytes) -> bytes:
    return COLUMNS + template.rpartition(COLUMNS)[2]


@lru_cache(maxsize=256)
def _column_sizes(spec: bytes) -> tuple[tuple[int, int], ...]:
    """(bytes of an element, bytes in all) of each column, of the end of a header: `,"c":[["<f8",[100]], ...]}`."""
    columns = json.loads(b"{" + spec[1:])["c"]
    return tuple((size := np.dtype(kind).itemsize, size * math.prod(shape)) for kind, shape in columns)


class Groups:
    """Messages being gathered. `add` does the work of a message when it comes, so that closing a block is short."""

    def __init__(self) -> None:
        """None yet."""
        self._rows: dict[tuple[str, bytes, int, int, int], list[Row]] = {}
        self._group: list[int] = []
        self._t_ns: list[int] = []
        self._number: dict[tuple[str, bytes, int, int, int], int] = {}

    def add(self, kind: str, t_ns: int, message: bytes) -> None:
        """Take a message in."""
        row = apart(message)
        key = (kind, row.template, len(row.eights), len(row.fours), len(row.rest))
        self._rows.setdefault(key, []).append(row)
        self._group.append(self._number.setdefault(key, len(self._number)))
        self._t_ns.append(t_ns)

    def messages(self) -> list[bytes]:
        """All of them again, in order."""
        rows = {number: iter(self._rows[key]) for key, number in self._number.items()}
        return [together(next(rows[number])) for number in self._group]

    def packed(self) -> bytes:
        """The block of all of them."""
        kinds = tuple(kind for kind, *_ in self._rows)
        templates = tuple(template.decode() for _, template, *_ in self._rows)
        sizes = np.array([key[2:] for key in self._rows], np.int64).reshape(-1, 3)
        times = np.array(self._group, np.int64), np.array(self._t_ns, np.int64)
        eights, relative = [], []
        for (_, template, *_), rows in self._rows.items():
            whole = np.frombuffer(b"".join(row.eights for row in rows), np.int64).reshape(len(rows), -1)
            relative.append(_differences(template, turned := whole.T.copy()))
            eights.append(turned.tobytes())
        others = [_turned([r[part] for r in rows], width) for part, width in ((2, 4), (3, 1))
                  for rows in self._rows.values()]  # fmt: skip
        outline = wire.encode(Outline(kinds, templates, *times, sizes, tuple(relative)))
        content = b"".join([outline, bytes(-len(outline) % 8), *eights, *others])
        return bytes([VERSION]) + LENGTH.pack(len(outline)) + lzma.compress(content, lzma.FORMAT_RAW, filters=FILTERS)


def _differences(template: bytes, eights: I8) -> tuple[tuple[int, int], ...]:
    """Make columns [series, k] differences from the one before where that says less; which (first, length)."""
    places, found = _stamps(template), []
    for (before, n), (first, m) in reversed(list(pairwise(places))):
        if n != m or first != before + n:
            continue
        column = eights[first : first + n]
        less = column - eights[before : before + n]
        if len(np.unique(less)) < len(np.unique(column)) or _bits(less) < _bits(column):
            eights[first : first + n] = less
            found.append((first, n))
    return tuple(found)


def _bits(column: I8) -> int:
    """How far its numbers spread."""
    return (int(column.max()) - int(column.min())).bit_length() if column.any() else 0


def _restored(eights: I8, relative: Sequence[tuple[int, int]]) -> None:
    """The columns [series, k] themselves, of their differences."""
    for first, n in reversed(relative):
        eights[first : first + n] += eights[first - n : first]


def _stamps(template: bytes) -> list[tuple[int, int]]:
    """(first, length) of each i8 column among the eights of a template."""
    if not template:
        return []
    at, found = count_numbers(template), []
    for kind, shape in json.loads(b"{" + _spec(template)[1:])["c"]:
        n = math.prod(shape)
        if kind == "<i8" and n:
            found.append((at, n))
        at += n if np.dtype(kind).itemsize == 8 else 0
    return found


def _turned(rows: Sequence[bytes], width: int) -> bytes:
    """Rows of equal length, of elements of `width` bytes, as columns."""
    k = len(rows)
    return np.frombuffer(b"".join(rows), WIDTHS[width]).reshape(k, len(rows[0]) // width).T.tobytes()


def groups(block: bytes) -> Iterator[Group]:
    """The groups of a block. ValueError where the bytes are not one."""
    try:
        (length,) = LENGTH.unpack_from(block, 1)
        content = memoryview(lzma.decompress(block[1 + LENGTH.size :], lzma.FORMAT_RAW, filters=FILTERS))
        outline = wire.decode(Outline, content[:length])
        yield from _groups(outline, content[length + -length % 8 :])
    except (struct.error, lzma.LZMAError, LookupError, wire.WireError) as error:
        raise ValueError(f"not a block: {error}") from error


def _groups(outline: Outline, content: memoryview) -> Iterator[Group]:
    numbers = [np.flatnonzero(outline.group == g) for g in range(len(outline.kinds))]
    parts: list[list[np.ndarray[tuple[int, int], np.dtype[np.uint8]]]] = [[] for _ in numbers]
    at = 0
    for part, width in enumerate((8, 4, 1)):
        for g, number in enumerate(numbers):
            k, size = len(number), int(outline.sizes[g, part])
            columns = np.frombuffer(content[at : at + k * size], WIDTHS[width]).reshape(size // width, k)
            if width == 8 and outline.relative[g]:
                _restored(columns := columns.copy(), outline.relative[g])
            parts[g].append(np.ascontiguousarray(columns.T).view(np.uint8).reshape(k, size))
            at += k * size
    for g, number in enumerate(numbers):
        yield Group(outline.kinds[g], outline.templates[g].encode(), number, outline.t_ns[number], tuple(parts[g]))


def tree(template: bytes) -> Any:
    """The header of a template's messages as a tree, its long numbers 0: fields that are columns are their numbers."""
    return json.loads(MARK.sub(b"0", template))["v"]


def column(group: Group, number: int) -> np.ndarray[Any, Any]:
    """One column of all messages of a group: [k, n]."""
    columns = json.loads(b"{" + _spec(group.template)[1:])["c"]
    part, at = 0, [8 * count_numbers(group.template), 0, 0]
    for kind, shape in columns[: number + 1]:
        size = np.dtype(kind).itemsize
        part = 0 if size == 8 else 1 if size == 4 else 2
        at[part] += (length := size * math.prod(shape))
    rows = group.parts[part][:, at[part] - length : at[part]]
    return np.ascontiguousarray(rows).view(np.dtype(columns[number][0]))


def messages(block: bytes) -> list[tuple[str, int, bytes]]:
    """(kind, t_ns, message) of each, in order. ValueError where the bytes are not a block."""
    found: dict[int, tuple[str, int, bytes]] = {}
    for group in groups(block):
        for k, (number, t_ns) in enumerate(zip(group.number.tolist(), group.t_ns.tolist(), strict=True)):
            found[number] = group.kind, t_ns, together(group.row(k))
    return [found[number] for number in sorted(found)]
