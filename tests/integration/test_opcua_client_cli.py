"""`edgetwin certs` on a configuration, without a daemon."""

import json
from pathlib import Path

import pytest
from opcua_pki import certificate, der, pem
from typer.testing import CliRunner

from agent.cli.commands import app
from agent.runtime.pki import certificates

PLC = certificate()
CONFIG = str(Path(__file__).parents[2] / "configs" / "two-tank.yaml")


@pytest.fixture
def certs(tmp_path):
    """Runs a command with the state in a folder of this test; gives its output."""

    def run(*arguments, fails=False):
        done = CliRunner().invoke(app, ["certs", *arguments, "--state-dir", str(tmp_path / "state")])
        assert (done.exit_code != 0) is fails, done.output
        return done.output

    return run


def listed(certs):
    return [(row["store"], row["sha256"]) for row in json.loads(certs("list", CONFIG, "--json"))]


def test_ours_is_made_shown_and_renewed_under_its_uri(certs):
    assert "no certificates yet" in certs("list", CONFIG)
    shown = json.loads(certs("show", CONFIG, "plc2", "--json"))
    assert shown["uri"].startswith("urn:")
    assert Path(shown["key"]).stat().st_mode & 0o777 == 0o600
    assert json.loads(certs("show", CONFIG, "plc2", "--json")) == shown
    assert shown["uri"] in certs("renew", CONFIG)
    renewed = json.loads(certs("show", CONFIG, "plc2", "--json"))
    assert (renewed["uri"], renewed["file"]) == (shown["uri"], shown["file"])
    assert renewed["sha256"] != shown["sha256"]


def test_a_server_is_trusted_and_rejected_by_file_and_by_fingerprint(certs, tmp_path):
    (tmp_path / "plc.crt").write_bytes(pem(PLC))
    print_of = certificates.sha256(PLC)
    assert "trusted: " in certs("trust", str(tmp_path / "plc.crt"), CONFIG)
    assert listed(certs) == [("trusted", print_of)]
    assert "rejected: " in certs("reject", certificates.sha1(PLC), CONFIG)
    assert listed(certs) == [("rejected", print_of)]
    certs("trust", f"SHA256:{print_of.upper()}", CONFIG, "--source", "plc2")
    assert listed(certs) == [("trusted", print_of)]
    certs("trust", print_of, CONFIG, "--issuer")
    assert listed(certs) == [("issuer", print_of)]
    assert "plc" in certs("list", CONFIG)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("trust", "no-such-file.der", CONFIG), "no such file"),
        (("trust", "0" * 64, CONFIG), "no certificate with the fingerprint"),
        (("show", CONFIG, "plc9"), "it has plc2"),
        (("list", CONFIG, "--source", "plc1"), "it has plc2"),
    ],
)
def test_what_cannot_be_done_is_told(certs, arguments, says):
    assert says in certs(*arguments, fails=True)


def test_a_file_that_is_no_certificate_is_told(certs, tmp_path):
    (tmp_path / "notes.txt").write_bytes(der(PLC)[:50])
    assert "notes.txt" in certs("trust", str(tmp_path / "notes.txt"), CONFIG, fails=True)
