"""Remaining life on C-MAPSS: `fit rul` on FD001 and `model predict` on its test, FD003 by cross-validation alone.

    python tests/bench/detect/cmapss.py

Everything is chosen inside `fit rul`, by cross-validation grouped by unit; the test is scored at the end, as an
engineer would: the last row of each test unit. Beside it: the mean life, and ridge regression on the same features.
Needs ../shared/data/cmapss (public domain, NASA).
"""

from __future__ import annotations

import csv
import gzip
import os
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
DATA = next(
    (p for p in (ROOT.parent / "shared/data/cmapss", ROOT.parents[1] / "shared/data/cmapss") if p.is_dir()), None
)
OUT = Path(os.environ.get("EDGETWIN_BENCH_CACHE", Path.home() / ".cache/edgetwin-bench")) / "cmapss"
COLUMNS = ["unit", "cycle", "setting1", "setting2", "setting3", *(f"s{k}" for k in range(1, 22))]
CAP = 125.0
DRAWS = 10_000


def converted(name: str) -> Path:
    """The blank-separated file as a CSV with a header."""
    to = OUT / f"{name}.csv"
    with gzip.open(DATA / f"{name}.txt.gz", "rt") as lines, to.open("w") as file:
        file.write(",".join(COLUMNS) + "\n")
        file.writelines(",".join(line.split()) + "\n" for line in lines)
    return to


def last_rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open() as file:
        return {row["unit"]: row for row in csv.DictReader(file)}


def rmse(error):
    return float(np.sqrt(np.mean(np.square(error))))


def nasa(error):
    """Sum of exp(-d/13) - 1 for early, exp(d/10) - 1 for late estimates (Saxena et al. 2008)."""
    return float(np.sum(np.where(error < 0, np.exp(-error / 13.0), np.exp(error / 10.0)) - 1.0))


def interval(of, *arrays):
    """95 % bootstrap over units."""
    n = len(arrays[0])
    draws = np.random.default_rng(0).integers(0, n, (DRAWS, n))
    return np.quantile([of(*(a[d] for a in arrays)) for d in draws], [0.025, 0.975])


def scored(p5, p50, p95, true):
    from agent.fit.lives.band import wilson

    for label, said, life in (("capped at 125", np.minimum(p50, CAP), np.minimum(true, CAP)), ("raw", p50, true)):
        error = said - life
        low, high = interval(rmse, error)
        print(f"  {label:14} RMSE {rmse(error):6.2f} ({low:.2f} to {high:.2f})   NASA {nasa(error):8.0f}", end="")
        hits = int(np.sum((p5 <= life) & (life <= p95)))
        low, high = wilson(hits, len(life))
        print(f"   90 % band covers {hits} of {len(life)} ({low:.1%} to {high:.1%})")
    told = np.minimum(p95, CAP) - p5
    print(f"  width of the band up to the cap: mean {told.mean():.1f}, median {np.median(told):.1f} cycles")


def rivals(train: Path, test: Path, true):
    """The mean life, and ridge regression, on the features of the last rows."""
    from agent.detect import rul_features
    from agent.fit.lives import regimes, runs

    learn, asked = (runs.read(path, "unit", "cycle") for path in (train, test))
    known, _ = regimes.found([u.value for u in learn.units], None)

    def rows(found):
        z = [rul_features.standardised(known, u.value) for u in found.units]
        ages = [u.time - u.time[0] for u in found.units]
        return [rul_features.of_run(a, 30, b) for a, b in zip(z, ages, strict=True)]

    x = np.vstack(rows(learn))
    y = np.concatenate([np.minimum(u.time[-1] - u.time, CAP) for u in learn.units])
    centre, scale = x.mean(0), np.maximum(x.std(0), 1e-9)
    a = (x - centre) / scale
    gain = np.linalg.solve(a.T @ a + 10.0 * np.eye(a.shape[1]), a.T @ (y - y.mean()))
    ridge = np.clip((np.array([r[-1] for r in rows(asked)]) - centre) / scale @ gain + y.mean(), 0, CAP)
    capped = np.minimum(true, CAP)
    print(f"  beside it, capped: ridge on the same features {rmse(ridge - capped):.2f},", end=" ")
    print(f"the mean life of training {rmse(y.mean() - capped):.2f}")


def speed(model: Path, test: Path):
    from agent.cli.predicting import predicted
    from agent.detect import rul
    from agent.fit.lives import runs

    params, found = rul.load(model.read_bytes()), runs.read(test, "unit", "cycle")
    start = time.process_time()
    rows = predicted(params, found)
    print(f"  {1e3 * (time.process_time() - start) / len(rows):.3f} ms of processor time a step of a unit")


def main() -> int:
    from typer.testing import CliRunner

    from agent.cli.commands import app

    if DATA is None:
        print("no ../shared/data/cmapss here")
        return 0
    OUT.mkdir(parents=True, exist_ok=True)
    run = CliRunner()
    for name in ("FD001", "FD003"):
        train, model = converted(f"train_{name}"), OUT / f"{name}.onnx"
        start = time.process_time()
        told = run.invoke(app, ["fit", "rul", str(train), "--unit", "unit", "--time", "cycle", "--out", str(model)])
        print(f"{name}: fit rul, {time.process_time() - start:.0f} s of processor time", told.output, sep="\n")
    test, said = converted("test_FD001"), OUT / "FD001.rul.csv"
    print(
        "FD001 test",
        run.invoke(app, ["model", "predict", str(OUT / "FD001.onnx"), str(test), "--out", str(said)]).output,
    )
    with gzip.open(DATA / "RUL_FD001.txt.gz", "rt") as file:
        true = np.array([float(line) for line in file.read().split()])
    last = list(last_rows(said).values())
    without = [row["unit"] for row in last if not row["p50"]]
    print(f"  units without an estimate at their last row: {len(without)} {' '.join(without)}".rstrip())
    kept = np.array([bool(row["p50"]) for row in last])
    p5, p50, p95 = (np.array([float(row[k] or "nan") for row in last])[kept] for k in ("p5", "p50", "p95"))
    scored(p5, p50, p95, true[kept])
    rivals(OUT / "train_FD001.csv", test, true)
    speed(OUT / "FD001.onnx", test)
    return 0


if __name__ == "__main__":
    sys.exit(main())
