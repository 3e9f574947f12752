"""The primary host: whether it is there, from what it says on spBv1.0/STATE/<host> (Sparkplug 3.0.0, chapter 5.4).

    {"online": true, "timestamp": 1700000000000}      retained; {"online": false, ...} is its last will

One older than the newest is passed over: it is the will of a connection that the host has replaced since.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field

import anyio

log = logging.getLogger(__name__)


class HostAway(Exception):  # noqa: N818 (what the host is, not an error)
    """The primary host is not on this broker."""


@dataclass(frozen=True, slots=True)
class State:
    """What the host said last; online only what it said on this connection."""

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


@dataclass(slots=True)
class Primary:
    """The primary host `name` ("" for none, which is always there) on one connection."""

    name: str
    state: State
    told: bool = False
    _news: anyio.Event = field(default_factory=anyio.Event)

    def take(self, topic: str, content: bytes) -> None:
        """A message on its topic."""
        before = self.state
        try:
            self.state = after(before, content)
        except ValueError as error:
            log.warning("%s: %s", topic, error)
            return
        if self.state is before:
            log.info("%s: older than what it said before, passed over: %r", topic, content)
        self.told = True
        news, self._news = self._news, anyio.Event()
        news.set()

    async def there(self, patience_s: float | None) -> None:
        """Returns once it is online. HostAway: with a patience, that it is not, or has not said so within that."""
        with anyio.move_on_after(patience_s):
            while self.name and not self.state.online:
                if self.told and patience_s is not None:
                    break
                await self._news.wait()
        if self.name and not self.state.online:
            raise HostAway(f"primary host {self.name} is not on it")

    async def gone(self) -> None:
        """Until it is not online any more: HostAway."""
        while self.state.online or not self.name:
            await self._news.wait()
        raise HostAway(f"primary host {self.name} has gone")
