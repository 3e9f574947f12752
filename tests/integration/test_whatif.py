"""`edgetwin whatif` and `edgetwin model` as a user types them, on checkpoints, twin files and recordings."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from live import edgetwin
from whatif_rig import LOWER, POWER, SPEED, UPPER, plant, twin

from agent.config.load import load
from agent.config.plan import plan
from agent.core.nouns import Batch, Tick
from agent.engine import state as states
from agent.engine.step import step
from agent.runtime import clock
from agent.store import record
from agent.store.record import ClockRow
from agent.store.write import Store, Work
from agent.twin.kinds.identified import Params
from agent.twin.simulate import free_run
from agent.twin.trial.loop import Control, Loop
from agent.twin.twin import dump

pytestmark = pytest.mark.timeout(400)  # several commands each, on a machine that may be busy

SECOND = 1_000_000_000
YAML = """\
gateway: {id: g1}
state_dir: state
classes:
  rig@1:
    tags: rig.csv
    modes: {always: running}
    limits:
      - {tag: upper/level, high: 0.42, message: High}
    models:
      - {name: twin, type: twin, file: rig.twin.json}
assets:
  - {id: rig, class: rig@1}
sources:
  - {id: plc, type: modbus, host: 127.0.0.1}
"""
TAGS = """\
group,tag,address,type,eu_lo,eu_hi,unit
pump,speed,input:0,float32,0,110,%
upper,level,input:2,float32,0,0.6,m
lower,level,input:4,float32,0,0.6,m
control,setpoint,input:6,float32,0,0.6,m
"""
LOOP = Loop(LOWER, SPEED, 60.0, 40.0, "control/setpoint", low=40.0, high=85.0)


def rows(count, seed=0, speed=lambda k: 60.0 + 10.0 * np.sign(np.sin(k / 20))):
    """Rows of (speed, upper, lower, power) of the twin itself, with noise."""
    machine, draw, x, out = plant(), np.random.default_rng(seed), np.zeros(2), []
    for k in range(count):
        u = np.array([speed(k)])
        y = machine.observe(x, u) + 0.001 * draw.standard_normal(3)
        out.append((u[0], *y))
        x = machine.advance(x, u) + 0.03 * draw.standard_normal(2)
    return out


def recording(path, values, *, absent=(), start=0):
    """A CSV of them; `absent`: (row, column) cells that are empty."""
    lines = [["time", SPEED, UPPER, LOWER]]
    for k, row in enumerate(values):
        lines.append([f"{start + k}.0", *("" if (k, i) in absent else f"{v:.6f}" for i, v in enumerate(row[:3]))])
    path.write_text("\n".join(",".join(line) for line in lines) + "\n")
    return path


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rig.twin.json"
    path.write_bytes(dump(twin()))
    return path


@pytest.fixture
def config(tmp_path):
    """A configuration whose daemon wrote a checkpoint five minutes ago, 60 s after it began."""
    (tmp_path / "rig.twin.json").write_bytes(dump(twin(control=Control((LOOP,)))))
    (tmp_path / "rig.csv").write_text(TAGS)
    (tmp_path / "rig.yaml").write_text(YAML)
    path = tmp_path / "rig.yaml"
    made = plan(load(path, None, {}))
    rig = made.assets[0]
    state = states.initial(rig)
    for k, (speed, upper, lower, _) in enumerate(rows(60, speed=lambda k: 62.0), 1):
        value = np.array([speed, upper, lower, 0.21])
        stamp = np.full(4, k * SECOND)
        batch = Batch("plc", np.arange(4, dtype=np.int32), value, np.zeros(4, np.uint32), stamp, stamp)
        state, _ = step(rig, state, Tick("rig", 1, k, k * SECOND, (batch,)))
    made.journal.path.parent.mkdir(parents=True)
    store, _ = Store.open(made.journal.path, 10_000_000, clock.boot_id(), "g1")
    ago = ClockRow(60 * SECOND, clock.wall_ns() - 300 * SECOND, "synchronised")
    store.commit(Work(entries=[record.checkpoint("rig", 60 * SECOND, states.freeze(rig, state))], clock=[ago]))
    store.close()
    return path


def asked(*arguments):
    done = edgetwin("whatif", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(code, *arguments):
    done = edgetwin(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_from_the_daemon_with_its_loop_its_limits_and_its_set_point(config, tmp_path):
    sets = ("--set", "control.setpoint=0.27@+2m", "--horizon", "20m", "--cost", "energy=pump/power")
    told = json.loads(asked(config, *sets, "--json", "--plot", tmp_path / "what.html"))
    assert told["asset"] == "rig"
    assert told["state"]["age_s"] == pytest.approx(300.0, abs=30.0)
    lower = next(s for s in told["signals"] if s["tag"] == LOWER)
    assert lower["baseline"]["p50"][-1] == pytest.approx(0.21, abs=0.005)
    assert lower["candidate"]["p50"][-1] == pytest.approx(0.27, abs=0.005)
    assert lower["baseline"]["p50"][0] == pytest.approx(rows(60, speed=lambda k: 62.0)[-1][2], abs=0.01)
    limit = next(c for c in told["constraints"] if c["name"] == "High")
    assert (limit["tag"], limit["side"], limit["limit"], limit["unit"]) == (UPPER, "high", 0.42, "m")
    assert limit["candidate"]["probability"] > limit["baseline"]["probability"]
    assert {c["tag"] for c in told["constraints"] if c["name"] == "range"} == {SPEED, UPPER, LOWER}
    (energy,) = told["costs"]
    assert energy["unit"] == "Wh"
    assert energy["difference"]["p5"] > 0.0
    page = (tmp_path / "what.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "<svg" in page
    assert "control/setpoint" in page


def test_what_it_says_to_a_person(config):
    said = asked(config, "--set", "control/setpoint=0.3@+1m..+3m", "--horizon", "10m", "--particles", "100")
    for part in (
        "rig: the daemon's checkpoint, 5 min old",
        "set control/setpoint = 0.3 m at +1m to +3m",
        "mode running",
    ):
        assert part in said
    assert "loop lower/level -> pump/speed of control/setpoint: gain 60 %/m, reset 40s" in said
    assert "upper/level < 0.42 m" in said
    assert "first (median)" in said
    assert "no loop" not in said


def test_a_twin_file_alone_starts_from_its_prior_and_says_so(file):
    said = asked(file, "--set", "pump.speed=75@+1m", "--horizon", "5m", "--limit", "upper.level<0.5", "--seed", "3")
    assert "prior" in said
    assert "no loop is emulated" in said
    assert "75 [75, 75]" in said


def test_an_interlock_is_emulated(file):
    lock = ("--interlock", "upper/level>0.45 -> pump/speed=0 after=2s", "--particles", "50")
    source = recording(file.parent / "d.csv", rows(100))
    said = asked(file, "--from", source, "--set", "pump/speed=85", "--horizon", "5m", *lock)
    assert "interlock upper/level high 0.45: pump/speed = 0" in said
    assert "candidate: an interlock has tripped in 100 % of the particles" in said


def test_a_twin_file_with_a_recording_starts_at_its_end(file, tmp_path):
    values = rows(400)
    told = json.loads(
        asked(
            file, "--from", recording(tmp_path / "d.csv", values), "--set", "pump/speed=65", "--horizon", "1m", "--json"
        )
    )
    upper = next(s for s in told["signals"] if s["tag"] == UPPER)
    assert upper["baseline"]["p50"][0] == pytest.approx(values[-1][1], abs=0.005)
    speed = next(s for s in told["signals"] if s["tag"] == SPEED)
    assert speed["baseline"]["p50"][0] == values[-1][0]
    assert speed["candidate"]["p50"][0] == 65.0


def test_only_the_last_rows_of_its_mode_give_the_state(file, tmp_path):
    running, stopped = rows(300), [(0.0, 0.05, 0.05)] * 50
    lines = ["time,pump/speed,upper/level,lower/level,drive/state"]
    for k, row in enumerate([*running, *stopped]):
        lines.append(",".join([str(k), *(f"{v:.6f}" for v in row[:3]), str(2 if k < 300 else 0)]))
    (tmp_path / "d.csv").write_text("\n".join(lines) + "\n")
    where = ("--from", tmp_path / "d.csv", "--horizon", "1m", "--where")
    told = json.loads(asked(file, *where, "drive/state=2", "--json"))
    upper = next(s for s in told["signals"] if s["tag"] == UPPER)
    assert upper["baseline"]["p50"][0] == pytest.approx(running[-1][1], abs=0.005)
    assert "no row where drive/state is 7" in refused(1, "whatif", file, *where, "drive/state=7")


def test_pictures_of_other_kinds(file, tmp_path):
    for name, begins in (("w.png", b"\x89PNG"), ("w.svg", b"<?xml")):
        asked(file, "--set", "pump/speed=65", "--horizon", "1m", "--plot", tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begins)


def test_what_is_wrong_is_one_plain_line(file, config, tmp_path):
    horizon = ("--horizon", "1m")
    assert "expected TAG=VALUE@+TIME" in refused(2, "whatif", file, "--set", "pump/speed", *horizon)
    assert "is no span of time" in refused(2, "whatif", file, "--set", "pump/speed=1@+soon", *horizon)
    assert "nothing moves upper/level" in refused(2, "whatif", file, "--set", "upper/level=1", *horizon)
    assert "expected TAG<VALUE" in refused(2, "whatif", file, "--limit", "upper/level=1", *horizon)
    assert "the twin has no x" in refused(2, "whatif", file, "--cost", "x", *horizon)
    assert "give gain= and reset=" in refused(2, "whatif", file, "--loop", "lower/level->pump/speed", *horizon)
    assert "unknown: gian" in refused(2, "whatif", file, "--loop", "lower/level->pump/speed gian=1", *horizon)
    assert "expected TAG>LIMIT" in refused(2, "whatif", file, "--interlock", "upper/level>0.5", *horizon)
    assert ".html" in refused(2, "whatif", file, "--plot", tmp_path / "x.pdf", *horizon)
    assert "no twin of other" in refused(1, "whatif", config, "--asset", "other")
    assert "nowhere.csv" in refused(1, "whatif", file, "--from", "nowhere.csv")
    assert "edgetwin run" in refused(3, "whatif", config, "--state-dir", tmp_path / "another")


def closed_loop(tmp_path):
    """A recording of the twin under a PI loop with gain 60 and reset time 40 s."""
    machine, draw, x = plant(), np.random.default_rng(4), np.zeros(2)
    lines, integral, wanted, u = (
        ["time,pump/speed,upper/level,lower/level,control/setpoint"],
        60.0 + 60.0 * 0.2,
        0.2,
        60.0,
    )
    for k in range(1500):
        wanted = 0.2 + 0.03 * np.sign(np.sin(k / 60)) if k > 100 else 0.2
        y = machine.observe(x, np.array([u]))[:2] + 0.001 * draw.standard_normal(2)
        u = 60.0 * (wanted - y[1]) + integral - 60.0 * 0.2
        integral += 60.0 / 40.0 * (wanted - y[1])
        lines.append(f"{k},{u:.4f},{y[0]:.6f},{y[1]:.6f},{wanted}")
        x = machine.advance(x, np.array([u])) + 0.03 * draw.standard_normal(2)
    (tmp_path / "closed.csv").write_text("\n".join(lines) + "\n")
    return tmp_path / "closed.csv"


def test_the_loop_is_found_in_the_recording(file, tmp_path):
    source = closed_loop(tmp_path)
    loop = ("--loop", "lower/level -> pump/speed setpoint=control/setpoint")
    told = json.loads(asked(file, "--from", source, *loop, "--set", "lower/level=0.25", "--horizon", "10m", "--json"))
    (found,) = told["control"]["loops"]
    assert found["gain"] == pytest.approx(60.0, rel=0.05)
    assert found["reset_s"] == pytest.approx(40.0, rel=0.05)
    assert found["weight"] == pytest.approx(1.0, abs=0.05)
    level = next(s for s in told["signals"] if s["tag"] == LOWER)
    assert level["candidate"]["p50"][-1] == pytest.approx(0.25, abs=0.004)


def test_a_loop_is_kept_with_the_twin(file, tmp_path):
    source = closed_loop(tmp_path)
    loop = ("--loop", "lower/level -> pump/speed setpoint=control/setpoint low=30")
    done = edgetwin("fit", "loop", source, "--twin", file, *loop)
    assert done.returncode == 0, done.stderr
    assert "explains 100.0 % of" in done.stdout
    (kept,) = json.loads(file.read_text())["control"]["loops"]
    assert kept["low"] == 30.0
    assert kept["reset_s"] == pytest.approx(40.0, rel=0.05)
    assert "loop lower/level -> pump/speed" in asked(
        file, "--from", source, "--set", "lower/level=0.22", "--horizon", "1m"
    )
    wrong = refused(1, "fit", "loop", source, "--twin", file, "--loop", "pump/speed->lower/level gain=1 reset=1s")
    assert "an input of the twin in the place of lower/level" in wrong


def simulated(file, source, out, *more):
    done = edgetwin("model", "simulate", file, source, "--out", out, *more)
    assert done.returncode == 0, done.stderr
    with out.open() as lines:
        table = list(csv.reader(lines))
    return (
        table[0],
        [row[0] for row in table[1:]],
        np.array([[float(x) if x else np.nan for x in r[1:]] for r in table[1:]]),
    )


def test_a_free_run_over_a_recording(file, tmp_path):
    values = np.array(rows(200))
    source = recording(tmp_path / "d.csv", values, absent={(30, 0), (50, 1), (51, 2)}, start=1000)
    head, times, y = simulated(file, source, tmp_path / "y.csv", "--free-run", "--init-samples", "5")
    assert head == ["time", UPPER, LOWER, POWER]
    assert times == [f"{1000 + k}.0" for k in range(200)]
    u = values[:, :1].copy()
    u[30] = u[29]
    expected = free_run(plant(), u, values[:, 1:3], 5)
    np.testing.assert_allclose(y, expected, rtol=1e-5)
    measured_elsewhere = values.copy()
    measured_elsewhere[5:, 1:3] = 0.4
    other = recording(tmp_path / "e.csv", measured_elsewhere, absent={(30, 0)}, start=1000)
    _, _, again = simulated(file, other, tmp_path / "z.csv", "--free-run", "--init-samples", "5")
    np.testing.assert_allclose(again, y)  # a free run looks at no later measurement


def test_one_step_ahead_follows_what_is_measured(file, tmp_path):
    values = np.array(rows(300))
    source = recording(tmp_path / "d.csv", values, absent={(k, i) for k in range(100, 110) for i in (1, 2)})
    _, _, ahead = simulated(file, source, tmp_path / "y.csv")
    _, _, free = simulated(file, source, tmp_path / "z.csv", "--free-run")
    error, alone = (np.sqrt(np.mean((run[20:, :2] - values[20:, 1:3]) ** 2)) for run in (ahead, free))
    assert error < 0.6 * alone
    assert np.isfinite(ahead).all()


def test_after_a_gap_it_begins_anew_and_without_inputs_it_is_silent(file, tmp_path):
    values = rows(120)
    first = recording(tmp_path / "a.csv", values[:60], absent={(0, 0), (1, 0)}).read_text()
    second = recording(tmp_path / "b.csv", values[60:], start=5000).read_text().partition("\n")[2]
    (tmp_path / "d.csv").write_text(first + second)
    for more in ((), ("--free-run",)):
        _, times, y = simulated(file, tmp_path / "d.csv", tmp_path / "y.csv", *more)
        assert len(times) == 120
        assert np.isnan(y[:2]).all()
        assert np.isfinite(y[2:]).all()
    assert np.abs(y[62:70, 0] - np.array(values)[62:70, 1]).max() < 0.02


def test_a_recording_of_another_period_or_without_an_input_is_refused(file, tmp_path):
    (tmp_path / "d.csv").write_text("time,pump/speed,upper/level\n0,60,0.3\n5,60,0.3\n10,60,0.3\n")
    said = refused(1, "model", "simulate", file, tmp_path / "d.csv", "--out", tmp_path / "y.csv", "--free-run")
    assert "one row each 5 s, the twin was made for 1 s" in said
    (tmp_path / "d.csv").write_text("time,upper/level\n0,0.3\n1,0.3\n2,0.3\n")
    assert SPEED in refused(1, "model", "simulate", file, tmp_path / "d.csv", "--out", tmp_path / "y.csv")


def test_show_says_what_it_is(file, tmp_path):
    said = edgetwin("model", "show", file).stdout
    for part in ("identified twin, linear, 2 states", "19.5 s, 16.2 s", "nrmse 0.1", "outside 30 to 90 %"):
        assert part in said
    tree = json.loads(edgetwin("model", "show", file, "--json").stdout)
    assert tree["outputs"][0]["tag"] == UPPER
    assert tree["modes_of_motion"][0]["magnitude"] == pytest.approx(0.95)
    assert "not a twin" in refused(1, "model", "show", recording(tmp_path / "d.csv", rows(3)))


def test_the_control_section_goes_through_the_file():
    from agent.twin.twin import fingerprint
    from agent.twin.twin import load as read

    whole = twin(control=Control((replace(LOOP, rate=2.5),)))
    again = read(dump(whole))
    assert fingerprint(whole) == fingerprint(twin())  # the daemon keeps its state when loops are told
    assert isinstance(again.plant.params, Params)
    assert dump(again) == dump(whole)
    assert again.control.loops[0].rate == 2.5
    assert np.isnan(twin(control=Control((replace(LOOP, rate=float("nan")),))).control.loops[0].rate)
