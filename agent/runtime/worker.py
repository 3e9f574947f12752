"""The one worker process: pure functions by dotted name, bytes in and bytes out, away from the loop that acquires.

It is started by the first question and ended when nobody asked for a while. Whatever becomes of it (an error, too much
time or memory, a kill) is an answer with the reason; the next question starts a new one.
"""

from __future__ import annotations

import struct
import sys
from subprocess import PIPE

import anyio
import numpy as np
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from agent.core import wire
from agent.runtime import clock, meters
from agent.runtime.working import Done, Job

START_S = 20.0  # a cold start on a small machine
IDLE_S = 120.0
MEMORY_BYTES = 512 * 2**20
LARGEST = 64 * 2**20  # of an answer

GONE = (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, anyio.IncompleteRead)


class Worker:
    """Answers one question at a time. Meters: `worker/jobs`, `worker/failures`, `worker/up`."""

    def __init__(self, idle_s: float = IDLE_S, memory_bytes: int = MEMORY_BYTES) -> None:
        """No process yet; one may use so much memory, and waits so long for a question."""
        self._idle_s, self._memory = idle_s, memory_bytes
        self._process: Process | None = None
        self._answers: BufferedByteReceiveStream | None = None
        self._one = anyio.Lock()
        self._asked_ns = 0

    async def run(self) -> None:
        """End the process when it is idle, and at the end."""
        meters.current().gauge("worker/up", lambda: float(self._process is not None))
        try:
            while True:
                await anyio.sleep(self._idle_s / 4.0)
                async with self._one:
                    if self._process and clock.now_ns() - self._asked_ns > self._idle_s * 1e9:
                        await self._end()
        finally:
            await self._end()

    async def ask(self, function: str, body: bytes, limit_s: float = 60.0) -> Done:
        """What `function(body)` gives, or why it gave nothing. Waits for those who asked before."""
        async with self._one:
            done = await self._asked(Job(function, limit_s, np.frombuffer(body, np.uint8)))
        meters.current().add("worker/jobs")
        meters.current().add("worker/failures", float(bool(done.why)))
        return done

    async def _asked(self, job: Job) -> Done:
        answered, why = False, f"took longer than {job.limit_s:g} s"
        try:
            with anyio.move_on_after(job.limit_s + (0.0 if self._process else START_S)):
                try:
                    done = await self._answer(wire.encode(job))
                    answered = True
                    return done
                except GONE as error:
                    why = f"the worker ended {await self._status()}: {type(error).__name__}"
                except wire.WireError as error:
                    why = f"the worker's answer cannot be read: {error}"
        finally:
            # Cancelled or not, a process whose answer nobody read is of no use any more.
            if not answered:
                await self._end()
            self._asked_ns = clock.now_ns()
        return Done(np.zeros(0, np.uint8), why)

    async def _answer(self, message: bytes) -> Done:
        if self._process is None:
            command = [sys.executable, "-m", "agent.runtime.working", str(self._memory)]
            self._process = await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None)
            if self._process.stdout is None:
                raise OSError("the worker's output is not a pipe")
            self._answers = BufferedByteReceiveStream(self._process.stdout)
        if self._process.stdin is None or self._answers is None:
            raise OSError("the worker's input is not a pipe")
        await self._process.stdin.send(struct.pack("<Q", len(message)) + message)
        (length,) = struct.unpack("<Q", await self._answers.receive_exactly(8))
        if length > LARGEST:
            raise wire.WireError(f"{length} bytes")
        return wire.decode(Done, await self._answers.receive_exactly(length))

    async def _status(self) -> str:
        """How the process ended, in words."""
        with anyio.move_on_after(1.0):
            status = await self._process.wait() if self._process else 0
            return f"by signal {-status}" if status < 0 else f"with status {status}"
        return "its talk"

    async def _end(self) -> None:
        process, self._process, self._answers = self._process, None, None
        if process is None:
            return
        with anyio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.aclose()
