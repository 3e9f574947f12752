"""How much the whole daemon writes to its disk: 100 tags each second, in real time.

    python tests/bench/store/flash.py                      10 minutes of each of the two
    python tests/bench/store/flash.py --minutes 60 --only rig
    python tests/bench/store/flash.py --keep /tmp/flash    the journals stay there

plain: 50 walks of 16 bit and 50 noisy floats, no model. rig: the rig of configs/two-tank.yaml, and 82 of such tags.

Counted is what the kernel says the process had written (`write_bytes` of /proc/self/io: pages it made dirty), from a
minute and a half after its start (tables, the first checkpoint) on, and the pages of SQLite's log that are still to
be folded into the database at the end. Nothing is left out: raw history, summaries of 60 s to a mosquitto and its
acknowledgements, events, checkpoints, the gateway's own 30 to 60 meters. What models give (77 values a second of the
rig) is not counted as samples. Goal: at most 20 bytes for each raw sample of the machines' tags, 0.5 GB a day in all.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1]))

import psutil
from live import Live, tool
from peer_edgetwin import tag_list
from peer_machines import machines
from peers import free_port
from ruamel.yaml import YAML

from agent.core import wire
from agent.core.nouns import Tick
from agent.store.read import Reader

PAGE, WARM_S = 4096, 90.0
GOAL_SAMPLE, GOAL_DAY = 20.0, 0.5e9
ROOT = Path(__file__).parents[3]
SUMMARY_S = 60


def broker(stack, folder):
    """A mosquitto on a free port that keeps nothing."""
    port = free_port()
    (folder / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    command = [tool("mosquitto"), "-c", str(folder / "mosquitto.conf")]
    with (folder / "mosquitto.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    stack.callback(process.wait, 10)
    stack.callback(process.terminate)
    return port


def plain(folder, machine, port, words, floats):
    """A configuration: one machine of so many tags, no model."""
    (folder / "tags.csv").write_text(tag_list(words, floats))
    asset = {"id": "m0", "class": "machine@1", "sources": {"plc": "m0-plc"}}
    return {
        "gateway": {"id": "flash"},
        "state_dir": str(folder / "state"),
        "classes": {
            "machine@1": {
                "tags": str(folder / "tags.csv"), "sources": ["plc"], "modes": {"always": "running"},
                "summary_s": SUMMARY_S,
            }
        },
        "assets": [asset],
        "sources": [{"id": "m0-plc", "type": "modbus", "host": "127.0.0.1", "port": machine.port}],
        "sinks": [{"type": "mqtt", "host": "127.0.0.1", "port": port}],
    }  # fmt: skip


def with_rig(folder, machine, port, words, floats, live):
    """The same with the two-tank rig beside it: its twin and its detector."""
    tree = plain(folder, machine, port, words, floats)
    rig = YAML(typ="safe").load(ROOT / "configs" / "two-tank.yaml")
    for tank in rig["classes"].values():
        tank["tags"], tank["summary_s"] = str(ROOT / "configs" / tank["tags"]), SUMMARY_S
        for model in tank["models"]:
            model["file"] = str(ROOT / "configs" / model["file"])
    tree["classes"] |= rig["classes"]
    tree["assets"] += rig["assets"]
    rig["sources"][0]["port"] = live.ports.modbus
    rig["sources"][1]["endpoint"] = f"opc.tcp://127.0.0.1:{live.ports.plc_opcua}"
    tree["sources"] += rig["sources"]
    return tree


def run(folder, tree, seconds):
    """(seconds that were counted, bytes written in them) of a daemon."""
    with (folder / "edgetwin.yaml").open("w") as file:
        YAML(typ="safe").dump(tree, file)
    command = [sys.executable, "-B", "-m", "agent.cli", "run", str(folder / "edgetwin.yaml")]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    try:
        time.sleep(WARM_S)
        before, started = psutil.Process(process.pid).io_counters().write_bytes, time.monotonic()
        folded = unfolded(folder / "state" / "journal.db-wal")
        time.sleep(seconds)
        written = psutil.Process(process.pid).io_counters().write_bytes - before
        written += unfolded(folder / "state" / "journal.db-wal") - folded
        return time.monotonic() - started, written
    finally:
        process.send_signal(signal.SIGTERM)
        if process.wait(30) != 0:
            print(f"the daemon ended with {process.returncode}: {(folder / 'log').read_text()[-500:]}")


def unfolded(log):
    """Bytes that folding SQLite's log into the database will write: each page that is in it once."""
    whole = log.read_bytes() if log.exists() else b""
    salt, pages = whole[16:24], set()
    for at in range(32, len(whole), 24 + PAGE):
        if whole[at + 8 : at + 16] != salt:
            break  # of a round before this one
        pages.add(whole[at : at + 4])
    return len(pages) * PAGE


def _samples(reader, asset):
    """Raw samples of an asset's tags in the journal."""
    ticks = (wire.decode(Tick, message.body) for message in reader.messages(asset))
    return sum(len(batch.tag) for tick in ticks for batch in tick.batches)


def tell(name, folder, assets, ran, written):
    """Print one row of the table, and what is in the journal."""
    reader = Reader.open(folder / "state" / "journal.db")
    whole = sum(_samples(reader, asset) for asset in assets)
    samples = whole * ran / (ran + WARM_S)
    day = written / ran * 86_400
    met = "met" if written / samples <= GOAL_SAMPLE and day <= GOAL_DAY else "NOT met"
    print(
        f"{name}: {ran:.0f} s, {samples:.0f} samples, {written / 1e6:.2f} MB written: "
        f"{written / samples:.1f} B/sample, {day / 1e6:.0f} MB/day  {met}"
    )
    rows = reader.db.execute("SELECT class, kind, asset, count(*), sum(length(body)) FROM record GROUP BY 1, 2, 3")
    for class_, kind, asset, count, size in rows.fetchall():
        told = f"{count:6} records {size / 1e3:9.1f} kB {size / whole:6.2f} B/sample"
        print(f"    {class_:<10} {kind:<10} {asset:<8} {told}")
    reader.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", default="plain,rig", help="plain, rig")
    parser.add_argument("--keep", type=Path, default=None, help="leave the journals in this folder")
    asked = parser.parse_args()
    print(f"goal: at most {GOAL_SAMPLE:g} bytes written for each raw sample, {GOAL_DAY / 1e9:g} GB a day in all")
    with ExitStack() as stack:
        place = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in asked.only.split(","):
            folder = place / name
            folder.mkdir(parents=True)
            (machine,) = stack.enter_context(machines(1, words=50, floats=50))
            port = broker(stack, folder)
            if name == "plain":
                title, assets, tree = "100 tags, no model", ["m0"], plain(folder, machine, port, 50, 50)
            else:
                live = Live(folder / "live")
                stack.callback(live.stop)
                live.start("plant", "plc1", "plc2")
                title, assets = "the rig (twin, detector) and 82 tags", ["m0", "rig"]
                tree = with_rig(folder, machine, port, 41, 41, live)
            tell(title, folder, assets, *run(folder, tree, asked.minutes * 60))


if __name__ == "__main__":
    main()
