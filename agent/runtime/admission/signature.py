"""Signatures of model files: FILE.sig beside FILE, small JSON, ed25519 over everything else that stands in it.

    {"algorithm": "ed25519", "key": id, "sha256": of the file, "made": UTC, "expires": UTC or null, "signature": base64}

The signed bytes are a line of their own and the JSON without the signature, keys sorted: a signature of ours on
anything else cannot be taken for one.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.runtime.admission.keys import Trusted, key_id

ALGORITHM = "ed25519"
PURPOSE = b"edgetwin model signature 1\n"
LARGEST = 4096


class Expired(ValueError):  # noqa: N818
    """A signature that was right and may not be used to install any more."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What is signed. made, expires: UTC as 2026-01-31T00:00:00Z; expires None for never."""

    algorithm: str
    key: str
    sha256: str
    made: str
    expires: str | None


def beside(file: Path) -> Path:
    """Where the signature of a file lies."""
    return file.with_name(file.name + ".sig")


def signed(
    content: bytes, key: Ed25519PrivateKey, made: str, expires: str | None = None, purpose: bytes = PURPOSE
) -> bytes:
    """The content of the .sig file. Each time is UTC as in Signature; `purpose`: what the content is signed as."""
    about = Signature(ALGORITHM, key_id(key.public_key()), hashlib.sha256(content).hexdigest(), made, expires)
    mark = base64.b64encode(key.sign(_bytes(about, purpose))).decode()
    return json.dumps({**asdict(about), "signature": mark}, indent=1).encode() + b"\n"


def verified(
    content: bytes, sig: bytes, trusted: Sequence[Trusted], now: datetime.datetime, purpose: bytes = PURPOSE
) -> tuple[Signature, str]:
    """(what is signed, whose key) of a file; ValueError says why it does not count, Expired that its time is over."""
    about, mark = _read(sig)
    if about.algorithm != ALGORITHM:
        raise ValueError(f"its signature is {about.algorithm}, expected {ALGORITHM}")
    if about.sha256 != hashlib.sha256(content).hexdigest():
        raise ValueError("its signature is of another file, or the file was changed since")
    known = [each for each in trusted if each.id == about.key]
    if not known:
        raise ValueError(
            f"it is signed by key {about.key}, which is not trusted here; if it should be: edgetwin model trust KEY.pub"
        )
    try:
        known[0].key.verify(mark, _bytes(about, purpose))
    except InvalidSignature:
        raise ValueError(f"its signature is not one of key {about.key}: it was made up or changed") from None
    if about.expires is not None and _time(about.expires) <= now:
        raise Expired(f"its signature expired {about.expires}; sign it again: edgetwin model sign FILE")
    return about, known[0].name


def _bytes(about: Signature, purpose: bytes) -> bytes:
    return purpose + json.dumps(asdict(about), sort_keys=True, separators=(",", ":")).encode()


def _read(sig: bytes) -> tuple[Signature, bytes]:
    try:
        if len(sig) > LARGEST:
            raise ValueError("too large")
        raw: dict[str, Any] = json.loads(sig)
        mark = base64.b64decode(raw.pop("signature"), validate=True)
        about = Signature(**raw)
        if not all(isinstance(value, str) for name, value in raw.items() if name != "expires"):
            raise ValueError("not texts")
        if about.expires is not None:
            _time(about.expires)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError, binascii.Error):
        raise ValueError("its .sig file is no signature as `edgetwin model sign` makes it") from None
    return about, mark


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.UTC)
