"""`edgetwin model sign, verify, trust, distrust, keys`, as somebody types them; and what ships is known by its hash."""

import hashlib
import json
import shutil

import pytest
from live import ROOT, edgetwin

from agent.runtime.admission import judging

SHIPPED = ROOT / "configs" / "models"


@pytest.fixture
def model(tmp_path):
    """A detector that does not ship with the package."""
    from onnx import ModelProto

    made = ModelProto.FromString((SHIPPED / "two-tank.detector.onnx").read_bytes())
    made.doc_string = "another"
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    return tmp_path / "m.onnx"


def test_every_onnx_file_that_ships_is_known_by_its_hash():
    """Not so after a new fit? configs/models/make.sh writes the hashes."""
    for path in SHIPPED.glob("*.onnx"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in judging.shipped(), path


def test_sign_verify_trust_and_distrust(model, tmp_path):
    maker, here = ("--state-dir", tmp_path / "maker"), ("--state-dir", tmp_path / "here")
    done = edgetwin("model", "verify", model, *here)
    assert done.returncode == 1
    assert f"it is not signed; if it is yours: edgetwin model sign {model}" in done.stderr
    assert edgetwin("model", "sign", model, "--expires", "2099-01-01", *maker).returncode == 0
    assert json.loads(model.with_name("m.onnx.sig").read_text())["expires"] == "2099-01-01T00:00:00Z"
    assert "which is not trusted here" in edgetwin("model", "verify", model, *here).stderr
    public = tmp_path / "maker" / "models" / "own.pub"
    assert edgetwin("model", "trust", public, "--name", "maker", *here).returncode == 0
    done = edgetwin("model", "verify", model, *here)
    assert done.returncode == 0, done.stderr
    assert "signed by maker" in done.stdout
    assert "by onnxruntime 1." in done.stdout
    known = json.loads(edgetwin("model", "keys", "--json", *here).stdout)
    assert [row["name"] for row in known if "here" in row["file"]] == ["maker"]
    assert "PRIVATE" not in json.dumps(known)
    assert edgetwin("model", "distrust", "maker", *here).returncode == 0
    assert edgetwin("model", "verify", model, *here).returncode == 1


def test_the_own_key_signs_and_what_ships_needs_no_signature(model, tmp_path):
    here = ("--state-dir", tmp_path / "here")
    assert edgetwin("model", "sign", model, *here).returncode == 0
    assert "signed by own" in edgetwin("model", "verify", model, *here).stdout
    shutil.copy(SHIPPED / "two-tank.detector.onnx", tmp_path / "shipped.onnx")
    assert "ships with edgetwin" in edgetwin("model", "verify", tmp_path / "shipped.onnx", *here).stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("sign", "nowhere.onnx"), "nowhere.onnx: no such file"),
        (("sign", "README.md", "--key", "README.md"), "no ed25519 private key"),
        (("sign", "README.md", "--expires", "soon"), "expected a day as 2027-01-31"),
        (("trust", "README.md"), "no ed25519 public key"),
        (("trust", "nowhere.pub"), "No such file"),
        (("distrust", "nobody"), "is no name and no id of a trusted key"),
    ],
)
def test_what_cannot_be_done_is_one_line(words, says, tmp_path):
    done = edgetwin("model", *words, "--state-dir", tmp_path)
    assert done.returncode in (1, 2)
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
