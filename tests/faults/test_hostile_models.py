"""Model files that must not be loaded: each is refused with its own reason, quickly, in bounded memory, by `check`; the
daemon's own loading leaves the model absent and the rest as it is."""

import datetime
import json
import os
import re
import resource
import stat
import subprocess
import sys

import detect_models as models
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hostile_models import CASES, GOOD, file

from agent.config.check import check
from agent.config.load import load
from agent.config.plan import plan
from agent.runtime.admission import judging, keys, memory, signature, trial

YAML = """
gateway: {id: g}
state_dir: state
classes:
  pump@1:
    tags: tags.csv
    modes: {always: running}
    models: [{name: detector, type: detect.onnx, file: model.onnx}]
assets: [{id: p, class: pump@1}]
sources: [{id: plc, type: modbus, host: 127.0.0.1}]
"""
MADE = "2026-01-01T00:00:00Z"
MEMORY = 700 * 2**20  # more than this no process of a refusal may have taken

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A configuration with one detector, whose file is still to be put there."""
    monkeypatch.setattr(trial, "RUN_S", 4.0)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    (tmp_path / "g.yaml").write_text(YAML)
    units = ("%", "m3/h", "m")
    rows = [
        f"{t.replace('/', ',')},input:{2 * n},{u}\n" for n, (t, u) in enumerate(zip(models.TAGS, units, strict=True))
    ]
    (tmp_path / "tags.csv").write_text("group,tag,address,unit\n" + "".join(rows))
    return tmp_path


def put(place, content, key=None, expires=None, sign=True):
    path = place / "model.onnx"
    path.write_bytes(content)
    if sign:
        key = key or keys.own(place / "state")
        signature.beside(path).write_bytes(signature.signed(content, key, MADE, expires))
    return path


def reason(place):
    """The one line that `check` says, of the model file."""
    (found,) = check(place / "g.yaml")
    assert "model.onnx" in str(found)
    assert "\n" not in str(found)
    return found.text


def test_the_small_detector_itself_is_loaded(place):
    put(place, GOOD)
    assert check(place / "g.yaml") == []


@pytest.mark.parametrize(("make", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_refused_with_its_reason(place, make, words):
    put(place, make())
    text = reason(place)
    assert re.search(words, text), text
    for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
        assert resource.getrusage(who).ru_maxrss * 1024 < MEMORY


def test_what_is_no_file_is_refused(place):
    path = place / "model.onnx"
    path.mkdir()
    assert "Is a directory" in reason(place)
    path.rmdir()
    os.mkfifo(path)
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert "a pipe or a device" in reason(place)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "a pipe or a device" in reason(place)
    path.unlink()
    path.symlink_to(path)
    assert "cannot be read" in reason(place)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_refused(place):
    put(place, GOOD).chmod(0)
    assert "cannot be read" in reason(place)


def test_without_a_signature_it_is_refused_and_the_command_is_told(place):
    path = put(place, GOOD, sign=False)
    assert f"edgetwin model sign {path}" in reason(place)
    yaml = (place / "g.yaml").read_text()
    (place / "g.yaml").write_text(yaml.replace("{id: g}", "{id: g, models: {signature: warn}}"))
    assert check(place / "g.yaml") == []
    assert "not signed" in load(place / "g.yaml").told[0].text


def test_a_key_that_nobody_trusts_is_refused_until_somebody_does(place):
    stranger = keys.own(place / "elsewhere")
    put(place, GOOD, stranger)
    assert "not trusted here" in reason(place)
    kept = keys.trust(place / "state", place / "elsewhere" / "models" / "own.pub", "maker")
    assert check(place / "g.yaml") == []
    keys.distrust(place / "state", kept.id)
    assert "not trusted here" in reason(place)


def tampered(**changes):
    def change(sig):
        return json.dumps({**json.loads(sig), **changes}).encode()

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda sig: signature.signed(b"another", Ed25519PrivateKey.generate(), MADE), "of another file"),
        (tampered(signature="AAAA"), "made up or changed"),
        (tampered(expires="2099-01-01T00:00:00Z"), "made up or changed"),
        (tampered(made="2020-01-01T00:00:00Z"), "made up or changed"),
        (tampered(algorithm="none"), "expected ed25519"),
        (tampered(key=["a"]), "no signature as"),
        (tampered(more=1), "no signature as"),
        (tampered(expires="never"), "no signature as"),
        (lambda sig: b"[" * 4000, "no signature as"),
        (lambda sig: b"{}", "no signature as"),
        (lambda sig: b"", "no signature as"),
        (lambda sig: b"x" * 5000, "expected at most 4096"),
    ],
)
def test_a_signature_that_does_not_count(place, change, words):
    sig = signature.beside(put(place, GOOD))
    sig.write_bytes(change(sig.read_bytes()))
    assert words in reason(place)


def test_a_changed_file_does_not_have_its_old_signature(place):
    path = put(place, GOOD)
    path.write_bytes(file(says=models.about(limit=1e9).props()))
    assert "changed since" in reason(place)


def test_expiry_stands_in_the_way_of_what_is_new_not_of_what_ran_here(place):
    put(place, GOOD, expires="2026-02-01T00:00:00Z")
    assert "expired 2026-02-01" in reason(place)
    digest = json.loads((place / "model.onnx.sig").read_text())["sha256"]
    memory.remember_ran(place / "state", [digest], MADE)
    assert check(place / "g.yaml") == []
    before = datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)
    sig = (place / "model.onnx.sig").read_bytes()
    (place / "state" / "models" / "ran.json").unlink()
    assert judging.judged(GOOD, sig, place / "state", before).startswith("signed by own")


def test_the_own_key_is_for_its_owner_only(place):
    keys.own(place / "state")
    assert (place / "state" / "models" / "own.key").stat().st_mode & 0o077 == 0


def test_the_daemon_runs_on_with_the_model_absent_and_says_why(place):
    put(place, b"junk")
    made = plan(load(place / "g.yaml", lenient=True))
    asset = made.assets[0]
    assert asset.models == ()
    assert "not an ONNX file" in asset.absent["detector"]
    row = [p.id for p in asset.points].index("p/state/detector.absent")
    assert asset.texts[row] == asset.absent["detector"]


def test_the_model_is_not_tried_again_where_it_was_tried_before(place, monkeypatch):
    put(place, GOOD)
    assert check(place / "g.yaml") == []

    def again(*_):
        raise AssertionError("tried again")

    monkeypatch.setattr(trial, "_try", again)
    assert check(place / "g.yaml") == []
    other = file(says=models.about(limit=2.0).props())
    put(place, other)
    with pytest.raises(AssertionError, match="tried again"):
        check(place / "g.yaml")


CRASHING = """
import os, signal
os.kill(os.getpid(), signal.SIGILL)
"""


def test_where_importing_onnxruntime_is_an_illegal_instruction_numpy_runs_the_file(place):
    """As a wheel did on a Raspberry Pi 4: said by a package of that name that does the same."""
    put(place, GOOD)
    (place / "path" / "onnxruntime").mkdir(parents=True)
    (place / "path" / "onnxruntime" / "__init__.py").write_text(CRASHING)
    code = (
        "from agent.config.load import load\n"
        "from agent.config.plan import plan\n"
        f"asset = plan(load({str(place / 'g.yaml')!r}, lenient=True)).assets[0]\n"
        "print(asset.models[0].params.session.by)\n"
        "print([t for t in asset.texts.values() if 'numpy' in t])\n"
    )
    for _ in range(2):
        environment = {**os.environ, "PYTHONPATH": str(place / "path")}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "numpy (importing onnxruntime here ended by SIGILL)" in done.stdout.splitlines()[1]
