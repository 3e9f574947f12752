"""What went over the wire, as lines of JSON: a recording that `hil.replay --trace` serves again.

A line {"trace": 1, "source", "transport"} says what is recorded, each time that the recording goes on. Then:
{"t_ns": boot clock, "conn": number of the connection, "dir": ..., "hex": bytes}, dir being > sent, < received, + the
connection was made, - we closed it, x the other side did.

The newest half of `trace_mb` lies in the file, the older half in FILE.1. A disk that is full ends the recording,
never the polling.
"""

from __future__ import annotations

import json
import logging
from io import FileIO
from itertools import count
from pathlib import Path

from agent.runtime import clock

log = logging.getLogger(__name__)

SENT, RECEIVED, OPENED, CLOSED, LOST = ">", "<", "+", "-", "x"


class BusTrace:
    """The recording of one source, which goes on where it ended before."""

    def __init__(self, path: Path, largest_mb: float, about: dict[str, str]) -> None:
        """Begin with the first line that is put."""
        self._path, self._largest = path, int(largest_mb * 1e6 / 2)
        self._head = json.dumps({"trace": 1, **about}).encode() + b"\n"
        self._file: FileIO | None = None
        self._size = 0
        self._failed = False
        self._numbers = count(1)

    def connection(self) -> int:
        """The number of a new connection."""
        return next(self._numbers)

    def put(self, connection: int, direction: str, content: bytes = b"") -> None:
        """Write one line."""
        if self._failed:
            return
        line = f'{{"t_ns": {clock.now_ns()}, "conn": {connection}, "dir": "{direction}", "hex": "{content.hex()}"}}\n'
        try:
            self._write(line.encode())
        except OSError as error:
            self._failed = True
            self.close()
            log.warning("no more is recorded of the bus: %s: %s", self._path, error.strerror)

    def _write(self, line: bytes) -> None:
        file = self._file or self._opened()
        if self._size + len(line) > self._largest:
            self.close()
            self._path.replace(self._path.with_name(self._path.name + ".1"))
            file = self._opened()
        file.write(line)
        self._size += len(line)

    def _opened(self) -> FileIO:
        # Unbuffered: what was recorded is there when the power goes.
        self._file = file = self._path.open("ab", buffering=0)
        self._size = file.tell()
        self._size += file.write(self._head) or 0
        return file

    def close(self) -> None:
        """End the recording until the next line."""
        file, self._file = self._file, None
        if file is not None:
            file.close()
