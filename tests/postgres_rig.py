"""A PostgreSQL of our own on a free port, killed and started at will (Debian package postgresql; skipped without it).

PostgreSQL refuses to run as root: there it runs as nobody, in a folder that nobody owns.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

import psutil
import psycopg
import pytest
from mqtt_rig import free_port

NUMBERS = count(1)


def program(name):
    """The newest program of that name that is installed; the test skips where there is none."""
    found = [shutil.which(name), *sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), reverse=True)]
    newest = next((path for path in found if path), None)
    if newest is None:
        pytest.skip(f"{name} is not installed (Debian package postgresql)")
    return newest


def without_root():
    """Options of a child process that must not be root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}


def lives(process):
    """Whether it runs; one that nobody has waited for does not."""
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


class Postgres:
    """Its folder is short (a socket's path is) and its own: not that of a test, which nobody may not enter."""

    def __init__(self, *settings):
        self.server, initdb = program("postgres"), program("initdb")
        self.folder = Path(tempfile.mkdtemp(prefix="edgetwin-pg-"))
        self.port = free_port()
        self.process = None
        self.settings = settings
        if os.getuid() == 0:
            shutil.chown(self.folder, "nobody", "nogroup")
        command = [
            initdb,
            "-D",
            self.folder / "data",
            "-U",
            "edgetwin",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "-N",
        ]
        made = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **without_root())
        assert made.returncode == 0, made.stderr

    def url(self, database="postgres"):
        return f"postgresql://edgetwin@127.0.0.1:{self.port}/{database}"

    def start(self):
        """Started, perhaps not ready yet: that is what a client must bear."""
        options = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder,
                   "shared_buffers": "16MB", "max_connections": 20, "autovacuum_naptime": 10}  # fmt: skip
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        arguments += [part for setting in self.settings for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([self.server, "-D", self.folder / "data", *arguments], stdout=log,
                                            stderr=log, cwd="/", **without_root())  # fmt: skip

    def wait(self, seconds=20):
        """Until it answers."""
        end = time.monotonic() + seconds
        while True:
            try:
                psycopg.connect(self.url()).close()
                return
            except psycopg.OperationalError:
                log = (self.folder / "log").read_text()
                assert self.process.poll() is None, log
                assert time.monotonic() < end, log
                time.sleep(0.03)

    def new_database(self):
        """The URL of an empty database."""
        name = f"test{next(NUMBERS)}"
        with psycopg.connect(self.url(), autocommit=True) as db:
            db.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def kill(self, how=signal.SIGKILL):
        """kill -9 of the server. Its children see that and end, mostly; until then no other can be started."""
        if self.process is not None:
            children = psutil.Process(self.process.pid).children(recursive=True)
            self.process.send_signal(how)
            self.process.wait(20)
            self.process = None
            end = time.monotonic() + 3
            while (left := [child for child in children if lives(child)]) and time.monotonic() < end:
                time.sleep(0.02)
            for child in left:
                child.kill()

    def __enter__(self):
        self.start()
        self.wait()
        return self

    def __exit__(self, *error):
        self.kill(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)
