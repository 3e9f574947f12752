"""What it costs that several assets have the same detector: memory of one more, and what batching would save.

    python tests/bench/detect/sharing.py [--assets 100]

Prints the memory that more assets take, whether the rows of a batch have the same bits as windows scored alone, and
the CPU time of a second of all assets at 1 Hz: whole steps of the engine, the graph alone in them, and the graph once
for all windows. Batching is not built: what it could save at most stands in the last line, beside the whole.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np

from agent.core.nouns import Batch, Mode, Names, Point, Role, Tag, Tick
from agent.detect import onnx
from agent.engine import state as states
from agent.engine.asset import Asset, Model, Modes
from agent.engine.step import step

DETECTOR = Path(__file__).parents[3] / "configs" / "models" / "two-tank.detector.onnx"
SECOND, FILL, SECONDS = 10**9, 40, 60


def asset(name, params):
    tags = tuple(Tag(f"{name}/{tag}", "x") for tag in params.tags)
    points = tuple(replace(p, id=f"{name}/{p.id}") for p in onnx.points(params))
    measured = (*(Point(t.id, Role.MEASURED) for t in tags), Point(f"{name}/state/mode", Role.MODE))
    model = Model("detector", onnx, params, "hash", points, len(measured))
    return Asset(
        name, 1, 1.0, tags, Names(params.tags), (*measured, *points), Modes(otherwise=Mode.RUNNING),
        models=(model,), stale_s=(3.0,) * len(tags),
    )  # fmt: skip


def tick(name, k, row):
    n = len(row)
    times = np.full(n, k * SECOND)
    batch = Batch("plc", np.arange(n, dtype=np.int32), row, np.zeros(n, np.uint32), times, np.zeros(n, np.int64))
    return Tick(name, 1, k, k * SECOND, (batch,))


def steps_ms(assets, kept, rows):
    """CPU ms of each second once all windows are full."""
    took = []
    for k in range(1, FILL + SECONDS):
        ticks = [tick(a.id, k, rows[n, k]) for n, a in enumerate(assets)]
        started = time.thread_time_ns()
        for n, (a, one) in enumerate(zip(assets, ticks, strict=True)):
            kept[n], _ = step(a, kept[n], one)
        took.append((time.thread_time_ns() - started) * 1e-6)
    return took[FILL:]


def cpu_ms(what, times=100):
    took = []
    for _ in range(times):
        started = time.thread_time_ns()
        what()
        took.append((time.thread_time_ns() - started) * 1e-6)
    return took


def spread(took):
    low, high = np.quantile(took, [0.1, 0.9])
    return f"{median(took):8.3f} ms   (80 % within {low:.3f} to {high:.3f})"


def main():
    given = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    given.add_argument("--assets", type=int, default=100)
    n = given.parse_args().assets
    params = onnx.load(DETECTOR.read_bytes())
    draw = np.random.default_rng(1)
    rows = 50.0 + draw.normal(size=(n, FILL + SECONDS, len(params.tags)))
    windows = (50.0 + draw.normal(size=(n, params.about.window, len(params.tags)))).astype(np.float32)
    alone = [params.session.run_single(w[None]) for w in windows]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assets = [asset(f"a{k}", params) for k in range(n)]
    whole = steps_ms(assets, [states.initial(a) for a in assets], rows)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{n} assets, one session, window {params.about.window} x {len(params.tags)}")
    print(f"memory of one more asset         {(after - before) / n:8.1f} KiB   (with all its state and points)")
    for size in sorted({1, 2, 3, 8, 16, n}):
        parts = [params.session.run_single(windows[k : k + size]) for k in range(0, n, size)]
        same = all(
            np.concatenate([p[out] for p in parts]).tobytes() == np.concatenate([p[out] for p in alone]).tobytes()
            for out in (0, 1)
        )
        print(f"batches of {size:4}: bits of every row {'the same' if same else 'DIFFERENT'}")
    singly = cpu_ms(lambda: [params.session.run_single(w[None]) for w in windows])
    at_once = cpu_ms(lambda: params.session.run_single(np.stack(list(windows))))
    print(f"a second of whole steps          {spread(whole)}  {median(whole) / 10:.2f} % of a core")
    print(f"of which the graph, one by one   {spread(singly)}")
    print(f"the graph, all windows at once   {spread(at_once)}")
    saved = median(singly) - median(at_once)
    print(f"batching would save at most      {saved:8.3f} ms   {saved / median(whole):.1%} of the whole steps")


if __name__ == "__main__":
    main()
