"""What the benches of detectors share: the recorded sets, the daemon's score of every row, counts."""

import gzip
from pathlib import Path

import numpy as np

from agent.detect import onnx
from agent.fit.detection.threshold import persistent

ROOT = Path(__file__).resolve().parents[3]
SHARED = ROOT.parent / "shared" / "data"
# A row that has no score yet is no alarm.
CHUNK = 2000


def scored(params, rows):
    """Published score f8[n] and contributions f8[n, C] of unbroken rows f8[n, C], as the daemon gives them: from the
    file, with its persistence; 0 before the first full window. Row i sees nothing after row i."""
    W, C = params.about.window, rows.shape[1]
    windows = np.lib.stride_tricks.sliding_window_view(rows, W, axis=0).transpose(0, 2, 1)
    parts = [onnx.score(params, windows[i : i + CHUNK]) for i in range(0, len(windows), CHUNK)]
    score = np.concatenate([p[0] for p in parts])
    contribution = np.concatenate([p[1] for p in parts])
    return (
        np.concatenate([np.zeros(W - 1), persistent(score, params.about.persistence)]),
        np.vstack([np.zeros((W - 1, C)), contribution]),
    )


def counts(alarm, sick):
    """TP, FP, FN, TN."""
    return np.array([(alarm & sick).sum(), (alarm & ~sick).sum(), (~alarm & sick).sum(), (~alarm & ~sick).sum()])


def rates(count):
    """(F1, false-alarm rate, missed-alarm rate) in shares, NaN where there is nothing to count."""
    tp, fp, fn, tn = (float(x) for x in count)
    return (
        tp / (tp + (fp + fn) / 2) if tp + fp + fn else float("nan"),
        fp / (fp + tn) if fp + tn else float("nan"),
        fn / (fn + tp) if fn + tp else float("nan"),
    )


def tennessee(name):
    """A file of the Tennessee Eastman set: f8[rows, 52] (d00 is stored transposed)."""
    with gzip.open(SHARED / "tep" / f"{name}.dat.gz", "rt") as lines:
        value = np.loadtxt(lines)
    return value.T if name == "d00" else value


def write(path, rows, period_s):
    """A recording without names: time, then x1, x2, ..."""
    header = ["time", *(f"x{i + 1}" for i in range(rows.shape[1]))]
    lines = [",".join(header)]
    lines += [",".join([f"{period_s * i:g}", *(f"{x:.10g}" for x in row)]) for i, row in enumerate(rows)]
    Path(path).write_text("\n".join(lines) + "\n")
    return path
