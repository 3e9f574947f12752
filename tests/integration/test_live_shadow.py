"""A new detector in the shadow of the one that speaks, in a running daemon: compared, promoted, kept over a kill."""

import json

import onnx
import pytest
from live import ROOT, edgetwin, living, until

pytestmark = pytest.mark.timeout(300)

DETECTOR = ROOT / "configs" / "models" / "two-tank.detector.onnx"
AT = "classes.two-tank@1.models.detector"


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shadow")
    new = folder / "new.onnx"
    model = onnx.load(DETECTOR)
    limit = next(p for p in model.metadata_props if p.key == "edgetwin.limit")
    limit.value = json.dumps(json.loads(limit.value) * 1e-3)
    onnx.save(model, new)
    settings = ("--set", f"{AT}.shadow.file={new}", "--set", f"{AT}.settle_s=2")
    with living(folder, "plant", "plc1", "plc2") as rig:
        signed = edgetwin("model", "sign", new, "--state-dir", rig.state_dir)
        assert signed.returncode == 0, signed.stderr
        rig.processes["agent"].start(*settings)
        until(rig.status, 40)
        yield rig, settings


def command(rig, do, *more):
    return edgetwin("model", do, ROOT / "configs" / "two-tank.yaml", *more, "--socket", rig.rig.feed)


def compared(rig):
    done = command(rig, "compare", "--json")
    return json.loads(done.stdout)["rig/detector"] if done.returncode == 0 else {}


def test_it_is_compared_promoted_kept_over_a_kill_and_rolled_back(live):
    rig, settings = live
    until(lambda: (compared(rig).get("new_p99") or 0.0) > 1.0, 180, every_s=2.0)
    first = compared(rig)
    assert first["speaks"] == "old"
    assert first["new_p99"] > 2.0 * first["old_p99"]
    limit = rig.point("rig/anomaly/limit")[0]
    assert 0.0 < first["new_ms"] < 50.0
    shown = command(rig, "compare", "rig/detector")
    print(shown.stdout)
    assert "the old one speaks" in shown.stdout
    done = command(rig, "promote", "rig/detector", "--reason", "tried on Tuesday")
    assert "rig/detector: the new model took over, by" in done.stdout, done.stderr
    assert "tried on Tuesday" in done.stdout
    assert rig.point("rig/anomaly/limit")[0] == pytest.approx(limit * 1e-3)
    again = command(rig, "promote", "rig/detector")
    assert (again.returncode, "speaks already" in again.stderr) == (1, True)
    rig.processes["agent"].kill()
    rig.processes["agent"].start(*settings)
    until(lambda: compared(rig).get("speaks") == "new", 40)
    told = edgetwin("status", "--socket", rig.rig.feed).stdout
    assert "detector.shadow: the new model took over by" in told
    back = command(rig, "rollback", "rig/detector")
    assert "the old model took over again" in back.stdout, back.stderr
    # After the restart its window fills first.
    until(lambda: rig.point("rig/anomaly/limit")[0] == pytest.approx(limit), 60)


def test_what_is_not_there_is_said_in_a_line(live):
    rig, _ = live
    for target, said in (
        ("rig", "expected ASSET/MODEL"),
        ("rig/twin", "no shadow beside rig/twin; models with one: rig/detector"),
        ("rog/twin", "no asset 'rog', expected one of rig"),
    ):
        done = command(rig, "promote", target)
        assert done.returncode in (1, 2)
        assert said in done.stderr
        assert len(done.stderr.splitlines()) == 1
    none = command(rig, "compare", "rig/twin")
    assert "rig/twin has no shadow; models with one: rig/detector" in none.stderr


def test_the_log_has_no_traceback(live):
    assert "Traceback" not in live[0].processes["agent"].text()
