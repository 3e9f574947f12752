"""SKAB, its protocol: in each file fit on the first 400 rows, score the rest causally, sum the counts over the files.

    python tests/bench/detect/skab.py [FOLDER]      # or another folder laid out like shared/data/skab

One setting for all files, the defaults of `edgetwin fit detector`; labels score and do nothing else. Beside it always
alarm, a clock (alarm from row 570 on), and a limit check (each tag outside mean +- 4 sd of the training rows, 3 of 5).
Then the two checks of a leak: rows deleted after the training rows, and the file without anomalies, fitted each 1000
rows, alarms a day on the 600 rows that follow.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from rows import SHARED, counts, rates, scored

from agent.detect import onnx
from agent.fit.detection.threshold import peaks, persistent
from agent.fit.detector import fit
from agent.fit.recording import read

FITTED = 400
CLOCK = 570
LIMIT_SD = 4.0
LABELS = ("anomaly", "changepoint")
DELETED = (0, 25, 50, 100, 150)
DRAWS = 2000


def judged(path, folder, rows=slice(0, FITTED)):
    """(published score, values, labels or None) of all rows of a file, fitted on `rows`."""
    recording = read(path)
    tags = [name for name in recording.names if name not in LABELS]
    fit(path, out=folder / "made.onnx", tags=tags, rows=rows, page=False)
    params = onnx.load((folder / "made.onnx").read_bytes())
    value = recording.columns(params.tags)
    labels = recording.columns(["anomaly"])[:, 0] == 1 if "anomaly" in recording.names else None
    return params, value, labels


def limit_check(value):
    """Alarm of each row: any tag far outside its training rows, in 3 of 5 rows."""
    mean, sd = value[:FITTED].mean(0), value[:FITTED].std(0)
    return persistent((np.abs(value - mean) / np.maximum(sd, 1e-9)).max(1), (3, 5)) > LIMIT_SD


def one(path, folder):
    """Counts by rival, and by how many rows were deleted after the training rows."""
    params, value, sick = judged(path, folder)
    index = np.arange(len(value))
    found = {
        "edgetwin": scored(params, value)[0] > 1.0,
        "always alarm": np.ones(len(value), bool),
        "clock, row 570 on": index >= CLOCK,
        f"limit check, {LIMIT_SD:g} sd": limit_check(value),
    }
    table = {name: counts(alarm[FITTED:], sick[FITTED:]) for name, alarm in found.items()}
    later = {}
    for gone in DELETED:
        # Only rows before the first anomaly can be deleted: what is deleted is healthy.
        first = int(np.argmax(sick[FITTED:])) if sick[FITTED:].any() else 0
        start = FITTED + min(gone, first)
        kept = np.concatenate([value[:FITTED], value[start:]])
        alarm = scored(params, kept)[0][FITTED:] > 1.0
        later[gone] = counts(alarm, sick[start:])
    return table, later


def healthy(path, folder):
    """(alarms, days, share of rows over the limit) on the file without anomalies."""
    rows = len(read(path).time_s)
    alarms, seconds, over = 0, 0, []
    for start in range(0, rows - FITTED - 600 + 1, FITTED + 600):
        params, value, _ = judged(path, folder, slice(start, start + FITTED))
        score = scored(params, value[start : start + FITTED + 600])[0][FITTED:]
        alarms += len(peaks([score], 1.0, params.about.window))
        seconds += len(score)
        over.append(float((score > 1.0).mean()))
    return alarms, seconds / 86400.0, over


def spread(tables):
    """95 % of F1 over files drawn anew."""
    draw = np.random.default_rng(1)
    each = np.array(tables)
    drawn = [rates(each[draw.integers(0, len(each), len(each))].sum(0))[0] for _ in range(DRAWS)]
    return np.quantile(drawn, [0.025, 0.975])


def main(root):
    """The table."""
    files = sorted(p for p in root.glob("*/*.csv") if p.parent.name != "anomaly-free")
    if not files:
        sys.exit(f"no recordings under {root}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = [one(path, folder) for path in files]
        free = [healthy(path, folder) for path in sorted(root.glob("anomaly-free/*.csv"))]
    print(f"SKAB, {len(files)} files, rows {FITTED} on, micro-averaged; 95 % over files by bootstrap")
    print(f"{'':24}{'F1':>7}{'95 %':>16}{'FAR %':>8}{'MAR %':>8}")
    for rival in results[0][0]:
        each = [table[rival] for table, _ in results]
        f1, far, mar = rates(np.sum(each, axis=0))
        low, high = spread(each)
        print(f"{rival:24}{f1:7.3f}{low:8.3f} ..{high:6.3f}{100 * far:8.1f}{100 * mar:8.1f}")
    print("\neach file                    F1   FAR %   MAR %")
    for path, (table, _) in zip(files, results, strict=True):
        f1, far, mar = rates(table["edgetwin"])
        print(f"{path.parent.name + '/' + path.name:24}{f1:7.3f}{100 * far:8.1f}{100 * mar:8.1f}")
    print(
        "\nhealthy rows deleted after the training rows:  "
        + "   ".join(
            f"{gone}: F1 {rates(np.sum([later[gone] for _, later in results], axis=0))[0]:.3f}" for gone in DELETED
        )
    )
    for alarms, days, over in free:
        spread_of = f"{100 * min(over):.1f} .. {100 * max(over):.1f} over {len(over)} fits"
        print(
            f"without anomalies: {alarms} alarms in {24 * days:.2f} h, {alarms / days:.0f} a day; over the limit"
            f" {100 * np.mean(over):.1f} % of rows ({spread_of})"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED / "skab")
