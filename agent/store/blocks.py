"""Raw history in blocks: the ticks and snapshots of one asset over some seconds, packed and compressed together.

    block = u1 version (1) | zlib( core.wire message of Packed )

Neighbours in a block are nearly the same, so that plain zlib over whole messages leaves about 10 bytes of each value
(differences and byte transposition were tried and gave more: the messages' headers lose more than the columns gain).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core import wire
from agent.core.nouns import I8
from agent.store.record import BLOCK, RAW, Entry

VERSION = 1
LEVEL = 6


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Messages side by side: kinds and t_ns of k messages, `end` i8[k] where each ends in `messages` u1[...]."""

    kinds: tuple[str, ...]
    t_ns: I8
    end: I8
    messages: npt.NDArray[np.uint8]


def pack(entries: Sequence[Entry]) -> Entry:
    """One entry of kind `block` for raw entries of one asset, in their order."""
    lengths = np.array([len(e.body) for e in entries], np.int64)
    packed = Packed(
        tuple(e.kind for e in entries),
        np.array([e.t_ns for e in entries], np.int64),
        np.cumsum(lengths),
        np.frombuffer(b"".join(e.body for e in entries), np.uint8),
    )
    body = bytes([VERSION]) + zlib.compress(wire.encode(packed), LEVEL)
    first, last = entries[0], entries[-1]
    return Entry(RAW, first.asset, BLOCK, first.t_ns, body, n=len(entries), end_ns=last.t_ns)


def unpack(body: bytes) -> list[tuple[str, int, bytes]]:
    """(kind, t_ns, message) of each in a block. ValueError where the bytes are not a block."""
    if not body or body[0] != VERSION:
        raise ValueError(f"not a block of version {VERSION}")
    try:
        packed = wire.decode(Packed, zlib.decompress(body[1:]))
    except zlib.error as error:
        raise ValueError(f"not a block: {error}") from error
    messages, starts = packed.messages.tobytes(), [0, *packed.end.tolist()]
    return [
        (kind, t_ns, messages[start:end])
        for kind, t_ns, start, end in zip(packed.kinds, packed.t_ns.tolist(), starts, starts[1:], strict=False)
    ]


class Open:
    """Blocks being filled, one an asset. `limit` bytes of messages close a block early."""

    def __init__(self, limit: int) -> None:
        """Nothing in them."""
        self.limit = limit
        self._entries: dict[str, list[Entry]] = {}
        self._size: dict[str, int] = {}

    def add(self, entry: Entry) -> Entry | None:
        """Put a raw entry in; the block if that filled it."""
        self._entries.setdefault(entry.asset, []).append(entry)
        self._size[entry.asset] = self._size.get(entry.asset, 0) + len(entry.body)
        return self.take(entry.asset) if self._size[entry.asset] >= self.limit else None

    def take(self, asset: str) -> Entry | None:
        """The open block of one asset, None if there is nothing in it."""
        entries = self._entries.pop(asset, None)
        self._size.pop(asset, None)
        return pack(entries) if entries else None

    def take_all(self) -> list[Entry]:
        """All open blocks."""
        return [block for asset in list(self._entries) if (block := self.take(asset)) is not None]

    @property
    def size(self) -> int:
        """Bytes of messages in them."""
        return sum(self._size.values())
