"""Keys of models: this gateway's own (ed25519, made at first need) and those that somebody trusts.

models/own.key, own.pub     ours: the private one is never shown, logged or sent, and only its owner may read it
models/trusted/NAME.pub     whose models may be installed here

Besides, a daemon trusts the key that the user who runs it has at home, and whom he trusts there: what he fitted on this
machine, he may run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agent.runtime.pki import making

PACKAGED = Path("/var/lib/edgetwin")
NAME = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
PEM, SPKI = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo


@dataclass(frozen=True, slots=True)
class Trusted:
    """A public key and where it lies; `name`: own, home, or what it was called when it was trusted."""

    name: str
    path: Path
    key: Ed25519PublicKey

    @property
    def id(self) -> str:
        """How signatures and people name it."""
        return key_id(self.key)


def key_id(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the 32 bytes of a key."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def home() -> Path:
    """Where a user keeps state who has no daemon's: XDG_STATE_HOME, else ~/.local/state."""
    return Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")) / "edgetwin"


def usual() -> Path:
    """The state directory to sign with where none is given: the daemon's if we may write there, else ours at home."""
    return PACKAGED if os.access(PACKAGED, os.W_OK) else home()


def own(state_dir: Path) -> Ed25519PrivateKey:
    """The own key of a state directory, made if there is none. OSError; ValueError where the file holds another."""
    path = state_dir / "models" / "own.key"
    with making.locked(path.parent):
        if path.exists():
            return private(path)
        key = Ed25519PrivateKey.generate()
        making.put(path, key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()), 0o600)
        making.put(path.with_suffix(".pub"), key.public_key().public_bytes(PEM, SPKI), 0o644)
        return key


def private(path: Path) -> Ed25519PrivateKey:
    """The private key in a PEM file. OSError; ValueError where it holds another."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{path}: no ed25519 private key (PEM, without a password)") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(f"{path}: no ed25519 private key (PEM, without a password)")
    return key


def public(content: bytes, path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file. ValueError where it holds another."""
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"{path}: no ed25519 public key (PEM); expected a file as models/own.pub") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{path}: no ed25519 public key (PEM); expected a file as models/own.pub")
    return key


def trusted(state_dir: Path) -> list[Trusted]:
    """Whose signatures count here: our own first. A file that cannot be read is passed over."""
    files = [("own", state_dir / "models" / "own.pub")]
    files.append(("home", home() / "models" / "own.pub"))
    for folder in dict.fromkeys((_folder(state_dir), _folder(home()))):
        files += [(name.removesuffix(".pub"), folder / name) for name in _names(folder) if name.endswith(".pub")]
    return list(_read(list({path: (name, path) for name, path in reversed(files)}.values())[::-1]))


def trusted_in(folder: Path) -> list[Trusted]:
    """The keys of a folder of trusted ones, by name."""
    return list(_read([(name.removesuffix(".pub"), folder / name) for name in _names(folder) if name.endswith(".pub")]))


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _read(files: list[tuple[str, Path]]) -> Iterator[Trusted]:
    for name, path in files:
        try:
            yield Trusted(name, path, public(path.read_bytes(), path))
        except (OSError, ValueError):
            continue


def trust(state_dir: Path, path: Path, name: str = "") -> Trusted:
    """Trust the models of a public key from now on. OSError; ValueError."""
    return trust_in(_folder(state_dir), path, name)


def trust_in(folder: Path, path: Path, name: str = "") -> Trusted:
    """Put a public key into a folder of trusted ones. OSError; ValueError."""
    content = path.read_bytes()
    key, name = public(content, path), name or path.stem
    if not name or set(name) - set(NAME) or name.startswith("."):
        raise ValueError(f"name {name!r}: expected letters, digits, . _ -")
    target = folder / f"{name}.pub"
    if target.exists() and key_id(public(target.read_bytes(), target)) != key_id(key):
        raise ValueError(f"another key is trusted as {name} already: give --name, or remove it first")
    making.folder(target.parent.parent)
    making.folder(target.parent)
    making.put(target, key.public_bytes(PEM, SPKI), 0o644)
    return Trusted(name, target, key)


def distrust(state_dir: Path, wanted: str) -> Trusted:
    """Trust a key no longer, found by its name or id. ValueError where there is none."""
    found = [each for each in trusted(state_dir) if wanted in (each.name, each.id)]
    kept = [each for each in found if each.path.parent == _folder(state_dir)]
    if not kept:
        why = "is a key of this gateway itself" if found else "is no name and no id of a trusted key"
        raise ValueError(f"{wanted} {why}; see `edgetwin model keys`")
    kept[0].path.unlink()
    return kept[0]


def _folder(state_dir: Path) -> Path:
    return state_dir / "models" / "trusted"
