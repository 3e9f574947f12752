"""A new model in the shadow of an old one: both step, one speaks, and what the other would have said is counted.

Both see the same frames. Alerts, points and events come from the one that speaks; the alerts of both are folded by the
same rules, so that what the other would have raised is known and not estimated. A promotion makes the new one speak;
the old one runs on behind it, so that a rollback is the matter of one cycle.

    promote ASSET/MODEL [reason=...]     by a person, or by the rule of the pair
    rollback ASSET/MODEL [reason=...]    by a person, or within the probation by itself

By rule it is promoted where, with 95 % confidence, its alarms come no more often than it promises: P(N <= n) <= 0.05
for a Poisson number N at the promised rate. It is taken back where its alarms beyond those of the old one are too many
to be chance at that rate, P(N >= n) < 0.001; where it fails; or where it is silent while the old one speaks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agent.core import conditions, poisson, quality
from agent.core.conditions import Rule
from agent.core.nouns import Command, Event, Fault, Frame
from agent.engine import alarms, models
from agent.engine.alarms import Say
from agent.engine.asset import Asset, Pair
from agent.engine.compared import figures
from agent.engine.comparison import DAY_S, NEW, OLD, Comparison, Side, anew, counted
from agent.engine.models import Given
from agent.engine.state import ModelState, State

DO = ("promote", "rollback")
CHANGE = {"promote": "model_promoted", "rollback": "model_rolled_back"}
ENOUGH = 0.05  # what a rate above the promise may still have for a chance when a model is promoted
TOO_MANY = 0.001  # the chance of so many alarms at the promised rate below which a model is taken back
FEWEST = 3  # and fewer than so many take nothing back
SILENT_S = 600.0
HEARD = 0.9  # of the time of the old one, a new one must have spoken to be promoted
# Kinds of alert whose value says how near to its limit a model is: the others only say yes or no.
NEAR = frozenset({"residual", "cusum", "anomaly", "isolation"})


def placed(asset: Asset, comparisons: Sequence[Comparison]) -> Asset:
    """The asset whose alerts are believed as far as those of the models that speak."""
    standing = {
        row: pair.standing[NEW]
        for pair, known in zip(asset.pairs, comparisons, strict=True)
        if known.promoted and pair.standing[NEW] != pair.standing[OLD]
        for row in pair.rules
    }
    if not standing:
        return asset
    rules = (replace(r, standing=standing.get(row, r.standing)) for row, r in enumerate(asset.rules))
    return replace(asset, rules=tuple(rules))


def compare(
    asset: Asset, state: State, states: tuple[ModelState, ...], frame: Frame, faults: Sequence[Fault]
) -> tuple[Comparison, ...]:
    """The comparisons after a cycle in which the models came to `states`."""
    failed = {fault.component: fault.text for fault in faults}
    return tuple(
        _one(asset, pair, known, states, frame, failed)
        for pair, known in zip(asset.pairs, state.comparisons, strict=True)
    )


def _one(
    asset: Asset,
    pair: Pair,
    known: Comparison,
    states: tuple[ModelState, ...],
    frame: Frame,
    failed: dict[str, str],
) -> Comparison:
    given = [models.of_pair(pair, states, which) for which in (OLD, NEW)]
    seen = [_seen(asset, pair, each, frame) for each in given]
    rules = [asset.rules[row] for row in pair.rules]
    spoke = [_spoke(each, rules, values) for each, values in zip(given, seen, strict=True)]
    sides, dt_s = list[Side](), frame.dt_ns * 1e-9
    for which, before in enumerate(known.sides):
        fault = failed.get(asset.models[pair.number + which].name, "")
        after = _side(asset, pair, before, seen[which], frame.t_ns, dt_s if spoke[which] else 0.0, fault)
        near = _nearness(rules, seen[which]) if all(spoke) else math.nan
        sides.append(after if math.isnan(near) else replace(after, nearness=counted(after.nearness, near)))
    apart = any(sides[OLD].raised) != any(sides[NEW].raised)
    quiet = spoke[1 - known.speaks] and not spoke[known.speaks]
    return replace(
        known,
        sides=(sides[OLD], sides[NEW]),
        both_s=known.both_s + dt_s * all(spoke),
        apart_s=known.apart_s + dt_s * (all(spoke) and apart),
        mute_s=known.mute_s + dt_s if quiet else known.mute_s * (not spoke[known.speaks]),
    )


def _seen(asset: Asset, pair: Pair, given: Given, frame: Frame) -> list[tuple[float, float]]:
    """(value, limit) of each rule of the pair if that side spoke."""
    said = models.named(asset, given)
    return [alarms.seen(asset.rules[row], frame, said) for row in pair.rules]


def _spoke(given: Given, rules: Sequence[Rule], seen: Sequence[tuple[float, float]]) -> bool:
    """Whether a side gave anything that its alerts could be judged by; anything at all where it has none."""
    told = [pair for rule, pair in zip(rules, seen, strict=True) if rule.kind in NEAR]
    if not told:
        return bool((~quality.bad_mask(given.status)).any())
    return any(not math.isnan(value) and not math.isnan(limit) for value, limit in told)


def _side(
    asset: Asset, pair: Pair, before: Side, seen: list[tuple[float, float]], now_ns: int, spoke_s: float, fault: str
) -> Side:
    raised, pending_ns = list[bool](), list[int]()
    for row, (value, limit), active, waits_ns in zip(pair.rules, seen, before.raised, before.pending_ns, strict=True):
        stands, waits_ns = conditions.turned(asset.rules[row], active, waits_ns, value, limit, now_ns)
        raised.append(stands)
        pending_ns.append(waits_ns)
    return replace(
        before,
        raised=tuple(raised),
        pending_ns=tuple(pending_ns),
        alarms=before.alarms + (any(raised) and not any(before.raised)),
        spoke_s=before.spoke_s + spoke_s,
        faults=before.faults + bool(fault),
        fault=before.fault or fault,
    )


def _nearness(rules: Sequence[Rule], seen: Sequence[tuple[float, float]]) -> float:
    """max |value| / limit over the alerts that have a measure; NaN for none."""
    shares = [
        abs(value) / limit
        for rule, (value, limit) in zip(rules, seen, strict=True)
        if rule.kind in NEAR and limit > 0.0 and not math.isnan(value)
    ]
    return max(shares, default=math.nan)


def decide(asset: Asset, state: State, say: Say) -> tuple[State, list[Event]]:
    """The state after what the rules of the pairs make of what was seen so far."""
    known, events = list(state.comparisons), list[Event]()
    for number, pair in enumerate(asset.pairs):
        if ripe(pair, known[number]):
            known[number], event = _turned(asset, pair, known[number], "promote", "by its rule", say)
            events.append(event)
        elif why := broken(pair, known[number]):
            turned, event = _turned(asset, pair, known[number], "rollback", why, say)
            known[number] = replace(turned, barred=True)
            events.append(event)
    return (replace(state, comparisons=tuple(known)) if events else state), events


def ripe(pair: Pair, known: Comparison) -> bool:
    """Whether the rule promotes the shadow now."""
    after_h, (old, new) = pair.promotion.after_h, known.sides
    if after_h is None or known.promoted or known.barred or known.both_s < after_h * 3600.0:
        return False
    moves = np.count_nonzero(new.nearness) != 1
    return bool(
        moves
        and not new.faults
        and new.spoke_s >= HEARD * old.spoke_s
        and poisson.at_most(new.alarms, pair.promotion.alarms_per_day * new.spoke_s / DAY_S) <= ENOUGH
    )


def broken(pair: Pair, known: Comparison) -> str:
    """Why a promoted model is taken back now, "" where it is not."""
    (old, new), promise = known.sides, pair.promotion.alarms_per_day
    if not known.promoted or new.spoke_s >= pair.promotion.probation_h * 3600.0:
        return ""
    if new.faults:
        return f"it failed: {new.fault}"
    if known.mute_s >= SILENT_S:
        return f"it gave nothing for {SILENT_S:g} s while the old one did"
    more = new.alarms - old.alarms
    if more >= FEWEST and poisson.at_least(more, promise * new.spoke_s / DAY_S) < TOO_MANY:
        hours = new.spoke_s / 3600.0
        return f"{new.alarms} alarms in {hours:.3g} h, of the old one {old.alarms}; it promises {promise:g} a day"
    return ""


def obey(asset: Asset, state: State, command: Command, say: Say) -> tuple[State, Event]:
    """(state, event) of a command of a person; what cannot be done changes nothing and is said."""
    name = command.target.partition("/")[2]
    number = next((n for n, pair in enumerate(asset.pairs) if pair.name == name), None)
    try:
        if number is None:
            having = ", ".join(f"{asset.id}/{pair.name}" for pair in asset.pairs) or "none"
            raise ValueError(f"no shadow beside {command.target}; models with one: {having}")
        known = state.comparisons[number]
        _check(known, command.do)
    except ValueError as error:
        return state, say("refused", f"{command.do} {command.target}: {error}", user=command.user)
    reason = command.args.get("reason", "")
    why = f"by {command.user}{f': {reason}' if reason else ''}"
    turned, event = _turned(asset, asset.pairs[number], known, command.do, why, say, command.user)
    after = (*state.comparisons[:number], replace(turned, barred=False), *state.comparisons[number + 1 :])
    return replace(state, comparisons=after), event


def _check(known: Comparison, do: str) -> None:
    if do == "rollback" and not known.promoted:
        raise ValueError("the model of the file speaks already")
    if do == "promote" and known.promoted:
        raise ValueError("the new model speaks already")
    if do == "promote" and not known.sides[NEW].spoke_s:
        raise ValueError("the new model has given nothing yet")


def _turned(
    asset: Asset, pair: Pair, known: Comparison, do: str, why: str, say: Say, user: str = ""
) -> tuple[Comparison, Event]:
    promoted = do == "promote"
    what = "the new model took over" if promoted else "the old model took over again"
    text = f"{asset.id}/{pair.name}: {what}, {why} ({figures(known)})"
    because = f"{what} {why}" if why.startswith("by ") else f"{what}: {why}"
    return anew(replace(known, promoted=promoted, because=because)), say(CHANGE[do], text, user=user)
