"""What a message says, or what is wrong with it. Pure: bytes to nouns.

{...,"hash":"<16 hex digits>"}   of a record: SHA-256 of all bytes before `,"hash"`
first byte {                     JSON; anything else is zlib
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

CLASSES = ("event", "summary", "raw")  # each a table
QUALITY = {"unknown": 0, "unsynchronised": 1, "synchronised": 2}
LARGEST = 64 << 20
LONGEST_WORD = 256  # bytes of a gateway's or an asset's name: an index must hold them
SEAL = re.compile(rb',"hash":"([0-9a-f]{16})"}\Z')
LARGEST_SEQ, LARGEST_EPOCH = (1 << 63) - 1, (1 << 31) - 1


class Name(NamedTuple):
    """What names a record for ever."""

    gateway: str
    class_: str
    epoch: int
    seq: int


class RefusedError(ValueError):
    """A message that is not stored as what it should be. `name`: of the record that it undoubtedly is, None else."""

    def __init__(self, reason: str, name: Name | None = None) -> None:
        super().__init__(reason)
        self.name = name


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was published: `body` is the message's text, `tree` what it says."""

    name: Name
    asset: str
    kind: str
    clock: str
    hash: str
    body: str
    tree: Mapping[str, Any]

    @property
    def worth(self) -> tuple[int, int, str]:
        """Of two messages of one record the greater one stands, in whatever order they come: that with the better
        clock; of equal ones that which says more; else any, but always the same."""
        return QUALITY[self.clock], len(self.body), self.hash


@dataclass(frozen=True, slots=True)
class Names:
    """Which tag stands where in the columns of all summaries that name this key."""

    key: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Birth:
    """What a gateway is: its points and assets."""

    gateway: str
    body: str
    tree: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a gateway is connected to the broker."""

    online: bool


Said = Record | Names | Birth | Status


def read(rest: tuple[str, ...], payload: bytes) -> Said:
    """What a message on `<prefix>/<rest>` says. RefusedError: what is wrong with it."""
    text = _text(payload)
    tree = _tree(text)
    match rest:
        case (class_, asset) if class_ in CLASSES:
            return _record(class_, asset, text, tree)
        case ("names", _):
            return _names(tree)
        case ("birth",):
            return Birth(_word(tree, "gateway"), text, tree)
        case ("status",):
            return Status(tree.get("online") is True)
    raise RefusedError(f"no message of ours has a topic that ends with {'/'.join(rest):.80}")


def _text(payload: bytes) -> str:
    try:
        return (payload if payload[:1] == b"{" else _inflated(payload)).decode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"not UTF-8: {error}") from error


def _inflated(payload: bytes) -> bytes:
    inflate = zlib.decompressobj()
    try:
        content = inflate.decompress(payload, LARGEST)
    except zlib.error as error:
        raise RefusedError(f"neither JSON nor zlib: it begins with {payload[:8]!r}") from error
    if not inflate.eof:
        raise RefusedError(f"zlib that is cut short, or holds over {LARGEST >> 20} MiB")
    return content


def _tree(text: str) -> dict[str, Any]:
    try:
        tree = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"not JSON: {error}") from error
    if not isinstance(tree, dict):
        raise RefusedError("not a JSON object")
    return tree


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number in JSON")


def _record(class_: str, asset: str, text: str, tree: Mapping[str, Any]) -> Record:
    sealed = _sealed(text)
    epoch, seq = _whole(tree, "epoch", LARGEST_EPOCH), _whole(tree, "seq", LARGEST_SEQ)
    name = Name(_word(tree, "gateway"), class_, epoch, seq)
    said = tree.get("class"), _word(tree, "asset")
    if said != (class_, asset):
        raise RefusedError(f"it says class {said[0]} and asset {said[1]}, its topic {class_} and {asset}")
    if tree.get("clock") not in QUALITY:
        raise RefusedError(f"clock {tree.get('clock')!r}, expected one of {', '.join(QUALITY)}", name)
    return Record(name, asset, str(tree.get("kind")), tree["clock"], sealed, text, tree)


def _sealed(text: str) -> str:
    """The hash of a message that is what was sent."""
    content = text.encode()
    seal = SEAL.search(content[-64:])
    if seal is None:
        raise RefusedError('it does not end with "hash": cut short, or not of ours')
    body = content[: -len(seal[0])]
    found = hashlib.sha256(body).hexdigest()[:16]
    if found != seal[1].decode():
        raise RefusedError(f"its bytes have the hash {found}, it says {seal[1].decode()}: changed on the way")
    return found


def _names(tree: Mapping[str, Any]) -> Names:
    key, tags = _word(tree, "names"), tree.get("tags")
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags) or len({*tags}) < len(tags):
        raise RefusedError("tags: expected a list of names, each once")
    found = hashlib.sha256("\n".join(tags).encode()).hexdigest()[:16]
    if found != key:
        raise RefusedError(f"its tags have the key {found}, it says {key}")
    return Names(key, tuple(tags))


def _word(tree: Mapping[str, Any], name: str) -> str:
    word = tree.get(name)
    if not isinstance(word, str) or not word or "\0" in word or word.encode(errors="replace").decode() != word:
        raise RefusedError(f"{name}: {word!r:.80}, expected a text")
    if len(word.encode()) > LONGEST_WORD:
        raise RefusedError(f"{name}: {word:.20}..., expected at most {LONGEST_WORD} bytes")
    return word


def _whole(tree: Mapping[str, Any], name: str, largest: int) -> int:
    number = tree.get(name)
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= largest:
        raise RefusedError(f"{name}: {number!r}, expected a whole number from 0 to {largest}")
    return number
