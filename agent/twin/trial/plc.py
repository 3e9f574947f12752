"""What drives the particles of a what-if: the schedule of both arms, the PLC's loops and its interlocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8, Mask
from agent.twin.plant import Plant
from agent.twin.trial import loop as loops
from agent.twin.trial.loop import Control, Latch, Loop, Memory


@dataclass(frozen=True, slots=True)
class Change:
    """A set point or input goes to `value`, in its unit, `start_s` after now: a ramp until `end_s`, else a step."""

    tag: str
    value: float
    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Rows k at the times k T; arms are baseline and candidate.

    inputs f8[rows,2,m]: what the inputs are where no loop moves them; setpoint f8[rows,2,loops]; manual
    bool[rows,2,loops]: somebody has set the loop's input, it stands still from then on.
    """

    inputs: F8
    setpoint: F8
    manual: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Plc:
    """The memories of the PLC over particles [2,N], and the inputs f8[2,N,m] that it gave last."""

    u: F8
    memories: tuple[Memory, ...]
    latches: tuple[Latch, ...]

    @property
    def interlocked(self) -> tuple[float, float]:
        """Share of particles of each arm that an interlock holds."""
        held = np.zeros(self.u.shape[:2], np.bool_)
        for latch in self.latches:
            held |= latch.holds
        return float(held[0].mean()), float(held[1].mean())


def trajectory(before: float, changes: Sequence[Change], t_s: F8) -> F8:
    """A value over the times t_s f8[rows] under its changes: steps and ramps, each from what it finds. f8[rows]."""
    value = np.full(len(t_s), before)
    for change in sorted(changes, key=lambda c: c.start_s):
        begun = t_s >= change.start_s - 1e-9
        if not begun.any():
            continue
        found, length_s = value[np.argmax(begun)], change.end_s - change.start_s
        done = np.minimum((t_s - change.start_s) / length_s, 1.0) if length_s > 0 else np.ones(len(t_s))
        value = np.where(begun, found + (change.value - found) * done, value)
    return value


def setpoint_of(loop: Loop, tag: str) -> bool:
    """Whether a change of this tag is a change of the loop's set point: its own tag, or the output that it holds."""
    return tag in (loop.setpoint, loop.measured)


def scheduled(
    plant: Plant, control: Control, changes: Sequence[Change], u: F8, setpoints: Sequence[float], rows: int
) -> Schedule:
    """Both arms from the inputs u f8[m] and the loops' set points of now."""
    t_s = plant.period_s * np.arange(rows, dtype=np.float64)
    inputs = np.empty((rows, 2, len(u)))
    setpoint = np.empty((rows, 2, len(control.loops)))
    manual = np.zeros(setpoint.shape, np.bool_)
    for i, channel in enumerate(plant.inputs):
        own = [c for c in changes if c.tag == channel.tag]
        inputs[:, 0, i], inputs[:, 1, i] = u[i], trajectory(u[i], own, t_s)
    for i, (loop, r) in enumerate(zip(control.loops, setpoints, strict=True)):
        setpoint[:, 0, i], setpoint[:, 1, i] = r, trajectory(r, [c for c in changes if setpoint_of(loop, c.tag)], t_s)
        taken_s = [c.start_s for c in changes if c.tag == loop.manipulated]
        manual[:, 1, i] = t_s >= min(taken_s, default=np.inf) - 1e-9
    return Schedule(inputs, setpoint, manual)


def ready(
    control: Control, now: F8, setpoints: Sequence[float], at: Mapping[str, int], shape: tuple[int, int], m: int
) -> Plc:
    """The PLC as it takes over, signals now f8[S], the first m of them inputs; `at`: row of each tag among them."""
    memories = tuple(
        loops.begun(
            loop, np.full(shape, now[at[loop.manipulated]]), np.full(shape, now[at[loop.measured]]), np.asarray(r)
        )
        for loop, r in zip(control.loops, setpoints, strict=True)
    )
    return Plc(np.broadcast_to(now[:m], (*shape, m)), memories, tuple(loops.armed(shape) for _ in control.interlocks))


def driven(
    plant: Plant,
    control: Control,
    at: Mapping[str, int],
    plc: Plc,
    schedule: Schedule,
    k: int,
    observe: Callable[[F8], F8],
    noise: F8,
) -> tuple[F8, Plc]:
    """Inputs f8[2,N,m] at row k, and the PLC after that scan. observe: outputs f8[2,N,p+v] of the machine as it is then
    under inputs f8[2,N,m]; noise f8[N,p] of the sensors."""
    u = np.broadcast_to(schedule.inputs[k][:, None, :], plc.u.shape)
    if not (control.loops or control.interlocks):
        return u, plc
    u = u.copy()
    # The PLC reads what the inputs of its last scan have made of the machine.
    true = np.concatenate([plc.u, observe(plc.u)], axis=-1)
    memories = []
    for i, (loop, memory) in enumerate(zip(control.loops, plc.memories, strict=True)):
        row, column = at[loop.measured], at[loop.manipulated]
        read = true[..., row] + noise[:, row - len(plant.inputs)]
        moved, after = _scanned(plant, loop, memory, read, schedule.setpoint[k, :, i, None], k)
        u[..., column] = np.where(schedule.manual[k, :, i, None], u[..., column], moved)
        memories.append(after)
    latches = tuple(
        loops.watched(lock, latch, true[..., at[lock.tag]], plant.period_s)
        for lock, latch in zip(control.interlocks, plc.latches, strict=True)
    )
    for lock, latch in zip(control.interlocks, latches, strict=True):
        column = at[lock.manipulated]
        u[..., column] = np.where(latch.holds, lock.value, u[..., column])
    return u, Plc(u, tuple(memories), latches)


def _scanned(plant: Plant, loop: Loop, memory: Memory, read: F8, r: F8, k: int) -> tuple[F8, Memory]:
    """What the loop gives at row k: a new scan where its own period is over, else what it gave last."""
    every = max(1, round(loop.period_s / plant.period_s))
    return loops.scan(loop, memory, read, r, every * plant.period_s) if k % every == 0 else (memory.last, memory)
