"""The demonstration rig for tests, on free ports: real processes, driven from the command line as a user would."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.cli.demo import rig as rigs
from agent.core import quality
from agent.core.nouns import Catalogue
from agent.runtime import clock
from agent.sinks.feed.client import connect

ROOT = Path(__file__).parent.parent
PATHS = os.environ["PATH"] + ":/usr/sbin"


def tool(name):
    """A program of the system, or None."""
    return shutil.which(name, path=PATHS)


def edgetwin(*arguments, timeout_s=60):
    """Run the command as a user would."""
    command = [sys.executable, "-m", "agent.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT, check=False)


def until(what, seconds, every_s=0.2):
    """Wait until `what()` is true and give its value; fails with its last value after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {what.__name__ if hasattr(what, '__name__') else what}"
        time.sleep(every_s)


def listens(port):
    """Whether somebody listens on a port of loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass
class Process:
    """One child with its log; SIGTERM at the end, whatever happened."""

    name: str
    arguments: tuple
    log: Path
    popen: subprocess.Popen | None = field(default=None)

    def start(self, *more):
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [*self.arguments, *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT
            )
        return self

    def kill(self):
        self.popen.kill()
        self.popen.wait(10)

    def stop(self):
        if self.popen is None:
            return 0
        if self.popen.poll() is None:
            self.popen.terminate()
        return self.popen.wait(20)

    def text(self):
        return self.log.read_text(errors="replace")


class Live:
    """The rig: plant, two PLCs, mosquitto (or our own broker) and the daemon."""

    def __init__(self, folder):
        self.rig = rigs.built(folder, rigs.ports("free"))
        self.ports = self.rig.ports
        self.state_dir = folder / "state"
        self.processes = {}
        for name, child in self.rig.children.items():
            self.processes[name] = Process(name, (sys.executable, "-m", *child.arguments), child.log)
        if tool("mosquitto"):
            config = folder / "mosquitto.conf"
            config.write_text(
                f"listener {self.ports.broker} 127.0.0.1\nallow_anonymous true\npersistence false\n"
                f"user {'mosquitto' if os.getuid() == 0 else ''}\n"
            )
            self.processes["broker"].arguments = (tool("mosquitto"), "-c", str(config))

    def start(self, *names):
        for name in names:
            self.processes[name].start()
            if name == "broker":
                until(lambda: listens(self.ports.broker), 10)
            if name in ("plant", "plc1", "plc2"):
                until(lambda n=name: "ready" in self.processes[n].text(), 20)
        return self

    def stop(self):
        for name in reversed(list(self.processes)):
            self.processes[name].stop()

    def status(self):
        """The daemon's status as a tree, None while it does not answer."""
        done = edgetwin("status", "--socket", self.rig.feed, "--json")
        return json.loads(done.stdout) if done.returncode in (0, 1) and done.stdout else None

    def point(self, name):
        """(value, status) of a point such as rig/lower/level or gateway/plc1/age_s."""
        tree = self.status()
        asset, _, rest = name.partition("/")
        points = tree["meters"] if asset == "gateway" else next(a["points"] for a in tree["assets"] if a["id"] == asset)
        return points[rest]["value"], points[rest]["status"]

    def seconds_until(self, name, status, seconds=10.0):
        """How long after now the daemon itself says that a point's status begins with `status`, by its own clock."""
        return asyncio.run(self._seconds_until(name, status, seconds))

    async def _seconds_until(self, name, status, seconds):
        since_ns, asset = clock.now_ns(), name.partition("/")[0]
        async with asyncio.timeout(seconds), connect(self.rig.feed) as feed:
            row = None
            async for noun in feed:
                if isinstance(noun, Catalogue):
                    row = [p.id for p in noun.of(asset)].index(name)
                    continue
                is_new = noun.asset == asset and noun.t_ns > since_ns
                if is_new and quality.name(int(noun.status[row])).startswith(status):
                    return (noun.t_ns - since_ns) * 1e-9
        raise AssertionError(f"the feed ended before {name} was {status}")

    def order(self, **order):
        """Tell the plant something over its control socket."""
        return asyncio.run(rigs.tell_plant(self.rig.control, order))


@contextmanager
def living(folder, *names):
    """A live rig of the named processes; all of them are stopped at the end."""
    live = Live(folder)
    try:
        yield live.start(*names)
    finally:
        live.stop()
