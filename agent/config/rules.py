"""The engine's modes and rules, from a class as it holds for an asset."""

from __future__ import annotations

from agent.config import schema
from agent.config.load import LoadedAsset
from agent.config.schema import Limit
from agent.core.conditions import Rule
from agent.core.nouns import Role
from agent.engine.asset import ModeRule, Modes

SCORE, LIMIT = "anomaly/score", "anomaly/limit"


def modes_of(modes: schema.Modes) -> Modes:
    """How the engine finds the mode."""
    rules = tuple(
        ModeRule(
            rule.mode,
            rule.tag,
            float("-inf") if rule.at_least is None else rule.at_least,
            float("inf") if rule.at_most is None else rule.at_most,
            rule.for_s,
        )
        for rule in modes.rules
    )
    otherwise = modes.otherwise if modes.always is None else modes.always
    return Modes(modes.tag, dict(modes.words), rules, otherwise)


def rules_of(loaded: LoadedAsset) -> tuple[Rule, ...]:
    """Limits in their order, then one rule for each deviation a twin gives, those of detectors, and of heartbeats."""
    limits = (_limit(limit) for limit in loaded.kind.limits)
    return (*limits, *_residuals(loaded), *_anomalies(loaded), *_heartbeats(loaded))


def _limit(limit: Limit) -> Rule:
    side, bound = ("low", limit.low) if limit.high is None else ("high", limit.high)
    if bound is None:
        raise ValueError(f"limit {limit.name} has no bound")
    return Rule(
        id=limit.name,
        point=limit.tag,
        kind="limit",
        side=side,
        limit=bound,
        hysteresis=limit.hysteresis,
        on_delay_s=limit.on_delay_s,
        off_delay_s=limit.off_delay_s,
        category=limit.category,
        priority=limit.priority,
        consequence=limit.consequence,
        response=limit.response,
        respond_within_s=limit.respond_within_s,
        modes=frozenset(limit.modes),
        settle_s=limit.settle_s,
        of=limit.tag,
        message=limit.message or f"{limit.tag} is {'above' if side == 'high' else 'below'} {bound:g}",
    )


def _residuals(loaded: LoadedAsset) -> tuple[Rule, ...]:
    given, out = loaded.kind.residuals, []
    for model in loaded.models:
        for point in model.points:
            if point.role is not Role.DEVIATION or point.of is None:
                continue
            tag = point.of.removeprefix(loaded.asset.id + "/")
            out.append(
                Rule(
                    id=f"{tag}.residual",
                    point=point.id.removeprefix(loaded.asset.id + "/"),
                    kind="residual",
                    side="both",
                    limit=given.limit,
                    hysteresis=given.hysteresis,
                    on_delay_s=given.on_delay_s,
                    off_delay_s=given.off_delay_s,
                    modes=model.modes,
                    of=tag,
                    message=f"{tag} departs from what is expected of it",
                )
            )
    return tuple(out)


def _anomalies(loaded: LoadedAsset) -> tuple[Rule, ...]:
    given, out = loaded.kind.anomaly, []
    for model in loaded.models:
        if any(point.id == f"{loaded.asset.id}/{SCORE}" for point in model.points):
            out.append(
                Rule(
                    id="anomaly",
                    point=SCORE,
                    kind="anomaly",
                    side="high",
                    limit=1.0,
                    limit_point=LIMIT,
                    hysteresis=given.hysteresis,
                    on_delay_s=given.on_delay_s,
                    off_delay_s=given.off_delay_s,
                    modes=model.modes,
                    message="the measured values do not fit together as they did",
                )
            )
    return tuple(out)


def _heartbeats(loaded: LoadedAsset) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            id=f"{row.name}.heartbeat",
            point=row.name,
            kind="heartbeat",
            side="high",
            limit=row.heartbeat,
            category="event",
            of=row.name,
            message=f"heartbeat of {loaded.source(row)}",
        )
        for row in loaded.rows
        if row.heartbeat is not None
    )
