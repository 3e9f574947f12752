"""What a twin publishes: its points, and their values and statuses in the same order, block by block.

for each measured output   expected residual spread deviation cusum skill coverage
for each virtual output    value spread
for each health parameter  value spread
of the twin as a whole     remoteness, finding (in words), trust and why, the probability of each known fault
for each life              in words, p5 p50 p95 not_before p_fail
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core import quality
from agent.core.nouns import F8, U4, Kind, Mask, Point, Role, Values
from agent.twin import accuracy
from agent.twin.departure import judging, trust, whitening
from agent.twin.departure.signature import Fault
from agent.twin.kind import Channel, Health
from agent.twin.lifetime import living
from agent.twin.twin import Twin

GROUP = "twin"
PER_OUTPUT, PER_VIRTUAL = 7, 2


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What the filters say of one period, in units: expected, residual (NaN: not measured), spread f8[p]; virtual,
    virtual_spread f8[v]; health, health_spread f8[h]; remoteness; uncertain bool[p]: the measurement itself is.
    settling: nothing counts yet; outside: why nothing can be said (a surrogate outside its training)."""

    expected: F8
    residual: F8
    spread: F8
    virtual: F8
    virtual_spread: F8
    health: F8
    health_spread: F8
    remoteness: float
    uncertain: Mask
    settling: bool
    outside: str = ""


def points(twin: Twin) -> tuple[Point, ...]:
    """All points of a twin, ids relative to the asset."""
    return (
        *(point for c in twin.plant.outputs for point in _output_points(c)),
        *(point for c in twin.plant.virtual for point in _virtual_points(c)),
        *(point for h in twin.plant.health for point in _health_points(h)),
        Point(f"{GROUP}/remoteness", Role.STATUS, description="1 = the edge of what the twin has seen"),
        Point(f"{GROUP}/finding", Role.FINDING, kind=Kind.TEXT, description="which fault the residuals speak for"),
        *_trust_points(twin),
        *(_fault_point(twin, fault) for fault in _faults(twin)),
        *living.points(twin, GROUP),
    )


def _trust_points(twin: Twin) -> tuple[Point, ...]:
    if twin.trust is None:
        return ()
    name, why = f"{GROUP}/trust", "what the twin's residuals say of it, beside those of healthy rows"
    return (
        Point(name, Role.TRUST, kind=Kind.ENUMERATION, enum=trust.WORDS, description=why),
        Point(f"{name}_reason", Role.TRUST, of=name, kind=Kind.TEXT, description="why"),
    )


def _trust(twin: Twin, judge: judging.State) -> tuple[tuple[float, ...], str]:
    """Level and the place of its reason; the reason, with the output that it is about."""
    if twin.trust is None:
        return (), ""
    said = judge.verdict
    about = f"{twin.plant.outputs[said.output].tag}: " if said.output >= 0 else ""
    return (float(said.level), np.nan), about + said.reason


def _faults(twin: Twin) -> tuple[Fault, ...]:
    return twin.isolation.faults if twin.isolation else ()


def _fault_point(twin: Twin, fault: Fault) -> Point:
    """Of the tag or the health parameter that is to blame."""
    name = f"{GROUP}/fault.{fault.name.replace('/', '.').replace(' ', '-')}"
    health = any(h.name == fault.name for h in twin.plant.health)
    of = f"{GROUP}/{fault.name}" if health else fault.component if fault.component in twin.tags else None
    return Point(name, Role.FAULT, of=of, description=fault.name)


def absent(twin: Twin, why: int = quality.BAD_DATA_UNAVAILABLE) -> Values:
    """No value at all, for the reason `why`."""
    count = len(points(twin))
    return Values(np.full(count, np.nan), np.full(count, why, np.uint32))


def values(twin: Twin, said: Said, judge: judging.State, scores: accuracy.State, life: living.State | None) -> Values:
    """Values in the order of `points`."""
    finding = judge.found
    likely = {s.name: s.probability for s in finding.suspects}
    faults = np.array([likely.get(f.name, 0.0) for f in _faults(twin)])
    lives, lives_status, lives_text = living.values(twin, life)
    level, reason = _trust(twin, judge)
    of_outputs = _of_outputs(twin, said, judge, scores)
    head = np.concatenate(
        [
            of_outputs.ravel(),
            np.column_stack([said.virtual, said.virtual_spread]).ravel(),
            np.column_stack([said.health, said.health_spread]).ravel(),
        ]
    )
    own = np.array([said.remoteness, np.nan, *level])
    status = np.full(len(head) + len(own) + len(faults) + len(lives), _model(said), np.uint32)
    status[: of_outputs.size] = _output_status(said, of_outputs).ravel()
    status[len(status) - len(lives) :] = lives_status
    first = len(head) + len(own) + len(faults)
    texts = {len(head) + 1: said.outside or finding.text or finding.reason}
    if level:
        texts[len(head) + 3] = reason
    texts.update({first + k * living.PER_PART: words for k, words in enumerate(lives_text)})
    return Values(np.concatenate([head, own, faults, lives]), status, texts)


def _of_outputs(twin: Twin, said: Said, judge: judging.State, scores: accuracy.State) -> F8:
    """f8[p, PER_OUTPUT]."""
    out = np.empty((len(said.expected), PER_OUTPUT))
    out[:, 0], out[:, 1], out[:, 2] = said.expected, said.residual, said.spread
    out[:, 3:5] = judge.departure.T
    if said.settling:
        out[:, 3:5] = np.nan
    out[~np.isfinite(said.residual), 3:5] = np.nan
    out[:, 5], out[:, 6] = accuracy.skill(scores), accuracy.coverage(scores)
    return out


def _model(said: Said) -> int:
    """What the twin's own word is worth: Uncertain while it settles and where it extrapolates."""
    if said.settling:
        return quality.UNCERTAIN_INITIAL_VALUE
    return quality.UNCERTAIN_SUB_NORMAL if said.remoteness > whitening.REMOTE else quality.GOOD


def _output_status(said: Said, value: F8) -> U4:
    """u4[p, PER_OUTPUT]: what is compared is no better than the measurement, and absent where there is none."""
    model, waiting = _model(said), quality.BAD_WAITING_FOR_INITIAL_DATA
    status = np.full(value.shape, model, np.uint32)
    if np.isfinite(value).all() and not said.uncertain.any():
        return status
    compared = np.where(said.uncertain, quality.UNCERTAIN, model)
    compared[np.isnan(said.residual)] = quality.BAD_DATA_UNAVAILABLE
    status[:, 1] = compared
    status[:, 3:] = np.where(np.isnan(value[:, 3:]), waiting, status[:, 3:])
    status[:, 3:5] = np.where(np.isnan(value[:, 3:5]), np.maximum(compared, waiting)[:, None], compared[:, None])
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
