"""What derived tags cost a cycle in processor time, beside the same cycle without them, in one run.

    python tests/bench/bench_derived.py

2000 tags read, all with a new value each cycle; then 1000 derived ones more: a product of two and a factor; a
condition; a function that remembers.
"""

import statistics
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from agent.core import expression, formula
from agent.core.nouns import Batch, Mode, Names, Point, Role, Tag, Tick
from agent.engine import state as states
from agent.engine.asset import Asset, Modes
from agent.engine.step import step

READ, DERIVED, CYCLES = 2000, 1000, 200
KINDS = {
    "none": None,
    "product": "{{r/{a}}} * {{r/{b}}} / 1000",
    "condition": "if({{r/{a}}} > 0.5 and {{r/{b}}} < 0.9, max({{r/{a}}}, {{r/{b}}}), 0)",
    "rate": "rate({{r/{a}}})",
    "energy": "integral({{r/{a}}} * {{r/{b}}}) / 3600",
    "counter": "total(increase({{r/{a}}}, 65536))",
}


def built(form):
    trees = {}
    if form:
        trees = {f"d/{n}": expression.parse(form.format(a=2 * n, b=2 * n + 1)) for n in range(DERIVED)}
    names = Names([f"r/{n}" for n in range(READ)] + list(trees))
    tags = tuple(Tag(f"rig/{name}", "") for name in names)
    return Asset(
        id="rig",
        epoch=1,
        period_s=1.0,
        tags=tags,
        names=names,
        points=(*(Point(t.id, Role.MEASURED) for t in tags), Point("rig/state/mode", Role.MODE)),
        modes=Modes(otherwise=Mode.RUNNING),
        stale_s=(3.0,) * READ + (float("inf"),) * len(trees),
        derived=formula.compiled(tags, names, trees),
    )


def tick(n, rng):
    t_ns = np.full(READ, n * 10**9 - 10**8, np.int64)
    zeros = np.zeros(READ, np.int64)
    rows, good = np.arange(READ, dtype=np.int32), np.zeros(READ, np.uint32)
    return Tick("rig", 1, n, n * 10**9, (Batch("plc", rows, rng.random(READ), good, t_ns, zeros),))


def milliseconds(form):
    asset, rng, took = built(form), np.random.default_rng(1), []
    state = states.initial(asset)
    for n in range(1, CYCLES):
        one = tick(n, rng)
        began = time.process_time()
        state, _ = step(asset, state, one)
        took.append((time.process_time() - began) * 1e3)
    return statistics.median(took)


if __name__ == "__main__":
    bare = milliseconds(None)
    print(f"{'kind':10} {'ms a cycle':>10} {'more than none':>15}")
    for kind, form in KINDS.items():
        found = milliseconds(form)
        print(f"{kind:10} {found:10.2f} {found - bare:15.2f}")
