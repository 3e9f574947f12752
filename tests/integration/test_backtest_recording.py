"""`edgetwin backtest CONFIG RECORDING`: a recording of the virtual plant through the live code path."""

import json
import subprocess
import sys

import pytest
from live import ROOT, edgetwin

CONFIG = "configs/two-tank.yaml"


@pytest.fixture(scope="module")
def leak(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "leak.csv"
    command = [sys.executable, "-m", "hil.record", "--out", path, "--hours", "0.2", "--seed", "5", "--fault", "leak",
               "--fault-at", "400"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT, timeout=120)
    return path


def backtest(*arguments):
    return edgetwin("backtest", *arguments, timeout_s=240)


def test_it_says_what_the_models_raise_and_what_others_would_not(leak, tmp_path):
    deaf = (ROOT / CONFIG).read_text().replace("high: 0.42", "high: 0.1").replace("models/", f"{ROOT}/configs/models/")
    deaf = deaf.replace("two-tank.csv", f"{ROOT}/configs/two-tank.csv")
    numb = "    residuals: {limit: 1000}\n    cusum: {on_delay_s: 86400}\n    summary_s: 10"
    deaf = deaf.replace("    summary_s: 10", numb)
    (tmp_path / "deaf.yaml").write_text(deaf)
    done = backtest(CONFIG, leak, "--against", tmp_path / "deaf.yaml", "--json")
    assert done.returncode == 0, done.stderr
    (asset,) = json.loads(done.stdout)["assets"]
    assert asset["ticks"] == 720
    assert asset["modes_s"]["running"] > 600
    assert asset["spoke_s"]["twin"] > 500
    found = next(a for a in asset["alarms"] if a["id"].startswith("rig/lower/level."))
    assert found["kind"] in ("residual", "cusum")
    assert 400 < float(found["begun"].removesuffix(" s")) < 550
    assert found["provisional"]
    assert found["id"] in {a["id"] for a in asset["against"]["gained"]}
    assert {a["id"] for a in asset["against"]["lost"]} == {"rig/lower/level.high"}


def test_a_recording_that_does_not_tell_the_mode_needs_it_and_its_own_models_gain_nothing(leak, tmp_path):
    rows = leak.read_text().splitlines()[:300]
    at = rows[0].split(",").index("drive/state")
    cut = tmp_path / "cut.csv"
    cut.write_text("\n".join(",".join(c for n, c in enumerate(r.split(",")) if n != at) for r in rows) + "\n")
    silent = backtest(CONFIG, cut)
    assert silent.returncode == 1
    assert "drive/state tells the mode and has no column: give --mode running" in silent.stdout
    said = backtest(CONFIG, cut, "--mode", "running", "--against", "configs/models/two-tank.twin.json")
    assert said.returncode == 0, said.stderr
    assert "running 100%" in said.stdout
    assert "against configs/models/two-tank.twin.json: 0 gained, 0 lost" in said.stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["nowhere.csv"], "nowhere.csv"),
        (["configs/two-tank.csv"], "expected seconds, an ISO 8601 stamp"),
        (["LEAK", "--mode", "runing"], "--mode runing: expected one of off, starting, running"),
        (["LEAK", "--asset", "rgi"], "no asset rgi, there are rig"),
        (["LEAK", "--against", "README.md"], "neither a configuration nor a model"),
        (["configs"], "journal.db"),
    ],
)
def test_what_cannot_be_played_is_refused_in_words(leak, arguments, why):
    done = backtest(CONFIG, *[leak if a == "LEAK" else a for a in arguments])
    assert done.returncode in (1, 2)
    assert why in done.stderr
    assert "Traceback" not in done.stderr
