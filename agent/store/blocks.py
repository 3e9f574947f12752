"""Raw history in blocks: the ticks and snapshots of one asset over some seconds, packed and compressed together.

    block = u1 version | zlib( core.wire message of Packed )

Neighbours in a block are nearly the same, and zlib finds that by itself as long as they lie in its window of 32 KiB
(version 1; about 10 bytes are left of each value). Of larger assets it would see nothing but noise, slowly: there each
message is XORed with the one of its kind and length before it (version 2; 1000 tags of 16 bit: 7.5 bytes of each value
instead of 12, in 0.6 ms instead of 2).
"""

from __future__ import annotations

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
LEVEL = {WHOLE: 6, DIFFERENCES: 3}
WINDOW = 32 << 10  # zlib's


@dataclass(frozen=True, slots=True, eq=False)
class Packed:
    """Messages side by side: kinds and t_ns of k messages, `end` i8[k] where each ends in `messages` u1[...]."""

    kinds: tuple[str, ...]
    t_ns: I8
    end: I8
    messages: npt.NDArray[np.uint8]


def pack(entries: Sequence[Entry]) -> Entry:
    """One entry of kind `block` for raw entries of one asset, in their order."""
    kinds, bodies = tuple(e.kind for e in entries), [e.body for e in entries]
    version = WHOLE if 2 * sum(map(len, bodies)) < WINDOW * len(bodies) else DIFFERENCES
    packed = Packed(
        kinds,
        np.array([e.t_ns for e in entries], np.int64),
        np.cumsum(np.array([len(body) for body in bodies], np.int64)),
        np.frombuffer(b"".join(bodies if version == WHOLE else _differences(kinds, bodies)), np.uint8),
    )
    body = bytes([version]) + zlib.compress(wire.encode(packed), LEVEL[version])
    first, last = entries[0], entries[-1]
    return Entry(RAW, first.asset, BLOCK, first.t_ns, body, n=len(entries), end_ns=last.t_ns)


def unpack(body: bytes) -> list[tuple[str, int, bytes]]:
    """(kind, t_ns, message) of each in a block. ValueError where the bytes are not a block."""
    if not body or body[0] not in LEVEL:
        raise ValueError(f"not a block of version {' or '.join(map(str, LEVEL))}")
    try:
        packed = wire.decode(Packed, zlib.decompress(body[1:]))
    except zlib.error as error:
        raise ValueError(f"not a block: {error}") from error
    content, starts = packed.messages.tobytes(), [0, *packed.end.tolist()]
    messages = [content[start:end] for start, end in pairwise(starts)]
    if body[0] == DIFFERENCES:
        messages = _sums(packed.kinds, messages)
    return list(zip(packed.kinds, packed.t_ns.tolist(), messages, strict=False))


def _differences(kinds: Sequence[str], messages: Sequence[bytes]) -> list[bytes]:
    """Each message XORed with the last before it of the same kind and length."""
    before: dict[tuple[str, int], bytes] = {}
    found = []
    for kind, message in zip(kinds, messages, strict=True):
        found.append(_xor(message, before.get((kind, len(message)))))
        before[kind, len(message)] = message
    return found


def _sums(kinds: Sequence[str], differences: Sequence[bytes]) -> list[bytes]:
    """The messages again."""
    before: dict[tuple[str, int], bytes] = {}
    found = []
    for kind, difference in zip(kinds, differences, strict=False):
        message = before[kind, len(difference)] = _xor(difference, before.get((kind, len(difference))))
        found.append(message)
    return found


def _xor(one: bytes, other: bytes | None) -> bytes:
    if other is None:
        return one
    return (np.frombuffer(one, np.uint8) ^ np.frombuffer(other, np.uint8)).tobytes()


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
