"""What would happen: a change tried on the twin before it is made on the machine.

All particles of the belief run at once to the horizon, twice side by side: as it is now, and with the change. Both
runs meet the same starts, the same process noise and the same sensor noise (common random numbers), so that their
difference is the change's and not the draw's (Glasserman & Yao 1992). What the PLC does by itself is emulated: its
loops read noisy outputs as the real ones do. Limits are held against what the machine does, without sensor noise.

    x_0 ~ N(x, P);  u_k: schedule, loops, interlocks;  x_k+1 = f(x_k, u_k) + w_k,  w_k ~ N(0, Q)
    y_k = g(x_k, u_k) + what the twin misses there, as a random function: see `agent.twin.trial.discrepancy`
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from agent.core.nouns import F8
from agent.twin.domain import Domain
from agent.twin.filtering import Belief
from agent.twin.plant import Plant
from agent.twin.trial import discrepancy, plc
from agent.twin.trial.loop import Control
from agent.twin.trial.plc import Change, setpoint_of
from agent.twin.trial.tally import Constraint, Cost, Extrapolation, Tally, Violation

__all__ = ["Change", "Constraint", "Cost", "Outcome", "Question", "Start", "run"]

NOTHING = Control()


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """How it is now: the belief, the inputs f8[m] in units, the set points that are known, by tag."""

    belief: Belief
    u: F8
    setpoints: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Question:
    """What to try, how far ahead, and what to look at."""

    changes: tuple[Change, ...]
    horizon_s: float
    constraints: tuple[Constraint, ...] = ()
    costs: tuple[Cost, ...] = ()
    particles: int = 400
    seed: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of it. S signals: inputs, measured outputs, virtual outputs, as `tags` and `units` say.

    time_s f8[T]; band f8[2,T,S,3]: p5, p50, p95 of baseline and candidate; difference f8[T,S,3] of candidate less
    baseline, particle by particle. violations and extrapolation: baseline, candidate. cost f8[costs,3,3]: baseline,
    candidate, difference, each p5, p50, p95, in signal unit times hours. interlocked: share of particles of each arm in
    which an interlock had tripped at the end.
    """

    tags: tuple[str, ...]
    units: tuple[str, ...]
    time_s: F8
    band: F8
    difference: F8
    constraints: tuple[Constraint, ...]
    violations: tuple[tuple[Violation, Violation], ...]
    costs: tuple[Cost, ...]
    cost: F8
    extrapolation: tuple[Extrapolation, Extrapolation]
    interlocked: tuple[float, float]


def run(
    plant: Plant,
    start: Start,
    question: Question,
    domain: Domain,
    control: Control = NOTHING,
    spread: F8 | None = None,
) -> Outcome:
    """Both arms over the horizon. ValueError says what in the question or the control does not fit the twin.

    spread f8[p+v]: of residuals on held-out rows, for the bands to hold the twin's own error; None: it is exact."""
    at = rows_of(plant)
    wrong = _problems(plant, start, question, control, at)
    if wrong:
        raise ValueError("; ".join(wrong))
    m, n, p, count = len(plant.inputs), plant.n, len(plant.outputs), question.particles
    steps = max(1, round(question.horizon_s / plant.period_s))
    now = np.concatenate([start.u, plant.observe(start.belief.x, start.u)])
    setpoints = [start.setpoints.get(loop.setpoint, float(now[at[loop.measured]])) for loop in control.loops]
    schedule = plc.scheduled(plant, control, question.changes, start.u, setpoints, steps + 1)
    known = plc.ready(control, now, setpoints, at, (2, count), m)
    tally = Tally(at, question.constraints, question.costs, domain, plant.period_s, (steps, count, len(at)))
    draw = np.random.default_rng(question.seed)
    root, jitter = _root(plant.Q).T, np.sqrt(plant.noise)
    first = start.belief.x + draw.standard_normal((count, n)) @ start.belief.root.T
    x = np.stack([first, first])
    observe = _observer(plant, spread, now[: m + p], question)
    for k in range(steps + 1):
        noise = draw.standard_normal((count, p)) * jitter
        u, known = plc.driven(plant, control, at, known, schedule, k, partial(observe, x), noise)
        tally.take(k, np.concatenate([u, observe(x, u)], axis=-1))
        x = plant.advance(x, u) + draw.standard_normal((count, n)) @ root
    return _outcome(plant, question, at, tally, known.interlocked)


def _observer(plant: Plant, spread: F8 | None, now: F8, question: Question) -> Callable[[F8, F8], F8]:
    """Outputs of states under inputs, with what the twin misses there."""
    if spread is None:
        return plant.observe
    missing = discrepancy.drawn(plant, spread, now, question.particles, question.seed)
    p = len(plant.outputs)

    def observe(x: F8, u: F8) -> F8:
        y = plant.observe(x, u)
        return y + discrepancy.missed(missing, np.concatenate([u, y[..., :p]], axis=-1))

    return observe


def rows_of(plant: Plant) -> dict[str, int]:
    """Row of each tag among the signals: inputs, measured outputs, virtual outputs."""
    return {c.tag: row for row, c in enumerate((*plant.inputs, *plant.outputs, *plant.virtual))}


def _root(Q: F8) -> F8:
    """A root of a covariance that may be singular: Q = L L'."""
    value, vector = np.linalg.eigh(Q)
    return np.asarray(vector * np.sqrt(np.maximum(value, 0.0)), np.float64)


def _outcome(
    plant: Plant, question: Question, at: Mapping[str, int], tally: Tally, tripped: Sequence[float]
) -> Outcome:
    band, difference = tally.bands
    limits = range(len(question.constraints))
    return Outcome(
        tags=tuple(at),
        units=tuple(c.unit for c in (*plant.inputs, *plant.outputs, *plant.virtual)),
        time_s=tally.time_s,
        band=band,
        difference=difference,
        constraints=question.constraints,
        violations=tuple((tally.violation(i, 0), tally.violation(i, 1)) for i in limits),
        costs=question.costs,
        cost=tally.costs,
        extrapolation=(tally.extrapolation(0), tally.extrapolation(1)),
        interlocked=(tripped[0], tripped[1]),
    )


def _problems(plant: Plant, start: Start, question: Question, control: Control, at: Mapping[str, int]) -> list[str]:
    """What cannot be asked, in words."""
    inputs = [c.tag for c in plant.inputs]
    known = list(dict.fromkeys([*inputs, *(t for k in control.loops for t in (k.setpoint, k.measured) if t)]))
    tags = [[c.tag for c in part] for part in (plant.inputs, plant.outputs, plant.virtual)]
    wrong = [f"control: expected {text}" for text in control.problems(*tags)]
    for change in question.changes:
        if change.tag not in inputs and not any(setpoint_of(loop, change.tag) for loop in control.loops):
            wrong.append(
                f"nothing moves {change.tag}: an input or the set point of a loop can be set: {', '.join(known)}"
            )
        elif not math.isfinite(change.value):
            wrong.append(f"{change.tag} is set to {change.value}, expected a finite number")
        elif not 0 <= change.start_s < question.horizon_s:
            wrong.append(
                f"{change.tag} is set at {change.start_s:g} s, expected before the horizon of {question.horizon_s:g} s"
            )
    looked_at = [*(c.tag for c in question.constraints), *(c.tag for c in question.costs)]
    wrong += [f"the twin has no {tag}, it has {', '.join(at)}" for tag in looked_at if tag not in at]
    absent = [tag for tag, value in zip(inputs, start.u, strict=True) if not math.isfinite(value)]
    wrong += [f"no present value of {', '.join(absent)}"] if absent else []
    if not (question.horizon_s > 0 and question.particles >= 2):
        wrong.append("expected a horizon over 0 and at least 2 particles")
    return wrong
