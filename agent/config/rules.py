"""The engine's modes and rules, from a class as it holds for an asset."""

from __future__ import annotations

from dataclasses import replace

from agent.config import alerts, schema
from agent.config.load import LoadedAsset
from agent.config.schema import Limit
from agent.core.conditions import TRUSTED, Rule
from agent.engine.asset import ModeRule, Modes


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
    """Limits in their order, then the alerts of what models give, and of heartbeats."""
    standing = alerts.standing(loaded)
    limits = (replace(_limit(limit), standing=standing.get(limit.tag, TRUSTED)) for limit in loaded.kind.limits)
    return (*limits, *alerts.of(loaded), *_heartbeats(loaded))


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
