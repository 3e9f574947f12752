"""The primary host: whether it is there, from what it says on spBv1.0/STATE/<host> (Sparkplug 3.0.0, chapter 5.4).

    {"online": true, "timestamp": 1700000000000}      retained; {"online": false, ...} is its last will

One older than the newest is passed over: it is the will of a connection that the host has replaced since.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class State:
    """What the host said last on this connection; nothing yet: not there."""

    online: bool = False
    timestamp_ms: int = -1


def after(state: State, payload: bytes) -> State:
    """The state after one more message. ValueError: it is no STATE message."""
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{payload[:40]!r} is not JSON") from error
    if not isinstance(said, dict):
        raise ValueError(f"{payload[:40]!r}, expected an object with online and timestamp")
    online, timestamp = said.get("online"), said.get("timestamp")
    if not isinstance(online, bool) or isinstance(timestamp, bool) or not isinstance(timestamp, int):
        raise ValueError(f"{payload[:80]!r}, expected online (true, false) and timestamp (ms)")
    return State(online, timestamp) if timestamp >= state.timestamp_ms else state
