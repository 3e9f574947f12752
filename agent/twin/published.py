"""What a twin publishes: its points, and their values and statuses in the same order, block by block.

for each measured output   expected residual spread deviation cusum skill coverage
for each virtual output    value spread
for each health parameter  value spread
of the twin as a whole     remoteness, finding (in words), and the probability of each known fault
for each life              in words, p5 p50 p95 not_before p_fail
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, U4, Kind, Mask, Point, Role, Values
from agent.twin import living
from agent.twin.isolation import Finding
from agent.twin.kind import Channel, Health
from agent.twin.signature import Fault
from agent.twin.twin import Twin

GROUP = "twin"
PER_OUTPUT, PER_VIRTUAL = 7, 2


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """One cycle, in units: expected, residual, spread, deviation, cusum, skill, coverage f8[p] (NaN: none);
    virtual, virtual_spread f8[v]; health, health_spread f8[h]; remoteness. settling: nothing counts yet."""

    expected: F8
    residual: F8
    spread: F8
    deviation: F8
    cusum: F8
    skill: F8
    coverage: F8
    virtual: F8
    virtual_spread: F8
    health: F8
    health_spread: F8
    remoteness: float
    finding: Finding
    life: living.State | None
    uncertain: Mask
    settling: bool
    outside: bool


def points(twin: Twin) -> tuple[Point, ...]:
    """All points of a twin, ids relative to the asset."""
    return (
        *(point for c in twin.plant.outputs for point in _output_points(c)),
        *(point for c in twin.plant.virtual for point in _virtual_points(c)),
        *(point for h in twin.plant.health for point in _health_points(h)),
        Point(f"{GROUP}/remoteness", Role.STATUS, description="1 = the edge of what the twin has seen"),
        Point(f"{GROUP}/finding", Role.FINDING, kind=Kind.TEXT, description="which fault the residuals speak for"),
        *(_fault_point(fault) for fault in _faults(twin)),
        *living.points(twin, GROUP),
    )


def _faults(twin: Twin) -> tuple[Fault, ...]:
    return twin.isolation.faults if twin.isolation else ()


def _fault_point(fault: Fault) -> Point:
    return Point(f"{GROUP}/fault.{fault.name.replace('/', '.')}", Role.FAULT, description=fault.component)


def absent(twin: Twin, why: int = quality.BAD_DATA_UNAVAILABLE) -> Values:
    """No value at all, for the reason `why`."""
    count = len(points(twin))
    return Values(np.full(count, np.nan), np.full(count, why, np.uint32))


def values(twin: Twin, said: Said) -> Values:
    """Values in the order of `points`."""
    likely = {s.name: s.probability for s in said.finding.suspects}
    faults = np.array([likely.get(f.name, 0.0) for f in _faults(twin)])
    rows = [said.expected, said.residual, said.spread, said.deviation, said.cusum, said.skill, said.coverage]
    value = [
        np.column_stack(rows).ravel(),
        np.column_stack([said.virtual, said.virtual_spread]).ravel(),
        np.column_stack([said.health, said.health_spread]).ravel(),
        np.array([said.remoteness, np.nan]),
        faults,
    ]
    lives, lives_status, lives_text = living.values(twin, said.life)
    status = [
        _output_status(said).ravel(),
        np.full(2 * len(said.virtual), _model(said), np.uint32),
        np.full(2 * len(said.health), _model(said), np.uint32),
        np.full(2 + len(faults), _model(said), np.uint32),
    ]
    text = said.finding.text or said.finding.reason
    row = sum(len(part) for part in value[:3]) + 1
    first = row + 1 + len(faults)
    texts = {row: text, **{first + k * living.PER_PART: words for k, words in enumerate(lives_text)}}
    return Values(np.concatenate([*value, lives]), np.concatenate([*status, lives_status]), texts)


def _model(said: Said) -> int:
    """What the twin's own word is worth: Uncertain while it settles and where it extrapolates."""
    if said.settling:
        return quality.UNCERTAIN_INITIAL_VALUE
    return quality.UNCERTAIN_SUB_NORMAL if said.outside else quality.GOOD


def _output_status(said: Said) -> U4:
    """u4[p, 7]: what is compared is no better than the measurement, and absent where there is none."""
    model = _model(said)
    status = np.full((len(said.expected), PER_OUTPUT), model, np.uint32)
    measured = np.isfinite(said.residual)
    compared = np.where(said.uncertain, quality.UNCERTAIN, model)
    compared = np.where(measured, compared, quality.BAD_DATA_UNAVAILABLE)
    status[:, 1] = compared
    waiting = quality.BAD_WAITING_FOR_INITIAL_DATA
    status[:, 3:5] = np.where(np.isfinite(said.deviation), compared, np.where(measured, waiting, compared))[:, None]
    status[:, 5] = np.where(np.isfinite(said.skill), model, waiting)
    status[:, 6] = np.where(np.isfinite(said.coverage), model, waiting)
    return status


def _output_points(channel: Channel) -> tuple[Point, ...]:
    tag, unit = channel.tag, channel.unit
    return (
        Point(f"{tag}.expected", Role.EXPECTED, of=tag, unit=unit, description="what the model expects of the inputs"),
        Point(f"{tag}.residual", Role.RESIDUAL, of=tag, unit=unit, description="measured less expected"),
        Point(f"{tag}.spread", Role.SPREAD, of=tag, unit=unit, description="standard deviation of the residual"),
        Point(f"{tag}.deviation", Role.DEVIATION, of=tag, description="signed; 1 = the limit of a healthy machine"),
        Point(f"{tag}.cusum", Role.CUSUM, of=tag, description="signed; 1 = a small departure has lasted too long"),
        Point(f"{tag}.skill", Role.ACCURACY, of=tag, description="error 30 periods ahead over that of persistence"),
        Point(f"{tag}.coverage", Role.ACCURACY, of=tag, description="share of values inside the 90 % band"),
    )


def _virtual_points(channel: Channel) -> tuple[Point, ...]:
    tag, unit = channel.tag, channel.unit
    return (
        Point(tag, Role.VIRTUAL, unit=unit, description="estimated, not measured"),
        Point(f"{tag}.spread", Role.SPREAD, of=tag, unit=unit, description="standard deviation of the estimate"),
    )


def _health_points(health: Health) -> tuple[Point, ...]:
    name, unit = f"{GROUP}/{health.name}", health.unit
    return (
        Point(name, Role.HEALTH, unit=unit, eu_lo=health.low, eu_hi=health.high, description=f"of {health.component}"),
        Point(f"{name}.spread", Role.SPREAD, of=name, unit=unit, description="standard deviation of the estimate"),
    )
