"""Heartbeats: a tag that the PLC's program moves. While it stands the port may answer, but nobody vouches for a value.

    at most `within_s` unchanged       all is well
    longer                             the heartbeat is BadNoCommunication at once; no other tag of its source (for this
                                       asset) is confirmed any more, so each becomes it after its own stale time
    it changes again                   the next sample of each tag is confirmed as ever

Time counts only while samples come: a connection that is lost is an event of its own, and begins the count anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from agent.core import quality
from agent.core.nouns import Batch, Mask
from agent.engine.asset import Heartbeat


@dataclass(frozen=True, slots=True)
class Beat:
    """One heartbeat: its value, since when it stands, its newest sample, whether that is a usable one of a series
    without a gap (`followed`), and whether it stands too long."""

    value: float = float("nan")
    since_ns: int = 0
    last_ns: int = 0
    followed: bool = False
    stopped: bool = False

    @property
    def unchanged_s(self) -> float:
        """How long it has been seen to stand; NaN where nobody can tell."""
        return (self.last_ns - self.since_ns) * 1e-9 if self.followed else float("nan")


def step(heartbeats: tuple[Heartbeat, ...], beats: tuple[Beat, ...], batches: tuple[Batch, ...]) -> tuple[Beat, ...]:
    """All heartbeats one cycle on."""
    return tuple(_followed(h, beat, batches) for h, beat in zip(heartbeats, beats, strict=True))


def _followed(heartbeat: Heartbeat, beat: Beat, batches: tuple[Batch, ...]) -> Beat:
    for batch in batches:
        for n in np.flatnonzero(batch.tag == heartbeat.row).tolist():
            usable = not quality.is_bad(int(batch.status[n])) and batch.value[n] == batch.value[n]
            beat = _sampled(heartbeat, beat, int(batch.t_ns[n]), float(batch.value[n]) if usable else float("nan"))
    return beat


def _sampled(heartbeat: Heartbeat, beat: Beat, t_ns: int, value: float) -> Beat:
    if value != value:
        return replace(beat, followed=False)
    within_ns, since_ns, stopped = heartbeat.within_s * 1e9, beat.since_ns, beat.stopped
    followed = beat.followed and t_ns - beat.last_ns <= within_ns
    t_ns = max(t_ns, beat.last_ns) if followed else t_ns
    if value != beat.value:
        since_ns, stopped = t_ns, False
    elif not followed and not stopped:
        since_ns = t_ns
    return Beat(value, since_ns, t_ns, True, stopped or t_ns - since_ns > within_ns)


def standing(heartbeats: tuple[Heartbeat, ...], beats: tuple[Beat, ...], n: int) -> tuple[Mask, Mask]:
    """(muted, dead) of n tags, bool[n]: those nobody vouches for, and the heartbeats among them."""
    muted, dead = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    for heartbeat, beat in zip(heartbeats, beats, strict=True):
        if beat.stopped:
            muted[list(heartbeat.rows)] = dead[heartbeat.row] = True
    return muted, dead


def unchanged_s(heartbeats: tuple[Heartbeat, ...], beats: tuple[Beat, ...]) -> Mapping[str, float]:
    """How long each heartbeat stands, by its relative tag name: what its rule is about."""
    return {h.tag: beat.unchanged_s for h, beat in zip(heartbeats, beats, strict=True)}


def resumed(beats: tuple[Beat, ...]) -> tuple[Beat, ...]:
    """Heartbeats after a pause of ours in which nobody looked."""
    return tuple(replace(beat, followed=False) for beat in beats)


def moved(beat: Beat, by_ns: int) -> Beat:
    """A heartbeat on another boot's time axis."""
    return Beat(beat.value, beat.since_ns + by_ns, beat.last_ns + by_ns, False, beat.stopped)
