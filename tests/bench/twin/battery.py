"""The battery of the physics kind beside ProgPy's BatteryCircuit, and how fast each steps.

    python tests/bench/twin/battery.py [PYTHON WITH PROGPY]

ProgPy runs as a program of its own: a fixed load schedule, simulated with its default Euler steps, and the processor
time of one step. Ours runs the same schedule with Euler and with Runge-Kutta steps; with Euler the voltages must agree
to rounding.
"""

import json
import subprocess
import sys
import time
import timeit
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "unit"))
from physics_rig import BATTERY

from agent.twin.kinds import physics
from agent.twin.kinds.physics import running

COMPARATOR = Path.home() / ".cache" / "edgetwin-progpy" / "bin" / "python"
SECONDS = 1800
PROGRAM = """
import json, sys, time, timeit, warnings
warnings.filterwarnings("ignore")
from progpy.models import BatteryCircuit
loads = json.load(sys.stdin)
m = BatteryCircuit()
x, out = m.initialize(), []
for i in loads:
    u = m.InputContainer({"i": i})
    z = m.output(x)
    out.append([float(z["t"]), float(z["v"])])
    x = m.next_state(x, u, 1.0)
n = 2000
step = min(timeit.repeat(lambda: m.next_state(x, u, 1.0), timer=time.process_time, number=n, repeat=5)) / n
print(json.dumps({"out": out, "step_s": step}))
"""


def main(python):
    """Agreement, then speed."""
    if not Path(python).exists():
        sys.exit(f"skipped: no {python} with ProgPy beside it")
    load = np.repeat(np.random.default_rng(0).uniform(0.5, 3.5, SECONDS // 60), 60)
    theirs = json.loads(
        subprocess.run(
            [python, "-c", PROGRAM], input=json.dumps(load.tolist()), capture_output=True, text=True, check=True
        ).stdout
    )
    seen = np.array(theirs["out"])
    euler = replace(BATTERY, scheme="euler")
    for name, params in (("euler", euler), ("rk4", BATTERY)):
        ours = running.trajectory(params, physics.prior(params)[0], load[:, None], 1.0)[0]
        away = np.abs(ours - seen).max(axis=0)
        print(f"{name}: largest difference over {SECONDS} s: temperature {away[0]:.2e} K, voltage {away[1]:.2e} V")
        if name == "euler" and not (away < [1e-6, 1e-8]).all():
            sys.exit("the equations are not the same")
    for name, params in (("euler", euler), ("rk4", BATTERY)):
        for count in (9, 1000):
            x = physics.prior(params)[0] + np.random.default_rng(1).normal(size=(count, 4)) * [1.0, 10.0, 0.5, 0.5]
            u, n = np.array([2.0]), 400
            step = partial(physics.advance, params, x, u, 1.0)
            times = np.array(timeit.repeat(step, timer=time.process_time, number=n, repeat=7)) / n
            ratio = theirs["step_s"] / (times / count)
            print(
                f"{name}, {count} particles: {1e6 * times.min():.0f} us (worst of 7: {1e6 * times.max():.0f}); "
                f"a particle {ratio.max():.0f} times faster than ProgPy's step ({ratio.min():.0f} at worst)"
            )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else COMPARATOR)
