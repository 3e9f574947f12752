"""Whether a model file may be loaded here, by its signature: before a byte of it is parsed."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import Path

from agent.runtime.admission import keys, memory, signature
from agent.runtime.pki.making import wall

SHIPPED = Path(__file__).with_name("shipped.sha256")


def judged(content: bytes, sig: bytes | None, state_dir: Path, now: datetime.datetime | None = None) -> str:
    """Who answers for a file, in words. ValueError says why it may not be loaded and what to type next.

    What ships with the package is named by its hash in the package. An expiry stands in the way of a file that is new
    here, never of one that ran here: it may go on, and come back.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest in shipped():
        return "ships with edgetwin"
    if sig is None:
        raise ValueError("it is not signed; if it is yours: edgetwin model sign FILE")
    try:
        about, name = signature.verified(content, sig, keys.trusted(state_dir), now or wall())
    except signature.Expired:
        if digest in memory.ran(state_dir):
            return "its signature expired, but it ran here before"
        raise
    return f"signed by {name} ({about.key})"


def shipped() -> frozenset[str]:
    """SHA-256 of the files that come with this version of the package."""
    return frozenset(line.split()[0] for line in SHIPPED.read_text().splitlines() if line.strip())
