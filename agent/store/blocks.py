"""Raw history in blocks: the ticks and snapshots of one asset over some seconds, packed and compressed together.

    block = u1 version (1) | zlib( core.wire message of Packed )
          | u1 version (2) | u4 length of the index | core.wire message of Index | zlib( differences end to end )

Neighbours in a block are nearly the same, and zlib finds that by itself as long as they lie in its window of 32 KiB
(version 1; about 10 bytes are left of each value). Of larger assets it would see nothing but noise, slowly: there each
message is XORed with the one of its kind and length before it, and compressed as it comes, so that a block of 1 MB
never lies in memory (version 2; 1000 tags of 16 bit: 7.5 bytes of each value instead of 12, in 0.6 ms instead of 2).
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
from agent.store.record import BLOCK, RAW, Entry

WHOLE, DIFFERENCES = 1, 2  # versions
WHOLE_LEVEL, DIFFERENCES_LEVEL = 6, 3
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
    raise ValueError(f"not a block of version {WHOLE} or {DIFFERENCES}")


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
        self._pieces: list[bytes] = []
        self._before = Before()
        self._stream: zlib._Compress | None = None

    def add(self, entry: Entry) -> None:
        """Put a raw entry in."""
        self.size += len(entry.body)
        self._kinds.append(entry.kind)
        self._t_ns.append(entry.t_ns)
        self._end.append(self.size)
        self._hold(entry.kind, entry.body)
        if self._stream is None and self.size >= max(2 * WINDOW, WINDOW // 2 * len(self._kinds)):
            self._compress_from_now()

    def packed(self) -> Entry:
        """One entry of kind `block` with all that is in it."""
        index = tuple(self._kinds), np.array(self._t_ns, np.int64), np.array(self._end, np.int64)
        if self._stream is None:
            messages = np.frombuffer(b"".join(self._pieces), np.uint8)
            body = bytes([WHOLE]) + zlib.compress(wire.encode(Packed(*index, messages)), WHOLE_LEVEL)
        else:
            head = wire.encode(Index(*index))
            body = b"".join([bytes([DIFFERENCES]), LENGTH.pack(len(head)), head, *self._pieces, self._stream.flush()])
        return Entry(RAW, self._asset, BLOCK, self._t_ns[0], body, n=len(self._kinds), end_ns=self._t_ns[-1])

    def _hold(self, kind: str, message: bytes) -> None:
        if self._stream is not None:
            message = self._stream.compress(self._before.difference(kind, message))
        self._pieces.append(message)
        self.held += len(message)

    def _compress_from_now(self) -> None:
        """What is in it already and what comes: the messages are larger than zlib's window."""
        whole, self._pieces, self.held = self._pieces, [], 0
        self._stream = zlib.compressobj(DIFFERENCES_LEVEL)
        for kind, message in zip(self._kinds, whole, strict=True):
            self._hold(kind, message)


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
