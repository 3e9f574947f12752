"""A gateway of a fleet for real: a daemon, a mosquitto, and the commands as people type them."""

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fleet_rig import CSV, YAML
from live import ROOT, Process, listens, tool, until
from mqtt_rig import free_port
from typer.testing import CliRunner

from agent.cli.commands import app

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(not tool("mosquitto_sub"), reason="needs mosquitto and mosquitto-clients"),
]
ABOUT = json.dumps({"about": "x" * 150_000})  # too large for one message: it goes in pieces


# As they stand in README.md; typed in the folder of the gateway, one after the other.
SENT = """\
edgetwin fleet key --out fleet.key
edgetwin fleet trust fleet.pub edgetwin.yaml
edgetwin fleet pack hall-2 --key fleet.key --for hall-2 --version 1 --out hall-2.bundle
edgetwin fleet send hall-2.bundle --broker 127.0.0.1
edgetwin fleet status edgetwin.yaml
""".splitlines()
OVERRIDDEN = """\
edgetwin fleet override edgetwin.yaml --reason "PLC replaced" --until 4h
edgetwin fleet override edgetwin.yaml --end
""".splitlines()
FROM_A_STICK = "edgetwin fleet apply stick edgetwin.yaml"
TYPED = (*SENT, *OVERRIDDEN, FROM_A_STICK)


def fleet(*arguments):
    """`edgetwin fleet ...` as people type it, without the time that a process takes to start."""
    return CliRunner().invoke(app, ["fleet", *map(str, arguments)])


class Gateway:
    """The machine's side: its folder, its daemon, its broker."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.file = self.write(".", YAML.replace("gateway:", "state_dir: state\ngateway:")) / "edgetwin.yaml"
        (folder / "mosquitto.conf").write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.broker = Process("broker", (tool("mosquitto"), "-c", folder / "mosquitto.conf"), folder / "broker.log")
        run = (sys.executable, "-m", "agent.cli", "run", self.file)
        self.daemon = Process("daemon", run, folder / "daemon.log")
        self.systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.systemd.bind(str(folder / "notify.sock"))
        self.systemd.setblocking(False)

    def write(self, name, yaml=YAML, csv=CSV, **files):
        """A folder with a configuration."""
        made = self.folder / name
        made.mkdir(exist_ok=True)
        for path, text in {"edgetwin.yaml": yaml, "tags.csv": csv, **files}.items():
            (made / path.replace("_", ".")).write_text(text.replace("PORT", str(self.port)))
        return made

    def pack(self, version, folder, *options):
        bundle = self.folder / "stick" / f"v{version}.bundle"
        bundle.parent.mkdir(exist_ok=True)
        done = fleet("pack", folder, "--key", self.folder / "fleet.key", "--for", "hall-2",
                        "--version", version, "--out", bundle, *options)  # fmt: skip
        assert done.exit_code == 0, done.stderr
        return bundle

    def start(self):
        """The daemon, told as systemd does where to say how it is."""
        os.environ["NOTIFY_SOCKET"] = str(self.folder / "notify.sock")
        self.daemon.start()
        del os.environ["NOTIFY_SOCKET"]

    def notified(self):
        """What systemd heard since it was last asked."""
        heard = []
        while True:
            try:
                heard.append(self.systemd.recv(200).decode())
            except BlockingIOError:
                return heard

    def type(self, command):
        """A command in the folder of the gateway; its broker has another port than the usual one."""
        before = Path.cwd()
        os.chdir(self.folder)
        try:
            words = [f"127.0.0.1:{self.port}" if word == "127.0.0.1" else word for word in shlex.split(command)]
            return fleet(*words[2:])
        finally:
            os.chdir(before)

    def retained(self, topic):
        """What a broker gives to whoever comes later, by topic."""
        done = subprocess.run(
            [tool("mosquitto_sub"), "-p", str(self.port), "-t", topic, "-F", "%t %p", "-W", "1", "--retained-only"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)

    def status(self):
        done = fleet("status", self.file, "--json")
        return done.exit_code, json.loads(done.stdout)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    made = Gateway(tmp_path_factory.mktemp("fleet"))
    try:
        made.broker.start()
        until(lambda: listens(made.port), 10, 0.02)
        made.start()
        until(lambda: "connected to" in made.daemon.text(), 20, 0.05)
        yield made
    finally:
        made.daemon.stop()
        made.broker.stop()
        made.systemd.close()


def test_a_version_is_sent_in_pieces_tried_confirmed_and_reported(gateway):
    gateway.write("hall-2", about_json=ABOUT)
    done = [gateway.type(command) for command in SENT]
    assert [each.exit_code for each in done] == [0] * len(SENT), done[-2].output + gateway.daemon.text()
    assert done[3].stdout.splitlines()[-1] == "confirmed"
    assert done[4].stdout.startswith("gateway hall-2: desired version 1, running version 1")
    code, said = gateway.status()
    assert (code, said["desired"], said["running"], said["drift"]) == (0, 1, 1, [])
    assert list(said["models"]) == ["about.json"]
    found = gateway.retained("edgetwin/hall-2/#")
    assert json.loads(found["edgetwin/hall-2/reported"]) == said
    assert not [topic for topic in found if "/file/" in topic], "pieces are taken back once they arrived"
    assert gateway.daemon.popen.poll() is None, "the same process: no supervisor was needed"
    assert gateway.notified() == ["READY=1", "RELOADING=1", "WATCHDOG=1", "READY=1"]


def test_a_local_change_is_drift_until_it_ends(gateway):
    begin, end = OVERRIDDEN
    assert gateway.type(begin).exit_code == 0
    again = gateway.type(begin)
    assert (again.exit_code, "overrides it already until" in again.stderr) == (1, True)
    code, said = gateway.status()
    assert (code, [each["reason"] for each in said["drift"]]) == (1, ["PLC replaced"])
    assert gateway.type(end).exit_code == 0
    until(lambda: gateway.status()[0] == 0, 10, 0.1)


def test_a_version_that_cuts_the_cloud_off_is_taken_back_and_the_cloud_is_told_why(gateway):
    cut_off = YAML.partition("sinks:")[0].replace("confirm_s: 8", "confirm_s: 2")
    bundle = gateway.pack(2, gateway.write("v2", cut_off, about_json=ABOUT))
    done = gateway.type(f"edgetwin fleet send {bundle} --broker 127.0.0.1 --wait 60")
    assert done.exit_code == 1, gateway.daemon.text()
    assert done.stdout.splitlines()[-1].endswith("not well within 2 s: cloud")
    code, said = gateway.status()
    assert (code, said["desired"], said["running"], said["state"]) == (1, 2, 1, "rolled_back")
    assert gateway.daemon.text().count("audit: fleet: v2-") >= 3


def test_what_a_stick_brings_is_checked_and_refused_with_the_line_that_is_wrong(gateway):
    wrong = gateway.write("v3", YAML, CSV.replace("input", "inptu"), about_json=ABOUT)
    gateway.pack(3, wrong, "--no-check")
    done = gateway.type(FROM_A_STICK)
    assert done.exit_code == 1
    assert "refused tags.csv:2:5: a/b: " in done.stdout, done.stdout + done.stderr
    other = gateway.folder / "other.yaml"
    other.write_text(gateway.file.read_text().replace("hall-2", "hall-3"))
    assert "has no bundle for gateway hall-3" in fleet("apply", gateway.folder / "stick", other).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pack", "absent", "--key", "k", "--for", "g", "--version", 1, "--out", "o"), "absent: expected a folder"),
        (("show", "absent"), "absent: No such file"),
        (("show", ROOT / "README.md"), "is no bundle as `edgetwin fleet pack` makes it"),
        (("status", ROOT / "configs" / "minimal.yaml"), "does not say managed: fleet"),
        (("send", ROOT / "README.md", "--broker", "h:1"), "is no bundle"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments, said):
    done = fleet(*arguments)
    assert done.exit_code in (1, 2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
