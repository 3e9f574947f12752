"""Fingerprints of certificates as people copy them. No cryptography: a configuration is checked without it."""

from __future__ import annotations

import re
from collections.abc import Sequence

DIGITS = {"sha256": 64, "sha1": 40}  # hexadecimal, by the hash
ANY = tuple(DIGITS)

# Digits with or without colons and spaces, with or without the hash's name, as `openssl x509 -fingerprint` prints it.
WRITTEN = re.compile(r"\s*(?:sha-?(1|256)(?:\s*fingerprint)?[\s:=]*)?([0-9a-f][0-9a-f:\s]*)")


def read(text: str, hashes: Sequence[str] = ANY) -> str:
    """`sha256:...` or `sha1:...` in lower case. ValueError says what was expected, of these `hashes`."""
    found = WRITTEN.fullmatch(text.lower())
    named, digits = (found[1], re.sub(r"[\s:]", "", found[2])) if found else ("", "")
    for name in hashes:
        if len(digits) == DIGITS[name] and named in (None, name.removeprefix("sha")):
            return f"{name}:{digits}"
    expected = " or ".join(f"{name}: and {DIGITS[name]} hexadecimal digits" for name in hashes)
    raise ValueError(f"fingerprint {text!r} cannot be used, expected {expected}")
