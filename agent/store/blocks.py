"""Raw history in blocks: the ticks and snapshots of one asset over some seconds, packed and compressed together.

    block = u1 version (1) | zlib( core.wire message of Packed )                       read, no longer written
          | u1 version (2) | u4 length of the index | core.wire message of Index | zlib( differences end to end )
          | u1 version (3) | columns over time, see columnar.py

Version 3 is for messages of ordinary size. Of larger assets (messages of 16 KiB and more, some 500 tags) each message
is XORed with the one of its kind and length before it, and compressed as it comes, so that a block of 1 MB never lies
in memory (version 2).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from agent.core import wire
from agent.core.nouns import I8
from agent.store import columnar
from agent.store.record import BLOCK, RAW, Entry

WHOLE, DIFFERENCES = 1, 2  # versions beside columnar's
DIFFERENCES_LEVEL = 3
WINDOW = 32 << 10  # zlib's
LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """kinds and t_ns of k messages, `end` i8[k] where each ends among all of them."""

    kinds: tuple[str, ...]
    t_ns: I8
    end: I8


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """An index, and the messages side by side: u1[...]."""

    kinds: tuple[str, ...]
    t_ns: I8
    end: I8
    messages: npt.NDArray[np.uint8]


def pack(entries: Sequence[Entry]) -> Entry:
    """One entry of kind `block` for raw entries of one asset, in their order."""
    block = Filling(entries[0].asset)
    for entry in entries:
        block.add(entry)
    return block.packed()


def unpack(body: bytes) -> list[tuple[str, int, bytes]]:
    """(kind, t_ns, message) of each in a block. ValueError where the bytes are not a block."""
    if body[:1] == bytes([columnar.VERSION]):
        return columnar.messages(body)
    try:
        index, content = _read(body)
    except (struct.error, zlib.error, wire.WireError) as error:
        raise ValueError(f"not a block: {error}") from error
    messages = [content[start:end] for start, end in pairwise([0, *index.end.tolist()])]
    if body[0] == DIFFERENCES:
        before = Before()
        messages = [before.sum(*each) for each in zip(index.kinds, messages, strict=False)]
    return list(zip(index.kinds, index.t_ns.tolist(), messages, strict=False))


def _read(body: bytes) -> tuple[Index, bytes]:
    if body[:1] == bytes([WHOLE]):
        packed = wire.decode(Packed, zlib.decompress(body[1:]))
        return Index(packed.kinds, packed.t_ns, packed.end), packed.messages.tobytes()
    if body[:1] == bytes([DIFFERENCES]):
        start = 1 + LENGTH.size
        end = start + LENGTH.unpack(body[1:start])[0]
        return wire.decode(Index, body[start:end]), zlib.decompress(body[end:])
    raise ValueError(f"not a block of version {WHOLE}, {DIFFERENCES} or {columnar.VERSION}")


class Before:
    """The last message of each kind and length: what the next one is XORed with."""

    def __init__(self) -> None:
        """None yet."""
        self._messages: dict[tuple[str, int], bytes] = {}

    def difference(self, kind: str, message: bytes) -> bytes:
        """A message as it differs from the one before it."""
        before = self._messages.get((kind, len(message)))
        self._messages[kind, len(message)] = message
        return message if before is None else _xor(message, before)

    def sum(self, kind: str, difference: bytes) -> bytes:
        """The message again."""
        before = self._messages.get((kind, len(difference)))
        message = difference if before is None else _xor(difference, before)
        self._messages[kind, len(difference)] = message
        return message


def _xor(one: bytes, other: bytes) -> bytes:
    return (np.frombuffer(one, np.uint8) ^ np.frombuffer(other, np.uint8)).tobytes()


class Filling:
    """A block being filled. `size`: bytes of the messages in it; `held`: what it holds of them in memory."""

    def __init__(self, asset: str) -> None:
        """Nothing in it."""
        self.size = self.held = 0
        self._asset = asset
        self._kinds: list[str] = []
        self._t_ns: list[int] = []
        self._end: list[int] = []
        self._columns = columnar.Groups()
        self._stream: Stream | None = None

    def add(self, entry: Entry) -> None:
        """Put a raw entry in."""
        self.size += len(entry.body)
        self._kinds.append(entry.kind)
        self._t_ns.append(entry.t_ns)
        self._end.append(self.size)
        if self._stream is None:
            self._columns.add(entry.kind, entry.t_ns, entry.body)
            self.held += len(entry.body)
            if self.size >= max(2 * WINDOW, WINDOW // 2 * len(self._kinds)):
                self._compress_from_now()
        else:
            self.held += self._stream.add(entry.kind, entry.body)

    def packed(self) -> Entry:
        """One entry of kind `block` with all that is in it."""
        if self._stream is None:
            body = self._columns.packed()
        else:
            end = np.array(self._end, np.int64)
            head = wire.encode(Index(tuple(self._kinds), np.array(self._t_ns, np.int64), end))
            body = b"".join([bytes([DIFFERENCES]), LENGTH.pack(len(head)), head, self._stream.ended()])
        return Entry(RAW, self._asset, BLOCK, self._t_ns[0], body, n=len(self._kinds), end_ns=self._t_ns[-1])

    def _compress_from_now(self) -> None:
        """What is in it already and what comes: as columns it would have to lie in memory."""
        self._stream = Stream()
        pairs = zip(self._kinds, self._columns.messages(), strict=True)
        self.held = sum(self._stream.add(kind, message) for kind, message in pairs)
        self._columns = columnar.Groups()


class Stream:
    """Differences of messages, compressed as they come."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._before = Before()
        self._zlib = zlib.compressobj(DIFFERENCES_LEVEL)
        self._pieces: list[bytes] = []

    def add(self, kind: str, message: bytes) -> int:
        """Take a message in; how many bytes are held more."""
        piece = self._zlib.compress(self._before.difference(kind, message))
        self._pieces.append(piece)
        return len(piece)

    def ended(self) -> bytes:
        """All of it."""
        return b"".join([*self._pieces, self._zlib.flush()])


class Open:
    """Blocks being filled, one an asset. `limit` bytes of messages close a block early."""

    def __init__(self, limit: int) -> None:
        """Nothing in them."""
        self.limit = limit
        self._blocks: dict[str, Filling] = {}

    def add(self, entry: Entry) -> Entry | None:
        """Put a raw entry in; the block if that filled it."""
        block = self._blocks.get(entry.asset) or self._blocks.setdefault(entry.asset, Filling(entry.asset))
        block.add(entry)
        return self.take(entry.asset) if block.size >= self.limit else None

    def take(self, asset: str) -> Entry | None:
        """The open block of one asset, None if there is nothing in it."""
        block = self._blocks.pop(asset, None)
        return None if block is None else block.packed()

    def take_all(self) -> list[Entry]:
        """All open blocks."""
        return [block for asset in list(self._blocks) if (block := self.take(asset)) is not None]

    @property
    def size(self) -> int:
        """Bytes that they hold."""
        return sum(block.held for block in self._blocks.values())
