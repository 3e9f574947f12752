"""Starts the bench's processes for a test: `with started("plant", "--control", path)` waits for the ready line."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0


class Running:
    """A process of the bench: its ready line, what it printed, and its end."""

    def __init__(self, module: str, arguments: tuple[str, ...]) -> None:
        command = [sys.executable, "-W", "error", "-m", f"hil.{module}", *arguments]
        root = str(Path(__file__).resolve().parent.parent)
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
        )
        self.module = module
        self.errors: list[str] = []
        self.ready = ""
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._threads = [
            threading.Thread(target=self._read_lines, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def line(self, timeout_s: float = 10.0) -> str:
        """The next line of stdout; RuntimeError at the end of the process, TimeoutError without a line in time."""
        try:
            text = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError(f"hil.{self.module}: no line within {timeout_s:g} s") from None
        if text is None:
            raise RuntimeError(f"hil.{self.module} ended with {self.process.wait()}: {''.join(self.errors)}")
        return text

    def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> str:
        """The text after `ready`."""
        until_s = time.monotonic() + timeout_s
        while True:
            word, _, rest = self.line(max(until_s - time.monotonic(), 0.01)).partition(" ")
            if word == "ready":
                self.ready = rest
                return rest

    def stop(self) -> int:
        """Ends it with SIGTERM and gives the exit code; TimeoutError if it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        return self.join()

    def kill(self) -> None:
        """Ends it with SIGKILL, as a power cut would."""
        self.process.kill()
        self.join()

    def join(self) -> int:
        """Waits for the end and gives the exit code."""
        try:
            code = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise TimeoutError(f"hil.{self.module} did not end within {STOP_TIMEOUT_S:g} s") from None
        finally:
            for thread in self._threads:
                thread.join()
        return code

    def rest(self) -> list[str]:
        """The lines not taken yet, once the process has ended."""
        lines: list[str] = []
        while (text := self._lines.get()) is not None:
            lines.append(text)
        return lines

    def _read_lines(self) -> None:
        if self.process.stdout is not None:
            with self.process.stdout as stream:
                for text in stream:
                    self._lines.put(text.rstrip("\n"))
        self._lines.put(None)

    def _read_errors(self) -> None:
        if self.process.stderr is not None:
            with self.process.stderr as stream:
                self.errors.extend(stream)


@contextmanager
def started(module: str, *arguments: object, ready: bool = True) -> Iterator[Running]:
    """A running process; ended with SIGTERM at the end of the block if it still runs then."""
    running = Running(module, tuple(str(argument) for argument in arguments))
    try:
        if ready:
            running.wait_ready()
        yield running
    finally:
        if running.process.poll() is None:
            running.stop()
        else:
            running.join()


def port_of(ready_text: str) -> int:
    """The port in a ready line such as `modbus 127.0.0.1:40123` or `opcua opc.tcp://127.0.0.1:4841 urn:...`."""
    return int(ready_text.split()[1].rpartition(":")[2])
