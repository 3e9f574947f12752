"""How much of recorded signals a trace needs, and how far it is off: beside all samples as JSON, in the same run.

    python tests/bench/store/traces.py                     SKAB, healthy and valve1: 8 sensors of a real rig, 1 Hz
    python tests/bench/store/traces.py FILE.csv ...        of others: a column `datetime` or `time`, ; or , between

Windows of 60 s as the daemon has them, in the daemon's own messages. Bounds are multiples of each sensor's noise (the
median of |differences of neighbours|, as a standard deviation): what is not above it keeps the noise. `worst`: the
largest error of any line over its bound; of Bristol's own rule (close the door where low > high) beside it, for he does
not promise it. Bytes are those of the traces alone, as they stand in a summary.
"""

import csv
import json
import sys
import time
import zlib
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))

from agent.core import swinging
from agent.core.nouns import Mode, Summary
from agent.sinks.mqtt import payload

DATA = Path(__file__).parents[4] / "shared" / "data" / "skab"
TIMES_NOISE = (0.5, 1.0, 2.0, 3.0, 5.0)
WINDOW_S, SECOND = 60, 10**9
NOT_SIGNALS = {"datetime", "time", "anomaly", "changepoint"}


def read(path):
    """(names, f8[n, columns]) of a CSV at 1 Hz."""
    text = path.read_text()
    rows = list(csv.reader(text.splitlines(), delimiter=";" if ";" in text.partition("\n")[0] else ","))
    columns = [n for n, name in enumerate(rows[0]) if name.strip().lower() not in NOT_SIGNALS]
    return tuple(rows[0][n] for n in columns), np.array([[float(row[n]) for n in columns] for row in rows[1:]])


def noise(value):
    """f8[columns]: standard deviation of what differs from one sample to the next."""
    return 1.4826 * np.median(np.abs(np.diff(value, axis=0)), axis=0) / np.sqrt(2)


def traced(names, value, bound):
    """(points, bytes as JSON, bytes compressed, worst error in bounds, seconds) of windows of 60 s."""
    lines = swinging.begun(np.arange(len(names), dtype=np.int32), bound)
    places, points, size, packed, kept, spent = np.arange(len(names)), 0, 0, 0, [], 0.0
    for n, row in enumerate(value):
        started = time.process_time()
        lines = swinging.fold(lines, places, np.full(len(names), (n + 1) * SECOND), row)
        spent += time.process_time() - started
        if n % WINDOW_S == WINDOW_S - 1 or n == len(value) - 1:
            found = swinging.trace(lines)
            nothing = np.zeros(len(names))
            start_ns = (n + 1 - WINDOW_S) * SECOND
            window = Summary("rig", start_ns, (n + 1) * SECOND, Mode.RUNNING, {}, "window", names, *[nothing] * 6, 0.0,
                             trace=found)  # fmt: skip
            said = payload.json_of(payload.trace_of(window))
            points, size, packed = points + len(found.row), size + len(said), packed + len(zlib.compress(said, 6))
            kept.append(found)
            lines = swinging.carried(lines)
    return points, size, packed, worst(kept, value, bound), spent


def worst(kept, value, bound):
    """The largest error of the lines through all points, in bounds."""
    t, row = np.concatenate([k.t_ns for k in kept]), np.concatenate([k.row for k in kept])
    x = np.concatenate([k.value for k in kept])
    at = (np.arange(len(value)) + 1) * SECOND
    errors = []
    for column in range(value.shape[1]):
        mine = row == column
        order = np.argsort(t[mine], kind="stable")
        errors.append(np.max(np.abs(np.interp(at, t[mine][order], x[mine][order]) - value[:, column])) / bound[column])
    return max(errors)


def bristol(value, bound):
    """The same worst error where a door closes only once low > high, as in Bristol's paper."""
    errors = []
    for column, e in zip(value.T, bound, strict=True):
        points, from_, low, high = [0], 0, -np.inf, np.inf
        for n in range(1, len(column)):
            low = max(low, (column[n] - e - column[from_]) / (n - from_))
            high = min(high, (column[n] + e - column[from_]) / (n - from_))
            if low > high:
                from_ = n - 1
                points.append(from_)
                low, high = column[n] - e - column[from_], column[n] + e - column[from_]
        points.append(len(column) - 1)
        errors.append(np.max(np.abs(np.interp(np.arange(len(column)), points, column[points]) - column)) / e)
    return max(errors)


def plain(names, value):
    """(bytes, bytes compressed) of every sample as JSON with its time, a message a minute."""
    size = packed = 0
    for start in range(0, len(value), WINDOW_S):
        rows = [{"t": (start + n + 1) * SECOND, **dict(zip(names, row, strict=True))}
                for n, row in enumerate(value[start : start + WINDOW_S].tolist())]  # fmt: skip
        said = json.dumps(rows, separators=(",", ":")).encode()
        size, packed = size + len(said), packed + len(zlib.compress(said, 6))
    return size, packed


def main(paths):
    """One line a bound, over all files, with the spread between files."""
    files = [read(path) for path in paths]
    samples, cycles = sum(value.size for _, value in files), sum(len(value) for _, value in files)
    whole = np.array([plain(*file) for file in files])
    print(f"{len(files)} files, {samples} samples; every sample as JSON: {whole[:, 0].sum() / samples:.1f} B a sample, "
          f"compressed {whole[:, 1].sum() / samples:.1f} B")  # fmt: skip
    print("bound    points a sample (least..most file)   JSON B a sample   of all as JSON   compressed both   worst   "
          "Bristol's   us a cycle")  # fmt: skip
    for times in TIMES_NOISE:
        found = []
        for names, value in files:
            bound = np.maximum(times * noise(value), 1e-12)
            found.append((*traced(names, value, bound), bristol(value, bound), value.size))
        points, size, packed, off, spent, his, count = np.array(found).T
        each = points / count
        share, packed_share = size.sum() / whole[:, 0].sum(), packed.sum() / whole[:, 1].sum()
        print(f"{times:4.1f} x   {points.sum() / samples:.3f} ({each.min():.3f}..{each.max():.3f})"
              f"{size.sum() / samples:24.2f}{share:17.1%}{packed_share:18.1%}{off.max():10.3f}{his.max():12.2f}"
              f"{spent.sum() / cycles * 1e6:11.0f}")  # fmt: skip


if __name__ == "__main__":
    main(
        [Path(name) for name in sys.argv[1:]]
        or sorted(DATA.glob("anomaly-free/*.csv")) + sorted(DATA.glob("valve1/*.csv"))
    )
