"""The alerts of what models give, by the role of each point: all of them are joined in the asset's one open Case.

deviation   |d| > limit            a measured value departs from what is expected of it
cusum       |c| > 1                small deviations of one sign add up
score       s > its own limit      the measured values do not fit together
fault       p > limit              a twin names the component
trust       level > 1              a twin does not trust itself
life        not before T < lead    a repair must be planned now
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from agent.config.load import LoadedAsset
from agent.config.modelfiles import LoadedModel
from agent.config.schema import Anomaly, Class, Cusum, Isolation, Residuals, Trust
from agent.core import units
from agent.core.conditions import Rule
from agent.core.nouns import Kind, Mode, Point, Role
from agent.engine.asset import SHADOW
from agent.twin import baseline

SCORE, LIMIT = "anomaly/score", "anomaly/limit"
NOT_BEFORE = ".not_before"
TRUST_OK = 1
MARGIN = 0.1  # of the lead time: so much longer a life must be for its alert to end

Make = Callable[[Class, LoadedModel, Point, str], Rule | None]


def of(loaded: LoadedAsset) -> Iterator[Rule]:
    """One rule for each point that has one, those of each role together."""
    told = set[str]()  # a model and its shadow have one rule for what both give
    for role, make in MAKE.items():
        for model in loaded.models:
            for point in model.points:
                if point.role is role and point.kind in (Kind.NUMBER, Kind.ENUMERATION) and not _whole(model, point):
                    rule = make(loaded.kind, model, point, loaded.asset.id + "/")
                    if rule is not None and rule.id not in told:
                        told.add(rule.id)
                        yield replace(rule, modes=_modes(loaded, model), standing=baseline.standing(model.baseline))


def _modes(loaded: LoadedAsset, model: LoadedModel) -> frozenset[Mode]:
    """Modes in which it or its shadow runs."""
    name = model.name.removesuffix(SHADOW)
    return frozenset().union(*(m.modes for m in loaded.models if m.name.removesuffix(SHADOW) == name))


def _whole(model: LoadedModel, point: Point) -> bool:
    """Whether it is the life of the whole, which its parts tell one by one."""
    base = point.id.removesuffix(NOT_BEFORE)
    ends = point.role is Role.LIFE and base != point.id
    return ends and any(p.id.startswith(base + ".") and p.id.endswith(NOT_BEFORE) for p in model.points if p != point)


def standing(loaded: LoadedAsset) -> Mapping[str, str]:
    """How far each point of a model is believed, by relative id."""
    ids = [(p.id.removeprefix(loaded.asset.id + "/"), m) for m in loaded.models for p in m.points]
    return {name: baseline.standing(model.baseline) for name, model in reversed(ids)}


def _delays(given: Residuals | Cusum | Anomaly | Isolation | Trust) -> dict[str, Any]:
    """What its settings say of when it begins and ends."""
    return given.model_dump(include={"hysteresis", "on_delay_s", "off_delay_s"})


def _residual(kind: Class, model: LoadedModel, point: Point, asset: str) -> Rule | None:
    if point.of is None:
        return None
    tag, given = point.of.removeprefix(asset), kind.residuals
    return Rule(
        id=f"{tag}.residual",
        point=point.id.removeprefix(asset),
        kind="residual",
        side="both",
        limit=given.limit,
        **_delays(given),
        of=tag,
        message=f"{tag} departs from what is expected of it",
    )


def _cusum(kind: Class, model: LoadedModel, point: Point, asset: str) -> Rule:
    name, given = point.id.removeprefix(asset), kind.cusum
    tag = (point.of or point.id).removeprefix(asset)
    return Rule(
        id=name,
        point=name,
        kind="cusum",
        side="both",
        limit=1.0,
        **_delays(given),
        of=tag,
        message=f"{tag} departs a little, but steadily, from what is expected of it",
    )


def _anomaly(kind: Class, model: LoadedModel, point: Point, asset: str) -> Rule | None:
    given = kind.anomaly
    if point.id != asset + SCORE:
        return None
    return Rule(
        id="anomaly",
        point=SCORE,
        kind="anomaly",
        side="high",
        limit=1.0,
        limit_point=LIMIT,
        **_delays(given),
        message="the measured values do not fit together as they did",
    )


def _isolation(kind: Class, model: LoadedModel, point: Point, asset: str) -> Rule:
    name, given = point.id.removeprefix(asset), kind.isolation
    return Rule(
        id=name,
        point=name,
        kind="isolation",
        side="high",
        limit=given.limit,
        **_delays(given),
        of=(point.of or point.id).removeprefix(asset),
        message=f"residuals speak for {point.description or name}",
    )


def _trust(kind: Class, model: LoadedModel, point: Point, asset: str) -> Rule:
    name, given = point.id.removeprefix(asset), kind.trust
    return Rule(
        id=name,
        point=name,
        kind="trust",
        side="high",
        limit=TRUST_OK + 0.5,
        **_delays(given),
        of=(point.of or point.id).removeprefix(asset),
        message=f"the model {model.name} does not fit the machine as it did",
    )


def _life(kind: Class, model: LoadedModel, point: Point, asset: str) -> Rule | None:
    """In the unit of the point; one without a unit of time cannot be compared."""
    name, known = point.id.removeprefix(asset), units.UNITS.get(point.unit)
    if not name.endswith(NOT_BEFORE) or known is None or known.dimension != "time":
        return None
    lead = model.life_lead_h * 3600.0 / known.factor
    of_what = name.removesuffix(NOT_BEFORE).rpartition("/")[2].removeprefix("life.")
    return Rule(
        id=name,
        point=name,
        kind="life",
        side="low",
        limit=lead,
        hysteresis=MARGIN * lead,
        of=(point.of or point.id).removeprefix(asset),
        message=f"{of_what} may fail within {model.life_lead_h:g} h",
    )


MAKE: Mapping[Role, Make] = {
    Role.DEVIATION: _residual,
    Role.SCORE: _anomaly,
    Role.CUSUM: _cusum,
    Role.FAULT: _isolation,
    Role.TRUST: _trust,
    Role.LIFE: _life,
}
