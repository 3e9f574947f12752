"""The worker process itself, `python -m agent.runtime.working BYTES`: reads Jobs, writes what became of each.

    frame = u8 length (little-endian) | message of `core.wire`

It holds nothing between two jobs, reads nothing but its input, and ends with it.
"""

from __future__ import annotations

import importlib
import os
import resource
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from agent.core import wire

U1 = npt.NDArray[np.uint8]
POLITE = 10  # acquisition goes first
LATE = 1.5  # it ends itself, should nobody be there to end it

FAILURES = (
    ArithmeticError, AttributeError, ImportError, LookupError, OSError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """`function`: dotted, of this package, bytes to bytes; `body` u1[k]."""

    function: str
    limit_s: float
    body: U1


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """What the function gave, u1[k]; why: what went wrong instead, "" for nothing."""

    body: U1
    why: str = ""


def main() -> None:
    """Serve until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon says when it is over
    asked, told = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what anybody prints is no answer
    os.nice(POLITE)
    _goes_first()
    resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]), int(sys.argv[1])))
    while (message := _read(asked)) is not None:
        answer = wire.encode(done(wire.decode(Job, message)))
        told.write(struct.pack("<Q", len(answer)) + answer)
        told.flush()


def _goes_first() -> None:
    """Where the machine or the unit runs out of memory, this process is the one to end, not the daemon."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def done(job: Job) -> Done:
    """What became of a job."""
    nothing = np.zeros(0, np.uint8)
    signal.setitimer(signal.ITIMER_REAL, LATE * job.limit_s)
    try:
        module, _, name = job.function.rpartition(".")
        if not module.startswith("agent."):
            return Done(nothing, f"{job.function} is not a function of this package")
        given = getattr(importlib.import_module(module), name)(job.body.tobytes())
        return Done(np.frombuffer(given, np.uint8))
    except MemoryError:
        return Done(nothing, "needs more memory than it may have")
    except FAILURES as error:
        return Done(nothing, f"{type(error).__name__}: {error}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _read(stream: BinaryIO) -> bytes | None:
    head = stream.read(8)
    if len(head) < 8:
        return None
    (length,) = struct.unpack("<Q", head)
    return stream.read(length)


if __name__ == "__main__":
    main()
