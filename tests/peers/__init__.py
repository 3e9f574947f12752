"""Peers of our drivers as processes of their own, so that a test can kill, freeze and restart them."""

import re
import shutil
import signal
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

HERE = Path(__file__).parent


def free_port():
    """A TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Peer:
    """A server process on a port of its own; `restart` gives it the same port again."""

    def __init__(self, command):
        self.command = command
        self.port = free_port()
        self._process = None

    def start(self):
        self._process = subprocess.Popen(
            [*self.command, str(self.port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        said = []
        for line in self._process.stdout:  # a library may say something of its own before
            if re.match(r"ready \d+", line):
                return self
            said.append(line)
        self.kill()
        return pytest.fail(f"{self.command} did not start: {said}")

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def freeze(self):
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()


@cache
def _compiled():
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (apt: gcc)")
    target = Path(mkdtemp(prefix="edgetwin-peer-")) / "modbus_server"
    done = subprocess.run(
        [compiler, "-O1", "-o", str(target), str(HERE / "modbus_server.c"), "-lmodbus"], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip("needs libmodbus (apt: libmodbus-dev)")
    return str(target)


def libmodbus():
    """The C server on libmodbus; skips the test where it cannot be compiled."""
    return Peer([_compiled()])


def opcua_server(*options):
    """The OPC UA server of this folder, on asyncua, with its options."""
    return Peer([sys.executable, "-W", "ignore", str(HERE / "opcua_server.py"), *options])


def secure_opcua_server(folder):
    """The secured OPC UA server of this folder, on asyncua, with its certificate in `folder`."""
    return Peer([sys.executable, "-W", "ignore", str(HERE / "opcua_secure.py"), str(folder)])


def pymodbus_server(transport):
    """The Modbus server of this folder on a port, on pymodbus: `rtu-over-tcp` or `udp`."""
    return Peer([sys.executable, "-W", "ignore", str(HERE / "pymodbus_server.py"), transport])
