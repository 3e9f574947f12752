"""A serial line: a socat pair of pseudo terminals, a pymodbus server at the other end."""

import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from peers import HERE


class SocatPair:
    """Two ends of a serial line, `ours` and `theirs`, in a folder of its own or a given one."""

    def __init__(self, folder=None):
        self._own = None if folder else TemporaryDirectory()
        folder = Path(folder or self._own.name)
        self.ours, self.theirs = str(folder / "ours"), str(folder / "theirs")
        self._socat = subprocess.Popen(
            ["socat", "-d", "-d", f"pty,raw,echo=0,link={self.ours}", f"pty,raw,echo=0,link={self.theirs}"],
            stderr=subprocess.PIPE,
            text=True,
        )
        while "starting data transfer" not in self._socat.stderr.readline():
            assert self._socat.poll() is None

    def close(self):
        self._socat.kill()
        self._socat.wait()
        self._socat.stderr.close()
        if self._own:
            self._own.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Line(SocatPair):
    """A serial line with the server at one of its ends."""

    def __init__(self, folder, transport):
        super().__init__(folder)
        self.transport = transport
        command = [sys.executable, "-W", "ignore", str(HERE / "pymodbus_server.py"), transport, self.theirs]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._server.stdout.readline().startswith("ready")

    def freeze(self):
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._server.send_signal(signal.SIGCONT)

    def close(self):
        self._server.kill()
        self._server.wait()
        self._server.stdout.close()
        super().close()
