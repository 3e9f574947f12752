"""What a version of the fleet is: a manifest with a signature, and the files that it names.

    {"manifest": "<JSON text>", "signature": {...}, "files": {"<sha256>": "<base64>"}}

That is a bundle: a message or a file, as it is or compressed by zlib. The signature (ed25519, as a model's, for another
purpose) is over the manifest's text; the manifest has size and SHA-256 of each file. Nothing is ever fetched by a URL.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.runtime.admission import signature
from agent.runtime.admission.keys import Trusted

FORMAT = "edgetwin fleet 1"
PURPOSE = b"edgetwin fleet manifest 1\n"
NAME = "manifest.json"
CONFIGURATION = frozenset({".yaml", ".yml", ".csv"})
MODEL = frozenset({".json", ".onnx", ".sig"})

MOST_FILES = 256
LARGEST_BYTES = 32_000_000  # of all files of a version
LARGEST_MANIFEST = 128 * 1024
LARGEST_BUNDLE = 2 * LARGEST_BYTES
CHUNK_BYTES = 64 * 1024
PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}(/[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}){0,3}")
HASH = re.compile(r"[0-9a-f]{64}")
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a version: where it lies in its folder, what is in it, bytes."""

    path: str
    sha256: str
    size: int

    @property
    def chunks(self) -> int:
        """In how many messages it comes where it does not come with the manifest."""
        return -(-self.size // CHUNK_BYTES)


@dataclass(frozen=True, slots=True)
class Manifest:
    """version: greater than any before. gateway: whom it is for. configuration: the file that the daemon runs.
    not_before: UTC, it waits until then; "" for at once. adopts: it ends a local override, which others wait for."""

    version: int
    gateway: str
    configuration: str
    files: tuple[File, ...]
    made: str
    not_before: str = ""
    adopts: bool = False

    def hashes(self, suffixes: frozenset[str]) -> frozenset[tuple[str, str]]:
        """(path, SHA-256) of its files of some kinds."""
        return frozenset((f.path, f.sha256) for f in self.files if PurePosixPath(f.path).suffix in suffixes)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as it came: nothing of it is believed yet. files: content by SHA-256, those that came with it."""

    text: str
    signature: bytes
    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def written(manifest: Manifest) -> str:
    """The text that is signed."""
    return json.dumps({"format": FORMAT, **asdict(manifest)}, indent=1)


def signed(manifest: Manifest, files: Sequence[bytes], key: Ed25519PrivateKey, expires: str | None) -> Bundle:
    """A bundle with all files. expires: UTC as 2027-01-31T00:00:00Z, None for never."""
    text = written(manifest)
    mark = signature.signed(text.encode(), key, manifest.made, expires, PURPOSE)
    return Bundle(text, mark, {hashlib.sha256(content).hexdigest(): content for content in files})


def packed(bundle: Bundle, *, with_files: bool = True) -> bytes:
    """The bundle as a message or a file."""
    files = {sha: base64.b64encode(content).decode() for sha, content in bundle.files.items()} if with_files else {}
    tree = {"manifest": bundle.text, "signature": json.loads(bundle.signature), "files": files}
    return json.dumps(tree).encode() + b"\n"


def opened(content: bytes) -> Bundle:
    """A bundle out of a message or a file. ValueError says what is wrong with it; nobody has answered for it yet."""
    try:
        tree = json.loads(content if content[:1] == b"{" else _inflated(content))
        text, mark, files = tree["manifest"], json.dumps(tree["signature"]).encode(), tree.get("files", {})
        if not isinstance(text, str) or len(text) > LARGEST_MANIFEST or len(files) > MOST_FILES:
            raise ValueError("too much")
        return Bundle(text, mark, {str(sha): base64.b64decode(body, validate=True) for sha, body in files.items()})
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError, binascii.Error, zlib.error):
        raise ValueError("it is no bundle as `edgetwin fleet pack` makes it") from None


def verified(bundle: Bundle, trusted: Sequence[Trusted], now: datetime.datetime) -> tuple[Manifest, str]:
    """(manifest, whose key signed it). ValueError says why it does not count, signature.Expired that its time is over.

    The manifest is parsed only after its signature was found right.
    """
    try:
        about, name = signature.verified(bundle.text.encode(), bundle.signature, trusted, now, PURPOSE)
    except signature.Expired as error:
        raise signature.Expired(f"{str(error).partition(';')[0]}; it is {now:{TIME}} here") from None
    except ValueError as error:
        raise ValueError(str(error).replace("edgetwin model trust", "edgetwin fleet trust")) from None
    return read(bundle.text), f"{name} ({about.key})"


def read(text: str) -> Manifest:
    """A manifest from its text. ValueError says what is wrong with it."""
    try:
        tree: dict[str, Any] = json.loads(text)
        if tree.pop("format") != FORMAT:
            raise ValueError(f"expected format {FORMAT!r}")
        tree["files"] = tuple(File(**each) for each in tree["files"])
        manifest = Manifest(**tree)
        _check(manifest)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"its manifest cannot be used: {error}") from None
    return manifest


def _check(manifest: Manifest) -> None:
    """ValueError where a value is not what it says: types first, then paths and sizes."""
    if type(manifest.version) is not int or not 0 < manifest.version < 2**53:
        raise ValueError(f"version {manifest.version!r}, expected a whole number from 1")
    words = (manifest.configuration, manifest.made, manifest.not_before, manifest.gateway)
    if not all(isinstance(word, str) for word in words) or type(manifest.adopts) is not bool:
        raise ValueError("a text or a yes-or-no is something else")
    for when in filter(None, (manifest.made, manifest.not_before)):
        datetime.datetime.strptime(when, TIME)
    if len(manifest.files) > MOST_FILES:
        raise ValueError(f"it has {len(manifest.files)} files, expected at most {MOST_FILES}")
    for file in manifest.files:
        _check_file(file)
    paths = [file.path for file in manifest.files]
    if len({path.lower() for path in paths}) < len(paths):
        raise ValueError("one path twice")
    if sum(file.size for file in manifest.files) > LARGEST_BYTES:
        raise ValueError(f"its files have more than {LARGEST_BYTES} bytes")
    if manifest.configuration not in paths or not manifest.configuration.endswith((".yaml", ".yml")):
        raise ValueError(f"configuration {manifest.configuration!r} is none of its files")


def _check_file(file: File) -> None:
    if not isinstance(file.path, str) or not PATH.fullmatch(file.path) or file.path == NAME:
        raise ValueError(f"path {file.path!r}")
    if PurePosixPath(file.path).suffix not in CONFIGURATION | MODEL:
        raise ValueError(f"{file.path} is no configuration and no model, expected {', '.join(kinds())}")
    if not isinstance(file.sha256, str) or not HASH.fullmatch(file.sha256):
        raise ValueError(f"{file.path}: sha256 {file.sha256!r}")
    if type(file.size) is not int or file.size < 1:
        raise ValueError(f"{file.path}: size {file.size!r}")


def kinds() -> list[str]:
    """The suffixes that a file of a version may have."""
    return sorted(CONFIGURATION | MODEL)


def _inflated(content: bytes) -> bytes:
    """What zlib packed, at most so much of it: a few bytes can stand for all the memory there is."""
    inflater = zlib.decompressobj()
    plain = inflater.decompress(content, LARGEST_BUNDLE)
    if not inflater.eof:
        raise ValueError("cut off, or too large")
    return plain
