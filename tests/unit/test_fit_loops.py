"""PI loops read off recordings: found where there is one, refused where there is none."""

import numpy as np
import pytest

from agent.fit.loops import identify
from agent.fit.recording import FitError, read


def closed_loop(path, *, gain=60.0, reset_s=40.0, rows=1500, noise=0.002, low=0.0, high=100.0, drive=None, seed=1):
    """A recording of a first-order level under a positional PI controller, or under `drive(k)`."""
    draw = np.random.default_rng(seed)
    level, wanted, integral, lines = 0.2, 0.2, 50.0, ["time,speed,level,setpoint"]
    for k in range(rows):
        if k % 50 == 0:
            wanted = draw.uniform(0.15, 0.3)
        seen = level + noise * draw.standard_normal()
        error = wanted - seen
        v = gain * error + integral
        u = float(np.clip(v, low, high)) if drive is None else drive(k)
        if drive is None and u == v:
            integral += gain / reset_s * error
        lines.append(f"{k},{u:.3f},{seen:.5f},{wanted:.4f}")
        level += 0.05 * (0.2 + 0.006 * (u - 50.0) - level) + 0.002 * draw.standard_normal()
    path.write_text("\n".join(lines) + "\n")
    return read(path)


@pytest.mark.parametrize(("gain", "reset_s"), [(60.0, 40.0), (20.0, 15.0)])
def test_gain_and_reset_time_are_found(tmp_path, gain, reset_s):
    found = identify(closed_loop(tmp_path / "r.csv", gain=gain, reset_s=reset_s), "level", "speed", "setpoint")
    assert found.loop.gain == pytest.approx(gain, rel=0.05)
    assert found.loop.reset_s == pytest.approx(reset_s, rel=0.1)
    assert found.loop.weight == pytest.approx(1.0, abs=0.1)
    assert found.explained > 0.9


def test_rows_at_the_limits_do_not_spoil_it_and_the_limits_are_told(tmp_path):
    recording = closed_loop(tmp_path / "r.csv", low=48.0, high=53.0)
    found = identify(recording, "level", "speed", "setpoint").loop
    assert (found.low, found.high) == (48.0, 53.0)
    assert found.gain == pytest.approx(60.0, rel=0.1)


def test_an_input_that_follows_something_else_is_refused(tmp_path):
    draw = np.random.default_rng(5)
    steps = 50.0 + 5.0 * np.cumsum(draw.standard_normal(1500))
    with pytest.raises(FitError, match="a PI loop explains"):
        identify(closed_loop(tmp_path / "r.csv", drive=lambda k: steps[k]), "level", "speed", "setpoint")


def test_an_input_that_stands_still_is_refused(tmp_path):
    with pytest.raises(FitError, match="speed never moves"):
        identify(closed_loop(tmp_path / "r.csv", drive=lambda k: 50.0), "level", "speed")


def test_too_few_free_rows_are_refused(tmp_path):
    with pytest.raises(FitError, match="expected 60"):
        identify(closed_loop(tmp_path / "r.csv", rows=50), "level", "speed", "setpoint")
