"""What is remembered of a server from one connection to the next, so that its sessions are never used up.

A PLC may have two sessions in all. One whose connection broke lives on there until its timeout: the next connection
closes it first (see connecting). Where that cannot be, or where somebody else has taken them, we wait.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from asyncua import ua

HOUR_NS = 3_600_000_000_000
BURST = 20  # sessions lost in an hour before we slow down
SLOWEST_S = 30.0  # between sessions then: 120 an hour
FIRST_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Left:
    """A session that the server may still have, and what its next activation needs.

    `nonce` is what that signs, `policy` how we log in, `server` the server's certificate (DER).
    """

    token: ua.NodeId
    nonce: bytes
    policy: ua.UserTokenPolicy
    server: bytes | None


@dataclass(slots=True)
class Past:
    """Of one server."""

    left: Left | None = None
    lost_ns: deque[int] = field(default_factory=lambda: deque(maxlen=BURST))
    not_before_ns: int = 0
    refused: int = 0

    def lose(self, left: Left, now_ns: int) -> None:
        """A session ended without the server hearing of it."""
        self.left = left
        self.lost_ns.append(now_ns)
        if len(self.lost_ns) == BURST and now_ns - self.lost_ns[0] < HOUR_NS:
            self._wait(SLOWEST_S, now_ns)

    def later(self, session_timeout_s: float, now_ns: int) -> float:
        """The server does not want us now: seconds to wait, doubled each time, at most until an old one times out."""
        self.refused += 1
        longest_s = max(FIRST_WAIT_S, session_timeout_s)
        wait_s = min(longest_s, FIRST_WAIT_S * 2.0 ** min(self.refused - 1, 16)) * random.uniform(0.5, 1.0)
        self._wait(wait_s, now_ns)
        return wait_s

    def welcome(self) -> None:
        """The server gave us a session."""
        self.left, self.refused = None, 0

    def wait_s(self, now_ns: int) -> float:
        """Seconds until the next connection."""
        return max(0.0, (self.not_before_ns - now_ns) * 1e-9)

    def _wait(self, wait_s: float, now_ns: int) -> None:
        self.not_before_ns = max(self.not_before_ns, now_ns + int(wait_s * 1e9))


_known: dict[tuple[str, str], Past] = {}


def of(source: str, endpoint: str) -> Past:
    """What this process remembers of a server; a restarted driver finds it again."""
    return _known.setdefault((source, endpoint), Past())
