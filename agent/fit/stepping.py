"""Models stepped over the rows of a recording as the daemon steps them: each row is a frame, in the engine's own loop.

A row is what was read at its time; an empty cell is a tag without a value. Where nothing came for longer than the
daemon would wait, or where time goes back, the mode is unknown in between, so that the models begin anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core import quality
from agent.core.nouns import F8, I8, U4, Frame, Mask, Mode, Names
from agent.engine import models
from agent.engine.asset import Asset, Model, ModelKind, Modes
from agent.engine.recorded import FIRST_NS
from agent.engine.state import ModelState, initial

# As a class of the configuration has it, unless it says otherwise: scans until a tag is stale, then how long its mode
# is held.
STALE_PERIODS = 3.0
HOLD_S = Modes().hold_s


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What models gave over n rows: value f8[n, k] and status u4[n, k] of the points `names`; `faults`: each (row,
    words)."""

    names: Names
    value: F8
    status: U4
    faults: tuple[tuple[int, str], ...]

    def usable(self, name: str) -> F8:
        """The values of a point f8[n], NaN where Bad."""
        at = self.names.at[name]
        return np.where(quality.bad_mask(self.status[:, at]), np.nan, self.value[:, at])


def model(name: str, kind: ModelKind, params: object, settle_s: float) -> Model:
    """A model that holds while the asset runs. settle_s: how long after each beginning it is not to be believed."""
    return Model(name, kind, params, "", kind.points(params), 0, frozenset({Mode.RUNNING}), settle_s)


def play(
    used: Sequence[Model],
    names: Sequence[str],
    time_s: F8,
    value: F8,
    running: Mask | None = None,
    progress: Callable[[int], None] | None = None,
) -> Played:
    """The models in their order over rows value f8[n, len(names)] at time_s f8[n].

    running bool[n]: rows in which the machine was in a mode that they hold for; all if left out.
    """
    asset = _asset(tuple(used), Names(names))
    points = Names(point.id for each in used for point in each.points)
    out = np.full((len(time_s), len(points)), np.nan)
    status = np.full(out.shape, quality.NOT_APPLICABLE, np.uint32)
    faults: list[tuple[int, str]] = []
    states: tuple[ModelState, ...] = initial(asset).models
    for seq, (row, frame) in enumerate(_frames(asset.names, time_s, value, running)):
        states, _, failed = models.step(asset, states, frame, seq)
        if row < 0:
            continue
        out[row] = np.concatenate([each.value for each in states])
        status[row] = np.concatenate([each.status for each in states])
        faults += [(row, fault.text) for fault in failed]
        if progress is not None:
            progress(row)
    return Played(points, out, status, tuple(faults))


def _asset(used: tuple[Model, ...], names: Names) -> Asset:
    points = tuple(point for each in used for point in each.points)
    return Asset("", 0, 1.0, (), names, points, Modes(otherwise=Mode.RUNNING), models=used)


def _frames(names: Names, time_s: F8, value: F8, running: Mask | None) -> Iterator[tuple[int, Frame]]:
    """(row, its frame), and (-1, a frame of unknown mode) before a row that nothing leads to."""
    step_s = np.diff(time_s, prepend=time_s[0])
    forward = step_s[step_s > 0]
    period_s = float(np.median(forward)) if len(forward) else 1.0
    broken = (step_s < 0) | (step_s > STALE_PERIODS * period_s + HOLD_S)
    dt_ns = np.round(np.where(step_s < 0, period_s, step_s) * 1e9).astype(np.int64)
    t_ns = FIRST_NS + np.cumsum(dt_ns)
    status = np.where(np.isfinite(value), quality.GOOD, quality.BAD_NO_DATA).astype(np.uint32)
    count = np.isfinite(value).astype(np.int32)
    inside = np.ones(len(time_s), np.bool_) if running is None else running
    since_ns = _since(t_ns, inside & ~broken, inside)
    none = np.zeros(len(names), np.int64)

    def frame(row: int, mode: Mode) -> Frame:
        now_ns, v = int(t_ns[row]), value[row]
        return Frame(
            names, now_ns, int(dt_ns[row]), v, status[row], none, none, v, v, v, count[row], {}, (), mode,
            now_ns - since_ns[row],
        )  # fmt: skip

    for row in range(len(time_s)):
        if broken[row]:
            yield -1, frame(row, Mode.UNKNOWN)
        yield row, frame(row, Mode.RUNNING if inside[row] else Mode.OFF)


def _since(t_ns: I8, unbroken: Mask, inside: Mask) -> list[int]:
    """Since when each row's mode has held."""
    begins = ~unbroken & inside | np.diff(inside, prepend=~inside[:1])
    last: npt.NDArray[np.intp] = np.maximum.accumulate(np.where(begins, np.arange(len(t_ns)), 0))
    found: list[int] = t_ns[last].tolist()
    return found
