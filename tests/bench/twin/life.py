"""Remaining life of 200 machines that were run to failure in simulation, asked at 20, 40, 60 and 80 % of each life.

    python tests/bench/twin/life.py                        the scored lives, with the settings that ship
    python tests/bench/twin/life.py --lives 260 --first 0  lives that the settings were chosen on, and WIDENING made of

Coverage counts lives: each share below is over lives asked once. The machine has what the twin lacks: wear is a gamma
process whose mean bends (a power of use from 0.8 to 2.2) and whose pace follows the load by a power of 1.6; loads
change from week to week; wear acts on the output a little nonlinearly; the output carries AR(1) noise and steps of a
PLC's scaling. The twin knows none of that: it filters an hourly output with the filter that ships, and learns a drift.

"corrected" is the same after what the lives 0 to 259 said of its intervals, by band of damage (split-conformal; each of
them was asked four times, so the promise is not exact). The mean-life baseline is what a maintenance plan has: how long
the lives 0 to 499 lasted, less the hours run so far.

Lives 1000 to 1199 were scored once, without a correction: coverage 90.9, 82.0, 96.0 and 92.9 %, so 90 % was not held
at 40 and 60 % of life. The correction was made after that, and lives 2000 to 2199 were scored once.
"""

import argparse
import math
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from agent.fit import metrics
from agent.twin import filtering
from agent.twin.filtering import Sample
from agent.twin.kind import Channel, Health
from agent.twin.lifetime import life
from agent.twin.lifetime.drift import Wear
from agent.twin.plant import Plant

HOUR = 3600.0
FIRST_SCORED = 2000
ASKED = (0.2, 0.4, 0.6, 0.8)
GAIN, SIGMA = 0.4, 0.02  # share of the output that full wear takes; standard deviation of an hour's mean
WALK = 0.15 / math.sqrt(1000 * HOUR)


# The machine


@dataclass(frozen=True)
class Run:
    """One machine from new to failure, hour by hour: damage, load and measured output f8[hours]."""

    damage: np.ndarray
    load: np.ndarray
    y: np.ndarray


def machine(seed: int) -> Run:
    """A run to failure; the same for the same seed."""
    rng = np.random.default_rng([seed, 4])
    nominal_h, power, scatter = 1000 * rng.lognormal(0, 0.35), rng.uniform(0.8, 2.2), rng.uniform(0.02, 0.08)
    hours = int(8 * nominal_h)
    weekly = rng.choice([0.6, 1.0, 1.3], hours // 40 + 1, p=[0.3, 0.4, 0.3])
    load = np.repeat(weekly, 40)[:hours] * (1 + 0.1 * rng.standard_normal(hours))
    wear = np.diff((np.cumsum(np.abs(load) ** 1.6) / nominal_h) ** power, prepend=0.0)
    damage = np.cumsum(rng.gamma(np.maximum(wear / scatter**2, 1e-12), scatter**2))
    end = int(np.argmax(damage >= 1.0)) + 1
    damage, load = damage[:end], load[:end]
    y = load * (1 - GAIN * damage**1.1) + SIGMA * (0.9 * rng.standard_normal(end) + 0.45 * coloured(rng, end))
    return Run(damage, load, np.round(y / 0.005) * 0.005)


def coloured(rng, count: int, phi: float = 0.8) -> np.ndarray:
    """AR(1) noise of variance 1."""
    z, w = np.zeros(count), rng.standard_normal(count) * math.sqrt(1 - phi**2)
    for k in range(1, count):
        z[k] = phi * z[k - 1] + w[k]
    return z


# The twin


def _pump(p, x, u):
    return u[..., :1] * (1 - GAIN * x[..., :1])


KIND = SimpleNamespace(
    __name__="bench.pump",
    prior=lambda p: (np.zeros(1), np.array([[0.02**2]])),
    advance=lambda p, x, u, dt_s: x,
    outputs=_pump,
    process_noise=lambda p, dt_s: np.array([[WALK**2 * dt_s]]),
    health=lambda p: (Health("pump.wear", "pump", "1", 0, 0.0, 1.0, -0.5, 2.0, 0.02, WALK),),
    affine=lambda p, dt_s: None,
)
TWIN = Plant(
    KIND, None, (Channel("load", "1", 1.0, 0.3, 0.3, 1.7),), (Channel("head", "1", 0.8, 0.3, 0.0, 1.7),), (),
    HOUR, np.array([SIGMA**2]), np.array([0.005]),
)  # fmt: skip


def section(particles: int, widening: life.Widening | None = None) -> life.Lives:
    """What stands in the twin's file. The life it takes for likely is half as long again as the true median."""
    wear = Wear("pump.wear", life_s=1500 * HOUR, every_s=8 * HOUR)
    return life.Lives((wear,), (), (), 8000 * HOUR, 1.0, particles, "simulation", widening=widening)


@dataclass(frozen=True)
class Asked:
    """One prediction: at this share of its life, with so much left; what was said, as it ships and corrected."""

    seed: int
    share: float
    run_s: float
    left_s: float
    said: life.Life
    corrected: life.Life


def predictions(seed: int, particles: int) -> list[Asked]:
    """What the twin says of one machine at each share of its life."""
    run, found, lives = machine(seed), [], section(particles)
    due = {math.ceil(share * len(run.y)): share for share in ASKED}
    course, state = life.begin(TWIN, lives), None
    for hour, (u, y) in enumerate(zip(run.load, run.y, strict=True), 1):
        sample = Sample(int(hour * HOUR * 1e9), np.array([u]), np.array([y]), np.ones(1))
        state = filtering.step(TWIN, state, sample)[0] if state else filtering.begin(TWIN, sample)
        course = life.fold(TWIN, lives, course, state.belief, sample.u, HOUR)
        if hour in due:
            said = [
                life.predict(TWIN, state.belief, one, course, seed) for one in (lives, section(particles, WIDENING))
            ]
            found.append(Asked(seed, due[hour], hour * HOUR, (len(run.y) - hour) * HOUR, *said))
    return found


# What lives 0 to 259 said.
WIDENING = life.Widening(
    np.array([0.1, 0.2, 0.35, 0.6]),
    np.array([0.33, -0.01, -0.3, -0.43, -0.16]),
    np.array([-0.9, -0.28, 0.09, 0.07, 0.11]),
    927,
)


# The table


def intervals(asked: list[Asked], which: str = "said"):
    """(p5, p50, p95, left), each f8[k] in s."""
    rows = [(w.p5_s, w.p50_s, w.p95_s, a.left_s) for a in asked for w in [getattr(a, which).whole]]
    return np.array(rows).reshape(-1, 4).T


def mean_life(asked: list[Asked], lasted_s: np.ndarray):
    """The same of the baseline: quantiles of the lives that lasted longer than this one has run."""
    rows = []
    for a in asked:
        longer = lasted_s[lasted_s > a.run_s]
        rest = (longer if len(longer) else lasted_s[[-1]]) - a.run_s
        rows.append((*np.quantile(np.maximum(rest, 0.0), [0.05, 0.5, 0.95]), a.left_s))
    return np.array(rows).reshape(-1, 4).T


def baseline_crps(a: Asked, lasted_s: np.ndarray) -> float:
    """CRPS of the lives that lasted longer than this one has run."""
    longer = lasted_s[lasted_s > a.run_s]
    return metrics.crps_of((longer if len(longer) else lasted_s[[-1]]) - a.run_s, a.left_s, a.said.horizon_s)


def line(name: str, low, middle, high, left, crps) -> str:
    """Coverage with its interval, width and error as shares of the true rest, CRPS in h."""
    c = metrics.coverage(low, high, left)
    width, error = np.median((high - low) / left), np.median(middle / left)
    right = np.nanmean(metrics.relative_accuracy(middle, left))
    holds = "holds 90 %" if c.allows(0.9) else "does NOT hold 90 %"
    return (
        f"  {name:<10} {c.share:6.1%} [{c.low:.1%}, {c.high:.1%}] {holds:<18}"
        f" width {width:4.2f}  p50/true {error:4.2f}"
        f" relative accuracy {right:5.2f}  CRPS {np.mean(crps) / HOUR:4.0f} h"
    )


def table(asked: list[Asked], lasted_s: np.ndarray) -> None:
    """All of it, a block for each share of life."""
    for share in ASKED:
        here = [a for a in asked if a.share == share]
        told = [a for a in here if not a.said.whole.reason]
        censored = np.mean([a.said.whole.censored for a in told])
        open_end = np.mean([math.isinf(a.said.whole.p95_s) for a in told])
        lam = np.mean([metrics.alpha_lambda(a.said.at_s, a.said.whole.p_fail, a.left_s) for a in told])
        print(
            f"at {share:.0%} of life: {len(here)} lives, no estimate {1 - len(told) / len(here):.1%}, "
            f"censored particles {censored:.1%}, p95 beyond the horizon {open_end:.1%}, alpha-lambda (20 %) {lam:.0%}"
        )
        for name, which in (("twin", "said"), ("corrected", "corrected")):
            crps = [metrics.crps(a.said.at_s, getattr(a, which).whole.p_fail, a.left_s) for a in told]
            print(line(name, *intervals(told, which), crps))
        print(line("mean life", *mean_life(told, lasted_s), [baseline_crps(a, lasted_s) for a in told]))
    reasons = [a.said.whole.reason.partition(" (")[0] for a in asked if a.said.whole.reason]
    for reason in sorted(set(reasons)):
        print(f"no estimate: {reasons.count(reason)} x {reason}")


def horizons(asked: list[Asked]) -> None:
    """Prognostic horizon within 20 % of the whole life, of the four predictions of each life."""
    found = []
    for seed in sorted({a.seed for a in asked}):
        mine = sorted((a for a in asked if a.seed == seed), key=lambda a: a.share)
        end_s = mine[0].run_s + mine[0].left_s
        rows = np.stack([a.said.whole.p_fail for a in mine])
        at = np.array([a.run_s for a in mine])
        found.append(metrics.prognostic_horizon(at, mine[0].said.at_s, rows, end_s, alpha=0.2) / end_s)
    shares = ", ".join(f"{np.quantile(found, q):.0%}" for q in (0.25, 0.5, 0.75))
    print(f"prognostic horizon (alpha 20 % of life): quartiles {shares} of a life before its end")


def main() -> None:
    """Run, ask, print."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--lives", type=int, default=200)
    options.add_argument("--first", type=int, default=FIRST_SCORED, help="seed of the first life")
    options.add_argument("--particles", type=int, default=1000)
    given = options.parse_args()
    lasted_s = np.sort([len(machine(seed).y) * HOUR for seed in range(500)])
    asked = [a for seed in range(given.first, given.first + given.lives) for a in predictions(seed, given.particles)]
    what = "scored" if given.first >= FIRST_SCORED else "for choosing settings"
    print(f"results from simulation alone: lives {given.first} to {given.first + given.lives - 1} ({what})")
    print("interval from p5 to p95; width and p50 as shares of the true rest, medians over lives")
    table(asked, lasted_s)
    horizons(asked)
    if given.first == 0 and given.lives >= 200:
        told = [a for a in asked if not a.said.whole.reason]
        low, _, high, left = intervals(told)
        damage = np.array([a.said.parts[0].now for a in told])
        print(metrics.widening(damage, low, high, left, WIDENING.edges))


if __name__ == "__main__":
    main()
