"""What a step of the filter costs in processor time, as ratios to something measured in the same run.

    python tests/bench/twin/speed_filter.py [--rounds 7] [--progpy PYTHON]

1. A linear step of ten states with its steady gain, beside the bare products x = A@x + B@u; y = C@x + D@u;
   x += K@(z - y).
2. The cubature step of a battery (four states, two outputs), beside ProgPy's unscented filter over the same equations,
   parameters and Euler step, in its own interpreter. The rounds of both alternate. Once with the equations written by
   hand, once with the physics kind that serves every machine.
3. 50 machines at 10 Hz: what two filters each (tracking and reference) take of one core.
4. The same of the whole cycle (filters, charts, trust, isolation, accuracy, published values) of the twins in configs/.

Ratios are of medians over rounds; the range is of single rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "unit"))

import battery_twin
import filter_rig as rig

from agent.core.nouns import Names
from agent.fit.judging.tracked import frame
from agent.twin import cycle
from agent.twin import twin as twins
from agent.twin.filtering import Sample, begin, step

CONFIGS = Path(__file__).parents[3] / "configs"
TWINS = (CONFIGS / "models/two-tank.twin.json", CONFIGS / "twins/two-tank.twin.json")
PROGPY = Path.home() / ".cache/edgetwin-progpy/bin/python"

# ProgPy's side: steps on demand, one line in (how many), one line out (CPU seconds a step and the last state).
PEER = """
import json, sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
from progpy.models import BatteryCircuit
from progpy.state_estimators import UnscentedKalmanFilter
from progpy.uncertain_data import MultivariateNormalDist
rows = json.loads(sys.stdin.readline())
model = BatteryCircuit(process_noise=0, measurement_noise=0)
names = ["tb", "qb", "qcp", "qcs"]
x0 = MultivariateNormalDist(names, np.array([292.1, 7856.3254, 0.0, 0.0]), np.diag([1.0, 1e4, 1.0, 1.0]))
kf = UnscentedKalmanFilter(model, x0, Q=np.diag([1e-4, 1e-2, 1e-4, 1e-4]), R=np.diag([1e-2, 1e-3]), dt=1.0)
k = 0
for line in sys.stdin:
    begin = time.process_time()
    for _ in range(int(line)):
        k += 1
        kf.estimate(float(k), model.InputContainer({"i": rows[k][0]}), {"t": rows[k][1], "v": rows[k][2]})
    spent = (time.process_time() - begin) / int(line)
    print(json.dumps([spent, [float(v) for v in kf.filter.x]]), flush=True)
"""


def spent(work, times):
    """Processor seconds of one call."""
    begun = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - begun) / times


def linear(rounds):
    plant = rig.random_linear(3, n=10, m=2, p=3, v=0)
    rng, one = np.random.default_rng(0), np.ones(3)
    u = rng.normal(size=2)
    now = begin(plant, Sample(0, u, np.zeros(3), one))
    k = 0
    while not now.now.settled:
        k += 1
        y = plant.observe(plant.advance(now.belief.x, u), u)
        now, _ = step(plant, now, Sample(k * 10**9, u, y, one))
    a = plant.affine
    A, B, C, D, x, K = a.A, a.B, a.C, a.D, now.belief.x, rng.normal(size=(10, 3)) * 1e-3
    z = plant.observe(plant.advance(x, u), u)
    later = Sample((k + 1) * 10**9, u, z, one)

    def bare():
        x1 = A @ x + B @ u
        y = C @ x1 + D @ u
        x1 += K @ (z - y)

    pairs = [(spent(lambda: step(plant, now, later), 3000), spent(bare, 3000)) for _ in range(rounds)]
    show("linear step, ten states / bare matrix products", [a / b for a, b in pairs], "at most 3")
    return statistics.median(a for a, _ in pairs)


def discharge(count):
    """A battery under a changing load: rows of i, t, v and the true states."""
    plant, rng = rig.battery(), np.random.default_rng(1)
    x, u, rows, states = plant.prior[0], np.ones(1), [], []
    for k in range(count):
        if k:
            x = plant.advance(x, u)
        u = np.array([1.0 + (k // 50) % 3])
        rows.append([float(u[0]), *(plant.observe(x, u) + np.sqrt(plant.R) * rng.normal(size=2))])
        states.append(x)
    return plant, rows, states


def battery(rounds, interpreter):
    each = 60
    plant, rows, states = discharge(rounds * each + 1)
    ours = {"by hand": plant, "physics kind": replace(battery_twin.battery(), R=plant.R[::-1])}
    order = {"by hand": [1, 2], "physics kind": [2, 1]}
    samples = {
        name: [Sample(k * 10**9, np.array(r[:1]), np.array(r)[of], np.ones(2)) for k, r in enumerate(rows)]
        for name, of in order.items()
    }
    now = {name: begin(one, samples[name][0]) for name, one in ours.items()}
    costs = {name: [] for name in (*ours, "ProgPy")}
    if not interpreter.exists():
        print(f"  no ProgPy at {interpreter}: left out")
        return {}
    peer = subprocess.Popen([interpreter, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    # ProgPy holds the input of the step that ends at a sample, this filter the one that began it: shift one of them.
    held = [[rows[max(k - 1, 0)][0], *r[1:]] for k, r in enumerate(rows)]
    print(json.dumps(held), file=peer.stdin, flush=True)
    for k in range(rounds):
        print(each, file=peer.stdin, flush=True)
        theirs, state = json.loads(peer.stdout.readline())
        costs["ProgPy"].append(theirs)
        for name, one in ours.items():
            mine, now[name] = spent_on(one, now[name], samples[name][1 + k * each : 1 + (k + 1) * each])
            costs[name].append(mine)
    peer.stdin.close()
    peer.wait()
    for name in ours:
        ratios = [a / b for a, b in zip(costs["ProgPy"], costs[name], strict=True)]
        show(f"ProgPy's unscented step / cubature step, battery {name}", ratios, "at least 20")
    middle = {name: statistics.median(cost) for name, cost in costs.items()}
    print("    " + ", ".join(f"{name} {cost * 1e3:.3f} ms" for name, cost in middle.items()) + " a step")
    charges = {"true": states[-1][1], **{name: f.belief.x[1] for name, f in now.items()}, "ProgPy": state[1]}
    print("    charge in the end, C: " + ", ".join(f"{name} {charge:.1f}" for name, charge in charges.items()))
    return {f"cubature, battery {name}": middle[name] for name in ours}


def spent_on(plant, now, samples):
    begun = time.process_time()
    for s in samples:
        now, _ = step(plant, now, s)
    return (time.process_time() - begun) / len(samples), now


def cycles(rounds):
    """Processor seconds of one whole cycle of each shipped twin, healthy and settled."""
    return {str(path.relative_to(CONFIGS)): cycled(twins.load(path.read_bytes()), rounds) for path in TWINS}


def cycled(twin, rounds, each=300):
    frames, state = list(driven(twin, 600 + each)), cycle.init(twin)
    for f in frames[:600]:
        state, _ = cycle.step(twin, state, f, {})

    def run():
        now = state
        for f in frames[600:]:
            now, _ = cycle.step(twin, now, f, {})

    return statistics.median(spent(run, 1) / each for _ in range(rounds))


def driven(twin, rows):
    """Frames of the twin's own plant under slowly moving inputs."""
    plant, names, rng = twin.plant, Names(twin.tags), np.random.default_rng(0)
    x, p = plant.prior[0], len(plant.outputs)
    mean, scale = (np.array([getattr(c, part) for c in plant.inputs]) for part in ("mean", "scale"))
    for k in range(rows):
        u = mean + 0.3 * scale * np.sin(k / 300.0 + np.arange(len(mean)))
        x = plant.advance(x, u)
        y = plant.observe(x, u)[:p] + np.sqrt(plant.R) * rng.normal(size=p)
        yield frame(names, np.concatenate([u, y]), k, plant.period_s)


def show(what, ratios, goal):
    print(
        f"  {what}: {statistics.median(ratios):.2f} (rounds {min(ratios):.2f} to {max(ratios):.2f}, "
        f"{len(ratios)} rounds); goal {goal}"
    )


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--progpy", type=Path, default=PROGPY)
    chosen = options.parse_args()
    print("Filter, processor time:")
    straight = linear(chosen.rounds)
    curved = battery(chosen.rounds, chosen.progpy)
    for name, cost in {"linear, settled": straight, **curved}.items():
        print(f"  50 machines at 10 Hz, two filters each, {name}: {50 * 10 * 2 * cost:.1%} of a core")
    for name, cost in cycles(chosen.rounds).items():
        print(
            f"  50 machines at 10 Hz, whole cycle, {name}: {50 * 10 * cost:.1%} of a core ({cost * 1e3:.2f} ms a cycle)"
        )


if __name__ == "__main__":
    main()
