"""Conditions after ISA-18.2: a rule over one point, and the pure fold that keeps its state.

    raw(t)   = value beyond limit                        while inactive
             = value beyond limit less hysteresis        while active
    active   := raw has held for on_delay;  inactive := not raw has held for off_delay

A value that is Bad or absent leaves the condition as it is: a dead device is one event of the device, not one a tag.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from agent.core.nouns import Condition, Mode

LEARNING, PROVISIONAL, TRUSTED = "learning", "provisional", "trusted"


@dataclass(frozen=True, slots=True)
class Rule:
    """What raises a condition. Ids are relative to the asset (`lower/level`, `lower/level.deviation`).

    kind: limit, residual, cusum, anomaly, isolation, trust, life, communication, heartbeat (the value is how long its
    point stands, in s).
    side: high, low, or both (of the absolute value).
    `limit_point`, where given, is read instead of `limit` (a detector brings its own).
    category: alarm (needs priority, consequence, response, respond_within_s), alert (joined in a Case) or event.
    `of`: the measured tag to blame; for an anomaly the one of largest contribution.
    `standing`: of the model that gives the point; learning is silent, what is provisional says so.
    """

    id: str
    point: str
    kind: str
    side: str
    limit: float
    limit_point: str | None = None
    hysteresis: float = 0.0
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0
    category: str = "alert"
    priority: str = ""
    consequence: str = ""
    response: str = ""
    respond_within_s: float = 0.0
    modes: frozenset[Mode] = frozenset(Mode)
    settle_s: float = 0.0
    of: str = ""
    message: str = ""
    standing: str = TRUSTED


def initial(rule: Rule, asset: str) -> Condition:
    """The condition of a rule before anything happened: inactive, nothing to acknowledge."""
    return Condition(
        id=f"{asset}/{rule.id}",
        asset=asset,
        point=f"{asset}/{rule.point}",
        kind=rule.kind,
        category=rule.category,
        priority=rule.priority,
        limit=rule.limit,
        message=rule.message,
        blamed=f"{asset}/{rule.of}" if rule.of else "",
        provisional=rule.standing == PROVISIONAL,
    )


def silenced(condition: Condition, now_ns: int) -> tuple[Condition, int, str]:
    """`fold` of a condition whose rule is silent: it ends, and nothing waits."""
    if not condition.active:
        return condition, 0, ""
    return replace(condition, active=False, since_ns=now_ns), 0, "cleared"


def beyond(rule: Rule, value: float, limit: float, active: bool) -> bool:
    """Whether the value is on the wrong side of the limit, the hysteresis helping a condition to stay active."""
    slack = rule.hysteresis if active else 0.0
    if rule.side == "low":
        return value < limit + slack
    return (abs(value) if rule.side == "both" else value) > limit - slack


def turned(rule: Rule, active: bool, pending_ns: int, value: float, limit: float, now_ns: int) -> tuple[bool, int]:
    """(active, pending_ns) after one step, of all that `fold` keeps."""
    if math.isnan(value) or math.isnan(limit):
        return active, 0
    wrong = beyond(rule, value, limit, active)
    if wrong == active:
        return active, 0
    delay_s = rule.on_delay_s if wrong else rule.off_delay_s
    since_ns = pending_ns or now_ns
    return (active, since_ns) if now_ns - since_ns < delay_s * 1e9 else (wrong, 0)


def fold(
    rule: Rule, condition: Condition, pending_ns: int, value: float, limit: float, now_ns: int
) -> tuple[Condition, int, str]:
    """One step: (condition, pending_ns, change). `pending_ns` is since when a change waits for its delay (0: none).

    change is "" , "raised" or "cleared". NaN leaves everything as it is.
    """
    active, waits_ns = turned(rule, condition.active, pending_ns, value, limit, now_ns)
    if math.isnan(value) or math.isnan(limit):
        return condition, waits_ns, ""
    seen = replace(condition, value=value, limit=limit, worst=_worst(rule, condition, value))
    if active == condition.active:
        return seen, waits_ns, ""
    if not active:
        return replace(seen, active=False, since_ns=now_ns), 0, "cleared"
    raised = replace(seen, active=True, acknowledged=False, since_ns=now_ns, worst=value, count=condition.count + 1)
    return raised, 0, "raised"


def _worst(rule: Rule, condition: Condition, value: float) -> float:
    if not condition.active or math.isnan(condition.worst):
        return condition.worst
    if rule.side == "low":
        return min(condition.worst, value)
    return max(condition.worst, value, key=abs) if rule.side == "both" else max(condition.worst, value)
