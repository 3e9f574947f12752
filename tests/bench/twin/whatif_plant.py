"""What-if against the plant of `hil/`, which has what a twin lacks.

    python tests/bench/twin/whatif_plant.py [--twin FILE ...] [--seeds 20] [--first 200]

A twin and the PLC's loop are learned from a recording of 2 hours (seed 1). Then, for each seed, the plant runs for
half an hour at one set point, an operator writes another, and the plant goes on for 20 minutes. The twin is told of
the first half hour only, and asked what the change will do. Printed: how often the truth lies in the band from p5
to p95 (levels without sensor noise, the pump's speed), how far off its middle is after 20 minutes, and what holding
the last value would have said. Results from simulation.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from agent.cli.present import followed
from agent.fit.recording import Recording
from agent.twin.trial import whatif
from agent.twin.trial.whatif import Change, Question, Start
from agent.twin.twin import Twin, load
from hil.registers import decoded
from hil.simulation import Choices, Simulation

BEFORE_S, AFTER_S, SCANS_A_ROW = 1800, 1200, 10
RAMP_M_S = 0.003
TRUE = {"upper/level": "upper_level_m", "lower/level": "lower_level_m"}
SHOWN = (*TRUE, "pump/speed")
RUN = (sys.executable, "-m", "agent.cli")


def learned(folder: Path) -> Twin:
    """A twin with its loop, by the commands that a user types."""
    source, out = folder / "healthy.csv", folder / "twin.json"
    where = ("--where", "drive/state=2", "--settle", "30")
    signals = ("--inputs", "pump/speed,valve/position", "--outputs", "upper/level,lower/level,pump/flow,pump/pressure")
    loop = "lower/level->pump/speed setpoint=control/setpoint"
    record = ("-m", "hil.record", "--out", source, "--hours", "2", "--seed", "1", "--schedule", "--reference")
    commands = (
        (sys.executable, *record),
        (*RUN, "fit", "twin", source, "--out", out, *signals, "--virtual", "upper/transfer_flow", *where),
        (*RUN, "fit", "loop", source, "--twin", out, "--loop", loop, *where),
    )
    for command in commands:
        subprocess.run(command, check=True)
    return load(out.read_bytes())


def played(seed: int) -> tuple[list[dict[str, float]], float]:
    """Rows of what a client would have read, with the truth beside it; the set point that was written."""
    draw = np.random.default_rng(seed)
    first, second = draw.uniform(0.17, 0.25, 2)
    plant = Simulation(Choices(seed))
    plant._order_s = np.inf  # no other product meanwhile
    plant.program.write_setpoint(float(first))
    rows = []
    for k in range(BEFORE_S + AFTER_S):
        if k == BEFORE_S:
            plant.program.write_setpoint(float(second))
        for _ in range(SCANS_A_ROW):
            plant.scan()
        rows.append({**decoded(plant.image()), **plant.truth()})
    return rows, float(second)


def asked(twin: Twin, rows: list[dict[str, float]], wanted: float) -> whatif.Outcome:
    """What the twin says at the moment at which the set point is written."""
    known = [row for row in rows[:BEFORE_S] if row["drive/state"] == 2][-900:]
    value = np.array([[float(row[tag]) for tag in twin.tags] for row in known])
    time_s = np.arange(len(known), dtype=np.float64)
    belief, u = followed(twin, Recording("", "", twin.tags, time_s, value, (), 1.0))
    now = float(known[-1]["control/setpoint"])
    ramp_s = abs(wanted - now) / RAMP_M_S
    question = Question((Change("control/setpoint", wanted, 0.0, ramp_s),), float(AFTER_S))
    return whatif.run(
        twin.plant, Start(belief, u, {"control/setpoint": now}), question, twin.domain, twin.control, twin.spread
    )


def scored(outcome: whatif.Outcome, rows: list[dict[str, float]]) -> dict[str, tuple[float, float, float, float]]:
    """Of each signal: share of instants inside the band, width at the end, error of p50 and of the last value there."""
    after, before = rows[BEFORE_S:], rows[BEFORE_S - 1]
    place = np.minimum(np.round(outcome.time_s).astype(int), AFTER_S - 1)[10:]
    found = {}
    for tag in SHOWN:
        truth = np.array([float(row[TRUE.get(tag, tag)]) for row in after])[place]
        low, middle, high = outcome.band[1, 10:, outcome.tags.index(tag)].T
        inside = float(np.mean((truth >= low) & (truth <= high)))
        end = truth[-60:].mean()
        still = abs(float(before[TRUE.get(tag, tag)]) - end)
        found[tag] = (inside, float(high[-1] - low[-1]), abs(float(middle[-60:].mean()) - end), still)
    return found


def main() -> None:
    """Learn once (or take --twin), ask for each seed, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--twin", type=Path, nargs="+", help="twins with their loop, in the place of learning one")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=200)
    args = parser.parse_args()
    if args.twin:
        twins = {str(path): load(path.read_bytes()) for path in args.twin}
    else:
        with tempfile.TemporaryDirectory() as folder:
            twins = {"learned": learned(Path(folder))}
    results: dict[str, list[dict[str, tuple[float, float, float, float]]]] = {name: [] for name in twins}
    for seed in range(args.first, args.first + args.seeds):
        rows, wanted = played(seed)
        for name, twin in twins.items():
            results[name].append(scored(asked(twin, rows, wanted), rows))
    for name, found in results.items():
        print(name)
        report(found)
    print(f"{args.seeds} plants; [p10, p90] and +- are over plants; results from simulation")


def report(results: list[dict[str, tuple[float, float, float, float]]]) -> None:
    """One line a signal."""
    print(f"{'signal':<14}{'inside p5..p95':>24}{'width at end':>14}{'error of p50':>22}{'of holding':>12}")
    for tag in SHOWN:
        part = np.array([r[tag] for r in results])
        inside, width, error, still = part.T
        low, high = np.quantile(inside, [0.1, 0.9])
        share = f"{100 * inside.mean():.0f} % [{100 * low:.0f}, {100 * high:.0f}]"
        off = f"{error.mean():.3g} +- {error.std():.2g}"
        print(f"{tag:<14}{share:>24}{width.mean():>14.3g}{off:>22}{still.mean():>12.3g}")


if __name__ == "__main__":
    main()
