"""The outcome of a what-if for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from agent.cli.present import Present
from agent.cli.wording import shown
from agent.core.nouns import F8
from agent.twin.trial.loop import Control
from agent.twin.trial.tally import Extrapolation, Violation
from agent.twin.trial.whatif import Outcome, Question

RANGE = "range"
NEGLIGIBLE = 1e-3


def lines(now: Present, question: Question, control: Control, found: Outcome) -> list[str]:
    """For the terminal."""
    units = dict(zip(found.tags, found.units, strict=True))
    name = f"{now.asset}: " if now.asset else ""
    return [
        f"{name}{now.told}",
        f"{shown(question.horizon_s)} ahead, {question.particles} particles; p50 [p5, p95]",
        *_changes(question, control, units),
        *_loops(control, units),
        "",
        *_signals(found),
        *_limits(found, units),
        *_costs(found, units),
        *_warnings(found),
    ]


def _changes(question: Question, control: Control, units: Mapping[str, str]) -> list[str]:
    read = {loop.setpoint: units.get(loop.measured, "") for loop in control.loops}
    out = []
    for c in question.changes:
        ramp = f" to +{shown(c.end_s)}" if c.end_s > c.start_s else ""
        unit = units.get(c.tag, read.get(c.tag, ""))
        by_hand = any(loop.manipulated == c.tag for loop in control.loops)
        manual = "; its loop stands still from then on" if by_hand else ""
        out.append(f"set {c.tag} = {c.value:g} {unit}".rstrip() + f" at +{shown(c.start_s)}{ramp}{manual}")
    return out or ["nothing is changed: both arms are the same"]


def _loops(control: Control, units: Mapping[str, str]) -> list[str]:
    out = [] if control.loops else ["no loop is emulated: inputs stand still unless they are set"]
    for loop in control.loops:
        gain = f"{loop.gain:.4g} {units.get(loop.manipulated, '')}/{units.get(loop.measured, '')}".rstrip(" /")
        of = f" of {loop.setpoint}" if loop.setpoint else ""
        out.append(f"loop {loop.measured} -> {loop.manipulated}{of}: gain {gain}, reset {shown(loop.reset_s)}")
    return out + [f"interlock {k.tag} {k.side} {k.limit:g}: {k.manipulated} = {k.value:g}" for k in control.interlocks]


def _signals(found: Outcome) -> list[str]:
    head = ["at the end", "unit", "baseline", "candidate", "difference"]
    rows = [
        [tag, unit, *(_spread(part) for part in (found.band[0, -1, i], found.band[1, -1, i], found.difference[-1, i]))]
        for i, (tag, unit) in enumerate(zip(found.tags, found.units, strict=True))
    ]
    return _table([head, *rows])


def _limits(found: Outcome, units: Mapping[str, str]) -> list[str]:
    """Limits; of ranges only those that may be left, the others counted."""
    rows, kept = [], set[str]()
    for c, (base, candidate) in zip(found.constraints, found.violations, strict=True):
        if c.name == RANGE and not base.probability and not candidate.probability:
            kept.add(c.tag)
            continue
        sign = "<" if c.side == "high" else ">"
        text = f"{c.tag} {sign} {c.limit:g} {units.get(c.tag, '')}".rstrip()
        rows.append([text, _chance(base), _chance(candidate), _when(candidate), f"{candidate.worst:.3g}"])
    head = ["violated", "baseline", "candidate", "first (median)", "worst margin (p5)"]
    told = [f"within its range in every particle: {', '.join(sorted(kept))}"] if kept else []
    return ["", *_table([head, *rows]), *told] if rows else ["", *told] if told else []


def _chance(violation: Violation) -> str:
    return f"{_percent(violation.probability)} [{_percent(violation.low)}, {_percent(violation.high)}]"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _when(violation: Violation) -> str:
    return f"+{shown(violation.first_s)}" if math.isfinite(violation.first_s) else "never"


def _costs(found: Outcome, units: Mapping[str, str]) -> list[str]:
    if not found.costs:
        return []
    rows = [
        [cost.name, cost_unit(units.get(cost.tag, "")), *(_spread(part) for part in found.cost[i])]
        for i, cost in enumerate(found.costs)
    ]
    return ["", *_table([["cost", "unit", "baseline", "candidate", "difference"], *rows])]


def cost_unit(unit: str) -> str:
    """The unit of an integral over hours: of m3/h it is m3, of W it is Wh."""
    if unit.endswith("/h"):
        return unit.removesuffix("/h")
    return f"{unit}h" if unit in ("W", "kW", "MW", "A") else f"{unit} h".strip()


def _warnings(found: Outcome) -> list[str]:
    said = []
    for arm, far in zip(("baseline", "candidate"), found.extrapolation, strict=True):
        if far.share > NEGLIGIBLE:
            said.append(f"{arm} extrapolates {_outside(far)}: do not rely on it there")
    for arm, share in zip(("baseline", "candidate"), found.interlocked, strict=True):
        if share:
            said.append(f"{arm}: an interlock has tripped in {_percent(share)} of the particles")
    return ["", *said] if said else []


def _outside(far: Extrapolation) -> str:
    return f"for {_percent(far.share)} of the time (distance {far.worst:.2f}, 1 is the edge; most of it {far.tag})"


def _spread(part: F8) -> str:
    low, middle, high = (f"{x:.4g}" for x in part.tolist())
    return f"{middle} [{low}, {high}]"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def tree(now: Present, question: Question, control: Control, found: Outcome) -> dict[str, Any]:
    """For programs: everything, arrays as lists."""
    units = dict(zip(found.tags, found.units, strict=True))
    arms = ("baseline", "candidate")
    return {
        "asset": now.asset,
        "state": {"from": now.told, "age_s": now.age_s},
        "horizon_s": question.horizon_s,
        "particles": question.particles,
        "seed": question.seed,
        "changes": [asdict(c) for c in question.changes],
        "control": asdict(control),
        "time_s": found.time_s.tolist(),
        "signals": [
            {
                "tag": tag,
                "unit": unit,
                "baseline": _quantiles(found.band[0, :, i]),
                "candidate": _quantiles(found.band[1, :, i]),
                "difference": _quantiles(found.difference[:, i]),
            }
            for i, (tag, unit) in enumerate(zip(found.tags, found.units, strict=True))
        ],
        "constraints": [
            {**asdict(c), "unit": units.get(c.tag, ""), **{a: asdict(v) for a, v in zip(arms, both, strict=True)}}
            for c, both in zip(found.constraints, found.violations, strict=True)
        ],
        "costs": [
            {
                "name": cost.name,
                "tag": cost.tag,
                "unit": cost_unit(units.get(cost.tag, "")),
                **{a: _quantiles(part) for a, part in zip((*arms, "difference"), found.cost[i], strict=True)},
            }
            for i, cost in enumerate(found.costs)
        ],
        "extrapolation": {a: asdict(far) for a, far in zip(arms, found.extrapolation, strict=True)},
        "interlocked": dict(zip(arms, found.interlocked, strict=True)),
    }


def _quantiles(value: F8) -> dict[str, Any]:
    return {name: value[..., i].tolist() for i, name in enumerate(("p5", "p50", "p95"))}
