"""The conditions of an asset: rules folded over what this cycle knows, and what people say to them (ISA-18.2 §10)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from agent.core import conditions, quality
from agent.core.conditions import Rule
from agent.core.nouns import Command, Condition, Event, Frame
from agent.engine import heartbeats
from agent.engine.asset import Asset
from agent.engine.models import SoFar
from agent.engine.state import State

Say = Callable[..., Event]
NOTHING: Mapping[str, float] = {}
LONGEST_SHELF_S = 12 * 3600.0


def step(
    asset: Asset, state: State, frame: Frame, so_far: SoFar, say: Say
) -> tuple[tuple[Condition, ...], tuple[int, ...], list[Event]]:
    """All rules one step on: (conditions, pending_ns, events). In maintenance `frame` has the machine's own mode."""
    care = bool(state.maintenance.now.since_ns)
    after, pending, events = [], [], []
    unchanged_s = heartbeats.unchanged_s(asset.heartbeats, state.beats)
    for rule, before, waiting_ns in zip(asset.rules, state.conditions, state.pending_ns, strict=True):
        silent = _silent(rule, care, so_far)
        if silent:
            condition, waits_ns, change = conditions.silenced(before, frame.t_ns)
        else:
            value, limit = seen(rule, frame, so_far, unchanged_s)
            condition, waits_ns, change = conditions.fold(rule, before, waiting_ns, value, limit, frame.t_ns)
        if condition.shelved_until_ns and frame.t_ns >= condition.shelved_until_ns:
            condition = replace(condition, shelved_until_ns=0, shelve_reason="")
            events.append(say("unshelved", f"{condition.id}: its time on the shelf is over", condition=condition))
        if change:
            believed = rule.standing != conditions.PROVISIONAL
            blamed = _blamed(asset, rule, condition, so_far)
            condition = replace(condition, blamed=blamed, provisional=not believed)
        if change and not condition.shelved_until_ns:
            text = f"{change}: {condition.id} is silent, {silent}" if silent else words(rule, condition, change)
            events.append(say(change, text, condition=condition))
        after.append(condition)
        pending.append(waits_ns)
    return tuple(after), tuple(pending), events


def _silent(rule: Rule, care: bool, so_far: SoFar) -> str:
    """Why a rule says nothing, "" where it does not hold its tongue."""
    if rule.standing == conditions.LEARNING:
        return "its model is learning"
    return "maintenance" if care and (rule.category == "alert" or rule.point in so_far) else ""


def seen(rule: Rule, frame: Frame, so_far: SoFar, unchanged_s: Mapping[str, float] = NOTHING) -> tuple[float, float]:
    """(value, limit) of a rule in this frame: NaN where it does not hold, is settling, or the value is Bad."""
    nothing = float("nan")
    if rule.kind == "heartbeat":
        return unchanged_s.get(rule.point, nothing), rule.limit
    if frame.mode not in rule.modes or frame.mode_age_ns < rule.settle_s * 1e9:
        return nothing, nothing
    limit = rule.limit if rule.limit_point is None else _value(rule.limit_point, frame, so_far)
    return _value(rule.point, frame, so_far), limit


def _value(point: str, frame: Frame, so_far: SoFar) -> float:
    if point in so_far:
        value, status = so_far[point]
    else:
        row = frame.names.at[point]
        value, status = float(frame.value[row]), int(frame.status[row])
    return float("nan") if quality.is_bad(status) else value


def _blamed(asset: Asset, rule: Rule, condition: Condition, so_far: SoFar) -> str:
    """The measured point to look at: the rule's own, or for an anomaly the one of largest contribution."""
    if rule.kind != "anomaly":
        return condition.blamed
    ends = ".contribution"
    shares = {p: value for p, (value, _) in so_far.items() if p.endswith(ends) and not math.isnan(value)}
    if not shares:
        return condition.blamed
    most = max(shares, key=lambda p: shares[p]).removesuffix(ends)
    tag = most.removesuffix(".residual")
    return f"{asset.id}/{tag if tag in asset.names.at else most}"


def words(rule: Rule, condition: Condition, change: str) -> str:
    """One line for people: what, how much, against what."""
    if rule.kind == "heartbeat":
        stands = f"stopped: {rule.of} unchanged for {condition.value:.3g} s"
        return f"{rule.message} {stands if condition.active else f'is back: {rule.of} changes again'}"
    what = rule.message or f"{condition.point} is {'out of its limit' if condition.active else 'within its limit'}"
    change = f"{change} (provisional)" if condition.provisional else change
    blamed = f", look at {condition.blamed}" if condition.blamed and condition.blamed != condition.point else ""
    return f"{change}: {what} ({condition.value:.4g}, limit {condition.limit:.4g}{blamed})"


def obey(
    known: tuple[Condition, ...], command: Command, now_ns: int, say: Say
) -> tuple[tuple[Condition, ...], list[Event]]:
    """What acknowledge, shelve and unshelve do to the conditions. An unknown target is an event too."""
    rows = [i for i, c in enumerate(known) if c.id == command.target]
    if not rows:
        return known, [say("refused", f"{command.do}: no condition {command.target}", user=command.user)]
    condition = known[rows[0]]
    try:
        after, text = _ACTS[command.do](condition, command, now_ns)
    except ValueError as error:
        return known, [say("refused", f"{command.do} {command.target}: {error}", user=command.user)]
    changed = (*known[: rows[0]], after, *known[rows[0] + 1 :])
    return changed, [say(_CHANGE[command.do], text, user=command.user, condition=after)]


def _acknowledge(condition: Condition, command: Command, now_ns: int) -> tuple[Condition, str]:
    comment = command.args.get("comment", "")
    return replace(condition, acknowledged=True), f"{condition.id} acknowledged by {command.user} {comment}".rstrip()


def _shelve(condition: Condition, command: Command, now_ns: int) -> tuple[Condition, str]:
    reason = command.args.get("reason", "").strip()
    if not reason:
        raise ValueError("a reason is needed")
    for_s = float(command.args.get("for_s", "3600"))
    if not 0 < for_s <= LONGEST_SHELF_S:
        raise ValueError(f"for_s must be within 0 and {LONGEST_SHELF_S:g}, got {for_s:g}")
    until_ns = now_ns + int(for_s * 1e9)
    after = replace(condition, shelved_until_ns=until_ns, shelve_reason=reason)
    return after, f"{condition.id} shelved for {for_s:g} s by {command.user}: {reason}"


def _unshelve(condition: Condition, command: Command, now_ns: int) -> tuple[Condition, str]:
    return replace(condition, shelved_until_ns=0, shelve_reason=""), f"{condition.id} unshelved by {command.user}"


_ACTS = {"ack": _acknowledge, "shelve": _shelve, "unshelve": _unshelve}
_CHANGE = {"ack": "acknowledged", "shelve": "shelved", "unshelve": "unshelved"}
