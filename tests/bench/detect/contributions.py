"""Do contributions point? A step in one tag at a time, in windows of healthy rows that the detector was not fitted on.

    python tests/bench/detect/contributions.py

Sets: SKAB's anomaly-free file, Tennessee Eastman (d00, d00_te), the two-tank plant with its stops, and ten tags
moved by three causes. Steps of 1.5 times what just alarms (the page's own), and of 2 and 4 spreads of the tag, in all
windows, alarm or not. Right tag first, among the first two; beside it the same for raw z-scores of the window's mean.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rows import ROOT, SHARED, tennessee

from agent.fit import recording
from agent.fit.detection import detector as whole
from agent.fit.detection.choose import Choices, make
from agent.fit.detection.page import BEYOND
from agent.fit.detection.pointing import pointing

WINDOW = 30
RIG_TAGS = "pump/speed pump/flow pump/pressure valve/position upper/level lower/level motor/current motor/vibration"
GOAL = (0.80, 0.95)


def skab():
    """(fitted, fresh) runs: halves of the file."""
    path = SHARED / "skab" / "anomaly-free" / "anomaly-free.csv"
    found = recording.read(path)
    value = found.columns(found.names)
    return [value[: len(value) // 2]], [value[len(value) // 2 :]], found.names, 1.0


def tep():
    """d00, and d00_te as fresh rows."""
    names = tuple(f"x{i + 1}" for i in range(52))
    return [tennessee("d00")], [tennessee("d00_te")], names, 180.0


def rig(folder):
    """Four hours of the two-tank plant while it runs, and two hours of another seed."""
    tags = RIG_TAGS.split()
    runs = []
    for seed, hours in ((3, 4), (4, 2)):
        path = folder / f"{seed}.csv"
        command = [sys.executable, "-m", "hil.record", "--out", str(path), "--hours", str(hours), "--seed", str(seed)]
        subprocess.run([*command, "--schedule"], check=True, cwd=ROOT)
        cut = recording.cut(recording.read(path), tags, where={"drive/state": 2}, settle_s=60.0)
        runs.append([each.value for each in cut if len(each.value) >= WINDOW])
    return *runs, tuple(tags), 1.0


def collinear():
    """Ten tags of three slow causes, noise of a tenth of their swing."""
    draw = np.random.default_rng(5)
    mix = draw.normal(size=(3, 10))

    def rows(count):
        drive = np.array(
            [np.convolve(draw.normal(size=count + 60), np.ones(60) / 8, "valid")[:count] for _ in range(3)]
        )
        return drive.T @ mix + 0.15 * draw.normal(size=(count, 10))

    return [rows(6000)], [rows(3000)], tuple(f"t{i}" for i in range(10)), 1.0


def line(text, found):
    """One line: means over tags; worst: the tag that is least often first."""
    figures = [100 * np.mean(x) for x in (found.first, found.second, found.z_first, found.z_second, found.alarmed)]
    a, b, c, d, e = figures
    met = "met" if a >= 100 * GOAL[0] and b >= 100 * GOAL[1] else "NOT met"
    worst = 100 * found.first.min()
    print(f"  {text:28}{a:8.1f}{b:8.1f}{worst:8.1f}{c:10.1f}{d:8.1f}{e:10.1f}   {met}", flush=True)


def main():
    """A block a set."""
    heads = (("first", 8), ("two", 8), ("worst", 8), ("z first", 10), ("z two", 8), ("alarm", 10))
    print(f"{'right tag, % of windows':30}" + "".join(text.rjust(width) for text, width in heads) + "   goal")
    with tempfile.TemporaryDirectory() as name:
        sets = {"two tanks": lambda: rig(Path(name)), "collinear, 10 tags of 3": collinear}
        if SHARED.exists():
            sets = {"SKAB anomaly-free": skab, "Tennessee Eastman": tep, **sets}
        for title, read in sets.items():
            fitted, fresh, tags, period_s = read()
            calibration = fresh if title.startswith("Tenn") else []
            choices = Choices(WINDOW, 1.0, ("running",), 0.0, period_s, (3, 5), 3)
            made = make(fitted, choices, title, calibration).detector
            print(f"{title}: {len(tags)} tags, {' + '.join(str(p.folding) for p in made.parts)}")
            line(f"{BEYOND:g} x what just alarms", pointing(made, fresh, BEYOND * whole.smallest_step(made), 100))
            for sd in (2.0, 4.0):
                line(f"{sd:g} spreads", pointing(made, fresh, sd * made.scale, 100))


if __name__ == "__main__":
    main()
