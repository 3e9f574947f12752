"""Every command of README.md is run, in the order in which it stands there, on a rig that lives beside it."""

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from contextlib import ExitStack

import numpy as np
import psycopg
import pytest
from live import ROOT, Process, edgetwin, living, until
from postgres_rig import Postgres
from test_fleet_live import TYPED

README = (ROOT / "README.md").read_text()
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line.strip()
]
CONFIG = "configs/two-tank.yaml"

pytestmark = pytest.mark.timeout(480)


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readme")
    with ExitStack() as until_the_end, living(folder, "plant", "plc1", "plc2", "broker", "agent") as rig:
        until(rig.status, 20)
        rig.until_the_end, rig.database = until_the_end, None
        yield rig


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("recording") / "healthy.csv"
    command = [sys.executable, "-m", "hil.record", "--out", path, "--hours", "0.3", "--seed", "7", "--reference"]
    subprocess.run(command, check=True, cwd=ROOT)
    return path


def on_a_terminal(command, until_shown, seconds):
    """Run a command on a pseudo-terminal until it shows something, then press q: (exit code, what it showed)."""
    parent, child = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "150", "LINES": "50"}
    process = subprocess.Popen(
        command, stdin=child, stdout=child, stderr=child, cwd=ROOT, env=environment, start_new_session=True
    )
    os.close(child)
    shown, end, asked = "", time.monotonic() + seconds, False
    try:
        while time.monotonic() < end:
            if select.select([parent], [], [], 0.2)[0]:
                try:
                    shown += os.read(parent, 65536).decode(errors="replace")
                except OSError:
                    break
            if not asked and until_shown in shown:
                asked = True
                os.write(parent, b"q")
        return process.wait(20), shown
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        os.close(parent)


def test_make_demo_and_watch_show_the_machine_running(live, tmp_path):
    watch = [sys.executable, "-m", "agent.cli", "watch", "--socket", str(live.rig.feed)]
    code, shown = on_a_terminal(watch, "RUNNING", 60)
    assert code == 0
    assert "lower/level" in shown
    demo = [sys.executable, "-m", "agent.cli", "demo", "--ports", "free"]
    code, shown = on_a_terminal(demo, "RUNNING", 90)
    assert code == 0, shown[-2000:]
    assert "UaExpert" in shown
    assert "sensor drift" in shown


def at_the_rig(live, words):
    """The same command for the rig of this test: its state directory and ports."""
    return [*words, "--state-dir", live.state_dir] if CONFIG in words else words


def fitted(words, recording, folder):
    """The twin lies beside the recording: later commands use it."""
    files = {
        "healthy.csv": recording,
        "twin.json": recording.parent / "twin.json",
        "detector.onnx": recording.parent / "detector.onnx",
        "scores.csv": folder / "scores.csv",
    }
    return [str(files.get(w, w)) for w in words]


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, live, recording, tmp_path):
    words = shlex.split(command)
    if words[0] == "make":
        # The recipe is read here and run elsewhere: `make test` is what runs this, `make demo` is run above.
        done = subprocess.run(["make", "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return
    assert words[0] == "edgetwin", f"no test knows how to run {command}"
    words = words[1:]
    verb = " ".join(words[:2]) if words[0] in ("fit", "config", "users", "model") else words[0]
    RUNS.get(verb, plainly)(words, live, recording, tmp_path)


def plainly(words, live, recording, folder):
    done = edgetwin(*at_the_rig(live, words), timeout_s=420)
    assert done.returncode == 0, done.stderr + done.stdout


def the_demo(words, live, recording, folder):
    at = words.index("--for") + 1
    assert int(words[at]) >= 90, "the leak opens after a minute"
    done = edgetwin(*words, "--ports", "free", timeout_s=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"ok": true' in done.stdout


def a_second_daemon(words, live, recording, folder):
    done = edgetwin(*at_the_rig(live, words))
    assert "another edgetwin runs" in done.stderr  # the first, of this rig, was started by this very command


def the_view(words, live, recording, folder):
    code, shown = on_a_terminal(
        [sys.executable, "-m", "agent.cli", *map(str, at_the_rig(live, words))], "upper/level", 30
    )
    assert code == 0, shown


def the_status(words, live, recording, folder):
    done = edgetwin(*at_the_rig(live, words))
    assert done.returncode in (0, 1), done.stderr
    assert "asset rig" in done.stdout


def a_fit(words, live, recording, folder):
    done = edgetwin(*fitted(words, recording, folder), timeout_s=420)
    assert done.returncode == 0, done.stderr


def with_the_twin(words, live, recording, folder):
    """A command on the twin that the README's own command makes of the recording."""
    if not (recording.parent / "twin.json").exists():
        a_fit(next(shlex.split(c)[1:] for c in COMMANDS if c.startswith("edgetwin fit twin")), live, recording, folder)
    made = {name: folder / name for name in ("simulated.csv", "whatif.html")}
    done = edgetwin(*[made.get(w, w) for w in fitted(words, recording, folder)], timeout_s=420)
    assert done.returncode == 0, done.stderr
    for name in made.keys() & set(words):
        assert made[name].stat().st_size > 0


def with_the_detector(words, live, recording, folder):
    """A command on the detector that the README's own command makes of the recording."""
    if not (recording.parent / "detector.onnx").exists():
        made = next(shlex.split(c)[1:] for c in COMMANDS if c.startswith("edgetwin fit detector"))
        a_fit(made, live, recording, folder)
    a_fit(words, live, recording, folder)
    assert (folder / "scores.csv").read_text().startswith("time,score,limit,alarm,pump/speed.contribution")


def lives(words, live, recording, folder):
    """Fitted once to made-up machines, beside the recording; what it predicts is written there too."""
    beside = recording.parent
    runs, made = beside / "runs.csv", beside / "rul.onnx"
    if not runs.exists():
        write_runs(runs)
    if words[0] == "model" and not made.exists():
        lives(next(shlex.split(c)[1:] for c in COMMANDS if c.startswith("edgetwin fit rul")), live, recording, folder)
    done = edgetwin(*[beside / w if w in ("runs.csv", "rul.onnx", "rul.csv") else w for w in words], timeout_s=420)
    assert done.returncode == 0, done.stderr
    assert words[0] == "fit" or (beside / "rul.csv").read_text().startswith("unit,time,p5,p50,p95")


def write_runs(path):
    """30 machines that wear until they fail, seen by three sensors."""
    draw = np.random.default_rng(1)
    lines = ["unit,cycle,vibration,temperature,flow"]
    for unit in range(30):
        life = int(draw.integers(60, 140))
        for cycle in range(1, life + 1):
            wear = (cycle / life) ** 2
            row = (1.0 + wear, 40.0 + 8.0 * wear, 10.0 - 2.0 * wear) + 0.05 * draw.normal(size=3)
            lines.append(f"{unit},{cycle}," + ",".join(f"{x:.4f}" for x in row))
    path.write_text("\n".join(lines) + "\n")


def closing_a_case(words, live, recording, folder):
    until(lambda: live.point("rig/lower/level.deviation")[1] == "Good", 60)
    live.order(do="leak")
    case = until(lambda: live.status()["assets"][0]["case"], 60)
    done = edgetwin(*at_the_rig(live, [case["id"] if w == "CASE" else w for w in words]))
    live.order(do="repair")
    assert done.returncode == 0, done.stderr


def of_the_journal(words, live, recording, folder):
    swapped = [str(folder / w) if w == "rig.csv" else w for w in at_the_rig(live, words)]
    until(lambda: (live.state_dir / "journal.db").exists(), 30)
    done = edgetwin(*swapped)
    nothing_yet = "rig.csv: 0 rows" in done.stderr  # raw history is written each minute
    assert done.returncode == 0 or nothing_yet, done.stderr + done.stdout
    if "rig.csv" in words and not nothing_yet:
        assert (folder / "rig.csv").read_text().startswith("time,")


def receiving(words, live, recording, folder):
    """What this rig sends to its broker arrives in a database of our own; the commands after it look there."""
    url, broker = database(live), f"mqtt://127.0.0.1:{live.ports.broker}"
    swapped = [{"mqtt://127.0.0.1": broker, "postgresql:///plant": url}.get(w, w) for w in words]
    if words[1] == "gaps":
        if not received(url):
            receiving(["ingest", "--broker", broker, "--database", url], live, recording, folder)
        done = edgetwin(*swapped)
        assert done.returncode in (0, 1), done.stderr  # 1: what was sent before the receiver came is missing
        return
    process = Process("ingest", (sys.executable, "-m", "agent.cli", *swapped), folder / "ingest.log").start()
    try:
        until(lambda: received(url), 90)
    finally:
        code = process.stop()
    assert code == 0, process.text()


def database(live):
    """A PostgreSQL that lives as long as the rig."""
    if live.database is None:
        live.database = live.until_the_end.enter_context(Postgres())
    return live.database.url()


def received(url):
    """How many summaries are in the tables."""
    try:
        with psycopg.connect(url) as db:
            return db.execute("SELECT count(*) FROM edgetwin.summary").fetchone()[0]
    except psycopg.Error:
        return 0


def at_the_machine(words, live, recording, folder):
    done = edgetwin(*at_the_rig(live, words), *its_ports(live))
    assert done.returncode == 0, done.stderr + done.stdout


def its_ports(live):
    """What the configuration says of its PLCs is true on the usual ports; this rig has others."""
    second = f"sources.plc2.endpoint=opc.tcp://127.0.0.1:{live.ports.plc_opcua}"
    return ["--set", f"sources.plc1.port={live.ports.modbus}", "--set", second]


def a_recording(words, live, recording, folder):
    swapped = [str(folder / w) if w == "bus.trace" else w for w in words]
    at_the_machine(swapped, live, recording, folder)
    assert (folder / "bus.trace").exists()


def a_user(words, live, recording, folder):
    (folder / "password").write_text("a long password\n")
    swapped = [str(folder / w) if w == "users" and i > 1 else w for i, w in enumerate(words)]
    done = edgetwin(*swapped, "--password-file", folder / "password")
    assert done.returncode == 0, done.stderr


def typed_with_a_fleet(words, live, recording, folder):
    assert shlex.join(["edgetwin", *words]) in [shlex.join(shlex.split(command)) for command in TYPED]


RUNS = {
    "fleet": typed_with_a_fleet,  # test_fleet_live.py types them at a gateway of a fleet
    "demo": the_demo,
    "run": a_second_daemon,
    "watch": the_view,
    "status": the_status,
    "fit twin": a_fit,
    "fit detector": a_fit,
    "fit rul": lives,
    "fit loop": with_the_twin,
    "model score": with_the_detector,
    "model predict": lives,
    "model show": with_the_twin,
    "model simulate": with_the_twin,
    "whatif": with_the_twin,
    "close": closing_a_case,
    "probe": at_the_machine,
    "browse": at_the_machine,
    "trace": a_recording,
    "users add": a_user,
    "store": of_the_journal,
    "ingest": receiving,
}


def test_the_first_configuration_in_the_readme_is_the_one_we_ship():
    shown = re.search(r"```yaml\n(.*?)```", README, re.DOTALL).group(1)
    assert shown.strip() == (ROOT / "configs" / "minimal.yaml").read_text().strip()
