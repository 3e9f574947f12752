"""Whether a long backlog costs anything but disk: start-up, memory and a read, with none, some and all of it.

    python tests/bench/store/backlog.py                          1,000,000 samples
    python tests/bench/store/backlog.py --samples 60480000       7 days of 100 tags each second (some 6 min)

Blocks of a minute of 100 tags (50 walks of 16 bit, 50 floats with noise in all digits) as the writer makes them, and
a summary each that nobody has acknowledged. Each line is of a process of its own. Beside the bytes on disk stand those
of JSON lines, one a sample, as they are and gzipped, made from the same values in the same run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "unit"))

from history_rig import SECOND, WALL

from agent.core import wire
from agent.core.nouns import Batch, Mode, Point, Role, Snapshot, Tick
from agent.store import blocks, record
from agent.store.record import RAW, SUMMARY, ClockRow, Entry
from agent.store.write import Store, Work

TAGS, MINUTE = 100, 60

# In a process of its own: seconds to open for writing and for reading, to find what a destination has still to get,
# and to read ten minutes of a point in the middle; and the largest RSS.
MEASURE = """
import json, resource, sys, time
from pathlib import Path
from agent.store import history
from agent.store.read import Reader
from agent.store.write import Store
path, middle = Path(sys.argv[1]), int(sys.argv[2])
def timed(ask):
    began = time.perf_counter(); ask(); return time.perf_counter() - began
def opened():
    Store.open(path, 4 << 30, "boot-1", "g")[0].close()
reader = []
told = {"open": timed(opened), "reader": timed(lambda: reader.append(Reader.open(path)))}
told["next"] = timed(lambda: reader[0].unacknowledged("mqtt", "summary"))
told["pending"] = timed(lambda: reader[0].pending("mqtt", "summary"))
told["history"] = timed(lambda: history.values(reader[0], "m/w/t7", middle, middle + 600 * 10**9))
print(json.dumps(told | {"rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def minute(chance, walk, start_s):
    """(block of a minute, values f8[60, n], walk at its end)."""
    entries, values = [], []
    for s in range(start_s, start_s + MINUTE):
        walk = walk + chance.integers(-3, 4, TAGS // 2)
        value = np.concatenate([walk, (300 + chance.normal(0, 1, TAGS // 2)).astype(np.float32)]).astype(np.float64)
        t_ns = s * SECOND + int(chance.integers(10**6))
        zeros, times, status = np.zeros(TAGS, np.int64), np.full(TAGS, t_ns - 10**8), np.zeros(TAGS, np.uint32)
        tick = Tick(
            "m", 1, (1 << 32) + s, t_ns, (Batch("plc", np.arange(TAGS, dtype=np.int32), value, status, times, zeros),)
        )
        shot = Snapshot(
            "m", 1, (1 << 32) + s, t_ns, value, status, times, zeros, {}, Mode.RUNNING, {}, (), None, (), (), ()
        )
        entries += [
            Entry(RAW, "m", "tick", t_ns, wire.encode(tick)),
            Entry(RAW, "m", "snapshot", t_ns, wire.encode(shot)),
        ]
        values.append(value)
    return blocks.pack(entries), np.array(values), walk


def filled(path, samples):
    """Put so many samples into a new journal; (seconds, CPU seconds, bytes of JSON lines, of them gzipped)."""
    points = tuple(Point(f"m/w/t{n}", Role.MEASURED) for n in range(TAGS))
    store, _ = Store.open(path, 4 << 30, "boot-1", "g")
    store.commit(Work(entries=[record.layout("m", 0, points)], clock=[ClockRow(0, WALL, "synchronised")]))
    chance, walk = np.random.default_rng(1), np.random.default_rng(2).integers(5000, 50000, TAGS // 2)
    began, cpu, lines, gzipped = time.perf_counter(), time.process_time(), 0, 0
    minutes = samples // (TAGS * MINUTE)
    for n in range(minutes):
        block, values, walk = minute(chance, walk, n * MINUTE)
        store.commit(Work(entries=[block, Entry(SUMMARY, "m", "summary", block.end_ns, chance.bytes(2800))]))
        if n < 20:  # enough to know
            text = _json_lines(values, n).encode()
            lines, gzipped = lines + len(text), gzipped + len(zlib.compress(text, 6))
    spent = time.perf_counter() - began, time.process_time() - cpu
    store.close()
    share = minutes / max(1, min(20, minutes))
    return *spent, lines * share, gzipped * share


def _json_lines(values, n):
    return "".join(
        json.dumps({"time_ns": WALL + (n * MINUTE + s) * SECOND, "tag": f"m/w/t{t}", "value": value, "status": 0})
        + "\n"
        for s, row in enumerate(values.tolist())
        for t, value in enumerate(row)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1_000_000)
    asked = parser.parse_args()
    print(
        f"{'samples':>10} {'on disk':>10} {'open':>9} {'reader':>9} {'next':>9} {'pending':>9} {'10 min':>9} {'RSS':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        for samples in (0, asked.samples // 10, asked.samples):
            path = Path(folder) / f"{samples}.db"
            spent_s, cpu_s, lines, gzipped = filled(path, samples)
            middle = WALL + samples // TAGS // 2 * SECOND
            command = [sys.executable, "-c", MEASURE, str(path), str(middle)]
            told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
            size = path.stat().st_size
            figures = " ".join(
                f"{told[name] * 1e3:6.1f} ms" for name in ("open", "reader", "next", "pending", "history")
            )
            print(f"{samples:10} {size / 1e6:7.2f} MB {figures} {told['rss_mib']:5.1f} MiB")
        print(f"written in {spent_s:.0f} s, {samples / cpu_s:.0f} samples a CPU-second (making them included)")
        print(f"bytes a sample on disk {size / samples:.2f}, summaries with them; as JSON lines {lines / samples:.0f} "
              f"({lines / size:.0f} times), gzipped {gzipped / samples:.1f} ({gzipped / size:.1f} times)")  # fmt: skip


if __name__ == "__main__":
    main()
