"""What a sample of a life prediction costs in processor time beside ProgPy, on the same battery.

    python tests/bench/twin/speed_life.py [--rounds 5] [--samples 4] [--progpy PYTHON]

Both run Monte Carlo to the end of discharge (3 V): the equations, parameters, Euler step of 1 s, first state with its
covariance, process noise and load of ProgPy's battery example. Here it is the physics kind through `life.predict`, all
particles at once: noise and limit stand at each 10 s, and the Euler steps run through between them (and, to compare, at
each 1 s). There it is `MonteCarlo.predict` of ProgPy in its own interpreter, which keeps no more than it must
(save_freq beyond the horizon). Rounds alternate; the ratio is of medians, the range of single rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "unit"))

import battery_twin

from agent.twin.filtering import Belief
from agent.twin.lifetime import life
from agent.twin.plant import Plant

PROGPY = Path.home() / ".cache/edgetwin-progpy/bin/python"
HORIZON_S = 6000.0
CURRENT_A = (2.0, 2.0, 1.0, 4.0, 4.0, 4.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0, 3.0)
HELD_S = 300.0

# ProgPy's side: one line in (samples), one line out (CPU seconds a sample, times of the end of discharge).
PEER = """
import json, sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
from progpy.models import BatteryCircuit
from progpy.predictors import MonteCarlo
from progpy.uncertain_data import MultivariateNormalDist
states, spread, walk, current, held, horizon = json.loads(sys.stdin.readline())
model = BatteryCircuit(process_noise=walk, measurement_noise=0)
first = MultivariateNormalDist(list(states), list(states.values()), np.diag(np.square(list(spread.values()))))
loads = [model.InputContainer({"i": i}) for i in current]
predictor = MonteCarlo(model)
for line in sys.stdin:
    begun = time.process_time()
    found = predictor.predict(
        first, lambda t, x=None: loads[int(t // held) % len(loads)], dt=1.0, n_samples=int(line), horizon=horizon,
        save_freq=1e9)
    spent = (time.process_time() - begun) / int(line)
    print(json.dumps([spent, [one["EOD"] for one in found.time_of_event]]), flush=True)
"""


def ours(plant: Plant, particles: int, step_s: float, seed: int) -> tuple[float, life.Life]:
    """(CPU seconds a particle, the life)."""
    section = battery_twin.discharged(CURRENT_A, HELD_S, step_s, particles, HORIZON_S)
    belief = Belief(plant.prior[0], np.diag(list(battery_twin.SPREAD.values())))
    begun = time.process_time()
    said = life.predict(plant, belief, section, life.begin(plant, section), seed)
    return (time.process_time() - begun) / particles, said


def show(what: str, theirs: list[float], mine: list[float]) -> None:
    """The ratio, and what one sample costs."""
    ratios = [a / b for a, b in zip(theirs, mine, strict=True)]
    print(
        f"  {what}: {statistics.median(theirs) / statistics.median(mine):.0f} times faster "
        f"(rounds {min(ratios):.0f} to {max(ratios):.0f}, {len(ratios)} rounds); goal at least 500\n"
        f"    ProgPy {statistics.median(theirs) * 1e3:.0f} ms, here {statistics.median(mine) * 1e3:.3f} ms a sample"
    )


def main() -> None:
    """Alternate, and compare."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--samples", type=int, default=4, help="of ProgPy in each round")
    options.add_argument("--progpy", type=Path, default=PROGPY)
    given = options.parse_args()
    plant, ways = battery_twin.battery(), ((1000, 10.0), (4000, 10.0), (1000, 1.0))
    ours(plant, 100, 10.0, 0)
    if not given.progpy.exists():
        print(f"no ProgPy at {given.progpy}: left out")
        return
    peer = subprocess.Popen([given.progpy, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(
        json.dumps([battery_twin.STATES, battery_twin.SPREAD, battery_twin.WALK, CURRENT_A, HELD_S, HORIZON_S]),
        file=peer.stdin,
        flush=True,
    )
    theirs, ends, mine, ended = [], [], {way: [] for way in ways}, {}
    for number in range(given.rounds):
        print(given.samples, file=peer.stdin, flush=True)
        spent, times = json.loads(peer.stdout.readline())
        theirs.append(spent)
        ends += times
        for way in ways:
            spent, said = ours(plant, *way, number)
            mine[way].append(spent)
            ended[way] = said.whole
    peer.stdin.close()
    peer.wait()
    print("life of a battery to the end of discharge, processor time a sample:")
    for way in ways:
        show(f"{way[0]} particles, steps of {way[1]:g} s", theirs, mine[way])
        whole = ended[way]
        print(f"    end of discharge: p5 {whole.p5_s:.0f}, p50 {whole.p50_s:.0f}, p95 {whole.p95_s:.0f} s")
    low, middle, high = np.quantile(ends, [0.05, 0.5, 0.95])
    print(f"  ProgPy: end of discharge p5 {low:.0f}, p50 {middle:.0f}, p95 {high:.0f} s ({len(ends)} samples)")


if __name__ == "__main__":
    main()
