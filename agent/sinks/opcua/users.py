"""The users file: one line a user, `name:role:scrypt$n$r$p$salt$hash` (salt and hash in hexadecimal), mode 0600.

scrypt after RFC 7914 with N = 2^14, r = 8, p = 1: 16 MiB and some 50 ms for each guess. The parameters stand in each
line, so that they can grow without a new format.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

N, R, P = 2**14, 8, 1
MEMORY_LIMIT = 64 * 1024 * 1024
SHORTEST = 8
ROLES = ("viewer", "operator", "engineer")
NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")


@dataclass(frozen=True, slots=True)
class User:
    """One line of the file."""

    name: str
    role: str
    n: int
    r: int
    p: int
    salt: bytes
    digest: bytes

    def line(self) -> str:
        """The user as the file has it."""
        return f"{self.name}:{self.role}:scrypt${self.n}${self.r}${self.p}${self.salt.hex()}${self.digest.hex()}"


# Checked in place of a user who does not exist, so that the answer takes as long.
_NOBODY = User("", "", N, R, P, bytes(16), bytes(32))


def read(path: Path) -> dict[str, User]:
    """The users by name; empty where there is no file. ValueError names file and line of what cannot be read."""
    if not path.exists():
        return {}
    users: dict[str, User] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            try:
                user = _parse(line.strip())
            except ValueError as error:
                raise ValueError(f"{path}:{number}: expected name:role:scrypt$n$r$p$salt$hash: {error}") from error
            users[user.name] = user
    return users


def _parse(line: str) -> User:
    name, role, secret = line.split(":")
    method, n, r, p, salt, digest = secret.split("$")
    if method != "scrypt" or role not in ROLES:
        raise ValueError(f"method {method}, role {role}")
    return User(name, role, int(n), int(r), int(p), bytes.fromhex(salt), bytes.fromhex(digest))


def add(path: Path, name: str, password: str, role: str = "viewer") -> None:
    """Add a user, or give an old one a new password and role. ValueError says what is not accepted."""
    if not NAME.fullmatch(name):
        raise ValueError(f"user name '{name}': expected 1 to 64 of A-Z a-z 0-9 _ . @ -")
    if role not in ROLES:
        raise ValueError(f"role '{role}': expected one of {', '.join(ROLES)}")
    if len(password) < SHORTEST:
        raise ValueError(f"the password is too short: expected at least {SHORTEST} characters")
    salt = secrets.token_bytes(16)
    users = read(path)
    users[name] = User(name, role, N, R, P, salt, _digest(password, salt, N, R, P))
    _write(path, users)


def remove(path: Path, name: str) -> None:
    """Remove a user; KeyError if there is none of that name."""
    users = read(path)
    del users[name]
    _write(path, users)


def verify(path: Path, name: str, password: str) -> User | None:
    """The user if name and password are right, else None; an unknown name takes as long as a wrong password.

    The file is read each time: a user added or removed counts at the next login. Takes some 50 ms of CPU.
    """
    user = read(path).get(name, _NOBODY)
    digest = _digest(password, user.salt, user.n, user.r, user.p)
    right = hmac.compare_digest(digest, user.digest)
    return user if right and user is not _NOBODY else None


def _digest(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=MEMORY_LIMIT, dklen=32)


def _write(path: Path, users: dict[str, User]) -> None:
    text = "".join(f"{user.line()}\n" for user in users.values())
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
