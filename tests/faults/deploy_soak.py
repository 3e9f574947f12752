"""Versions sent one after another to a real daemon while it is killed at random moments (rows 4, 30, 35).

    python tests/faults/deploy_soak.py [--kills 10] [--seed 1] [--longest 6]

mosquitto, a supervisor that starts the daemon again (as systemd does), and a sender that always publishes the next
version: good ones, one in four that cuts the cloud off, one in four that `edgetwin check` refuses. After every kill the
next start must come up with a version that had been offered and is whole. Prints what was found as JSON.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fleet_rig import CSV, YAML, bundle, place
from live import ROOT, listens, tool, until
from mqtt_rig import free_port

from agent.control.deploy import manifest as manifests

TOPIC = "edgetwin/hall-2"


class Soak:
    def __init__(self, folder, seed):
        self.folder, self.port, self.random = folder, free_port(), random.Random(seed)
        self.place = place(folder)
        self.yaml = YAML.replace("PORT", str(self.port))
        self.place.local.write_text(self.yaml.replace("gateway:", "state_dir: state\ngateway:", 1))
        (folder / "mosquitto.conf").write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n")
        self.log = (folder / "daemon.log").open("ab")
        self.version, self.ends = 0, Counter()

    def start(self):
        command = [sys.executable, "-m", "agent.cli", "run", self.place.local]
        self.daemon = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=ROOT)

    def text(self):
        return (self.folder / "daemon.log").read_text(errors="replace")

    def send(self, kind=""):
        self.version += 1
        kind = kind or ("good" if self.version == 1 else self.random.choice(["good", "good", "cut off", "wrong"]))
        yaml = {
            "good": self.yaml,
            "cut off": self.yaml.partition("sinks:")[0].replace("confirm_s: 8", "confirm_s: 3"),
            "wrong": self.yaml + "more: 1\n",
        }[kind]
        made = bundle(self.version, {"edgetwin.yaml": yaml, "tags.csv": f"{CSV}a,t{self.version},input:1,uint16\n"})
        path = self.folder / "message"
        path.write_bytes(manifests.packed(made))
        command = [tool("mosquitto_pub"), "-p", str(self.port), "-t", f"{TOPIC}/desired", "-q", "1", "-r", "-f", path]
        subprocess.run(command, check=True)
        self.ends[f"sent: {kind}"] += 1

    def report(self):
        return self.place.shelf.report() or {}

    def ended(self):
        """The state of the newest version, once it is an end."""
        now = self.report()
        return now.get("desired") == self.version and now["state"] in ("confirmed", "refused", "rolled_back") and now

    def kill(self):
        ups = self.text().count("agent.app: running")
        os.kill(self.daemon.pid, signal.SIGKILL)
        self.daemon.wait()
        state = self.place.shelf.state()
        self.ends[f"killed while {state.state}"] += 1
        self.start()
        if self.random.random() < 0.25:  # the next kill may come before it is up
            self.ends["killed while starting, perhaps"] += 1
            return
        until(lambda: self.text().count("agent.app: running") > ups, 60, 0.05)
        now = self.place.shelf.state()
        assert not now.in_force or self.place.shelf.configuration(now.in_force).exists()
        assert "Traceback" not in self.text(), self.text()[-3000:]

    def crash_loop(self):
        """A good version, killed at each of its starts before it can be confirmed; how many there were, and the end."""
        self.send("good")
        good, starts = self.place.shelf.state().running, 0
        until(lambda: self.place.shelf.state().trial, 60, 0.01)
        while (trial := self.place.shelf.state().trial) and starts < 10:
            log = self.text().count(f"{trial} is in force")
            until(lambda trial=trial, log=log: self.text().count(f"{trial} is in force") >= max(1, log), 60, 0.01)
            starts = self.text().count(f"{trial} is in force")
            self.kill()
        last = until(self.ended, 60)
        assert self.place.shelf.state().in_force == good
        return {"starts": starts, "end": last["state"], "reason": last["reason"]}

    def run(self, kills, longest_s):
        broker = subprocess.Popen([tool("mosquitto"), "-c", self.folder / "mosquitto.conf"], stderr=subprocess.DEVNULL)
        try:
            until(lambda: listens(self.port), 10, 0.05)
            self.start()
            self.send()
            for _ in range(kills):
                end = time.monotonic() + self.random.uniform(0.1, longest_s)
                while time.monotonic() < end:
                    if found := self.ended():
                        self.ends[f"end: {found['state']}"] += 1
                        self.send()
                    time.sleep(0.05)
                self.kill()
            last = until(self.ended, 90)
            self.ends[f"end: {last['state']}"] += 1
            loop = self.crash_loop()
            return {"kills": kills, "versions": self.version, **dict(sorted(self.ends.items())), "crash loop": loop}
        finally:
            for process in (self.daemon, broker):
                process.kill()
                process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--longest", type=float, default=6.0, help="Between two kills, in s.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        print(json.dumps(Soak(Path(scratch), asked.seed).run(asked.kills, asked.longest), indent=1))
