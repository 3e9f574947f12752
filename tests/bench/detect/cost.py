"""What a detector costs in processor time and memory, as ratios to a bare onnxruntime call of the same run.

    python tests/bench/detect/cost.py [--rounds 9] [--model FILE]

1. A window of 64 rows x 8 tags, one row a cycle: the bare `InferenceSession.run`; scoring (the graph, persistence, the
   contributions, what is checked of them); that and the fold of drift; the whole step (also the row from the frame, the
   window, the values given).
   Goal: scoring under 100 us, at most 1.5 times the bare call.
2. 100 assets at 1 Hz with a detector each: what their steps take of one core. Goal: under 5 %.
3. Memory of each further model, in a process of its own. Goal: under 1.5 MiB.

Rounds alternate between what is compared; figures are medians over rounds with the least and the largest.
"""

import argparse
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

import detect_models as models

from agent.core.nouns import Frame, Mode, Names
from agent.detect import onnx
from agent.fit.detection.folding import Folding

TAGS = tuple(f"machine/tag{i}" for i in range(8))
ROWS, STEPS, ASSETS, FURTHER = 64, 500, 100, 20
SHAPE = Folding(ROWS, stretches=(20, 44))

MEMORY = """
import sys
from pathlib import Path
from agent.detect import onnx
from agent.fit.detection.folding import Folding
def rss():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
content = [Path(p).read_bytes() for p in sys.argv[1:]]
first = onnx.load(content[0])
kept, before = [first], rss()
for each in content[1:]:
    kept.append(onnx.load(each))
print((rss() - before) / (len(content) - 1) / 2**20)
"""


def ours(number=0):
    """Our own graph, with a reference, so that drift is folded too."""
    value = models.plant(4000, 1 + number, len(TAGS))
    shares = [0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999]
    reference = {
        "quantiles": shares,
        "inputs": np.quantile(value, shares, axis=0).T.tolist(),
        "score": np.linspace(0.1, 0.9, len(shares)).tolist(),
        "alarms_per_day": 1.0,
    }
    about = {"tags": TAGS, "units": ("",) * len(TAGS), "window": ROWS, "reference": reference}
    return models.content(models.detector(value, SHAPE), **about)


def frames(count):
    names, zeros = Names((*TAGS, "machine/other")), np.zeros(9, np.int64)
    status, count_ = np.zeros(9, np.uint32), np.ones(9, np.int32)
    for k, row in enumerate(np.column_stack([models.plant(count, 2, len(TAGS)), np.zeros(count)])):
        yield Frame(names, (k + 1) * 10**9, 10**9, row, status, zeros, zeros, row, row, row, count_, {}, (),
                    Mode.RUNNING, 10**12)  # fmt: skip


def spent_us(act, given):
    """CPU time of one act, in us, over all that is given."""
    begin = time.process_time()
    for each in given:
        act(each)
    return (time.process_time() - begin) / len(given) * 1e6


class Stepping:
    """A detector with its state, stepped on."""

    def __init__(self, params):
        self.params, self.state = params, onnx.init(params)

    def __call__(self, frame):
        self.state, _ = onnx.step(self.params, self.state, frame, {})


def bare(content):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda window: session.run(None, {name: window})


def compared(content, rounds):
    """us of each: {what: [one a round]}."""
    params, call = onnx.load(content), bare(content)
    plain = replace(params, reference=None)
    stepping, all_frames = Stepping(params), list(frames(STEPS + ROWS + 10))
    for frame in all_frames[: ROWS + 10]:
        stepping(frame)
    windows, states = [], []
    for frame in all_frames[ROWS + 10 :]:
        stepping(frame)
        windows.append(np.array(stepping.state.window.rows[None]))
        states.append(stepping.state)
    acts = {
        "bare call": (call, windows),
        "scoring": (lambda state: onnx._judged(plain, state, state.window, 1, True), states),
        "and drift": (lambda state: onnx._judged(params, state, state.window, 1, True), states),
        "whole step": (stepping, all_frames[ROWS + 10 :]),
    }
    found = {what: [] for what in acts}
    for _ in range(rounds):
        for what, (act, given) in acts.items():
            found[what].append(spent_us(act, given))
    return found


def told(found):
    base = statistics.median(found["bare call"])
    for what, us in found.items():
        ratios = sorted(a / b for a, b in zip(us, found["bare call"], strict=True))
        print(f"  {what:12} {statistics.median(us):7.1f} us  [{min(us):.1f}, {max(us):.1f}]"
              f"  {statistics.median(us) / base:5.2f} x bare  [{ratios[0]:.2f}, {ratios[-1]:.2f}]")  # fmt: skip


def many(content, rounds):
    """Share of a core that a second of 100 assets takes."""
    params = onnx.load(content)
    assets, given = [Stepping(params) for _ in range(ASSETS)], list(frames(ROWS + 10 + 10 * rounds))
    for frame in given[: ROWS + 10]:
        for asset in assets:
            asset(frame)
    shares = []
    for k in range(rounds):
        part = given[ROWS + 10 + 10 * k : ROWS + 20 + 10 * k]
        begin = time.process_time()
        for frame in part:
            for asset in assets:
                asset(frame)
        shares.append((time.process_time() - begin) / len(part))
    return shares


def memory_mib(folder):
    paths = []
    for number in range(FURTHER):
        paths.append(folder / f"{number}.onnx")
        paths[-1].write_bytes(ours(number))
    done = subprocess.run([sys.executable, "-c", MEMORY, *map(str, paths)], check=True, capture_output=True, text=True)
    return float(done.stdout)


def main():
    import tempfile

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--model", type=Path, help="another 64 x 8 detector in the place of ours")
    given = parser.parse_args()
    content = given.model.read_bytes() if given.model else ours()
    print(f"1. A window of {ROWS} x {len(TAGS)}, {STEPS} steps a round, {given.rounds} rounds")
    told(compared(content, given.rounds))
    shares = many(content, given.rounds)
    print(f"2. {ASSETS} assets at 1 Hz: {100 * statistics.median(shares):.2f} % of a core"
          f"  [{100 * min(shares):.2f}, {100 * max(shares):.2f}]")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        sizes = [memory_mib(Path(folder)) for _ in range(3)]
    print(f"3. Each further model ({FURTHER - 1} of them, all different): {statistics.median(sizes):.2f} MiB"
          f"  [{min(sizes):.2f}, {max(sizes):.2f}]")  # fmt: skip


if __name__ == "__main__":
    main()
