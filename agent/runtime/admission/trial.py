"""A model's first run in a child process: what crashes, hangs or takes the memory there, the daemon never meets.

The child is the worker's program (`runtime/working.py`): limited in memory and time, it has two jobs, to import
onnxruntime and then to load and run the file. If it dies of the first, numpy runs the file (a wheel of onnxruntime
died of an illegal instruction on a Raspberry Pi 4).
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import signal
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.core import wire
from agent.runtime.admission import memory
from agent.runtime.working import Done, Job

MEMORY_BYTES = 384 * 2**20
IMPORT_S = 20.0  # a cold start from a slow card
RUN_S = 10.0
RULES = 1  # of the trial: another number, and all is tried again
FIRST_RUN, RUNTIME = "agent.detect.trial.first_run", "agent.detect.trial.runtime"


@dataclass(frozen=True, slots=True)
class Verdict:
    """by: what runs the file ("" where it has no graph); why: why it must not run, "" where it may.

    numpy_why: why numpy is to run it, "" where onnxruntime may.
    """

    by: str = ""
    why: str = ""
    numpy_why: str = ""


def tried(kind: str, content: bytes, state_dir: Path) -> Verdict:
    """The verdict on a file of a kind of model (`detect.onnx`), from memory where this very machine tried it before."""
    key = hashlib.sha256("\n".join([kind, hashlib.sha256(content).hexdigest(), *_machine()]).encode()).hexdigest()
    by = memory.tried(state_dir, key)
    if by is not None:
        return Verdict(by, numpy_why=by.removeprefix("numpy (").removesuffix(")") if by.startswith("numpy (") else "")
    verdict = _try(kind, content)
    if not verdict.why:
        memory.remember_tried(state_dir, key, verdict.by)
    return verdict


def _try(kind: str, content: bytes) -> Verdict:
    done, end = _child([(RUNTIME, b"", IMPORT_S), (FIRST_RUN, _body(kind, "", content), RUN_S)])
    numpy_why = ""
    if not done:
        numpy_why = f"importing onnxruntime here ended {end}"
        done, end = _child([(FIRST_RUN, _body(kind, numpy_why, content), RUN_S)])
        done = [Done(np.zeros(0, np.uint8)), *done]
    if len(done) < 2:
        return Verdict(why=f"its first run, tried in a process of its own, ended {end}")
    last = done[1]
    if last.why:
        return Verdict(why=last.why.removeprefix("ValueError: "))
    return Verdict(last.body.tobytes().decode(), numpy_why=numpy_why)


def _body(kind: str, numpy_why: str, content: bytes) -> bytes:
    return f"{kind}\0{numpy_why}\0".encode() + content


def _child(jobs: Sequence[tuple[str, bytes, float]]) -> tuple[list[Done], str]:
    """What a child answered to jobs one after another, and how it ended."""
    messages = [wire.encode(Job(name, limit_s, np.frombuffer(body, np.uint8))) for name, body, limit_s in jobs]
    asked = b"".join(struct.pack("<Q", len(each)) + each for each in messages)
    command = [sys.executable, "-m", "agent.runtime.working", str(MEMORY_BYTES)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as child:
        try:
            told, _ = child.communicate(asked, timeout=2.0 * sum(limit_s for _, _, limit_s in jobs))
            end = _ending(child.returncode)
        except subprocess.TimeoutExpired:
            child.kill()
            told, _ = child.communicate()
            end = "because it took too long"
    return _answers(told), end


def _ending(code: int) -> str:
    if -code == signal.SIGALRM:
        return "because it took too long"
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"


def _answers(told: bytes) -> list[Done]:
    found = []
    while len(told) >= 8:
        (length,) = struct.unpack("<Q", told[:8])
        if len(told) < 8 + length:
            break
        found.append(wire.decode(Done, told[8 : 8 + length]))
        told = told[8 + length :]
    return found


@functools.cache
def _machine() -> tuple[str, ...]:
    """What a trial depends on besides the file: a card may be moved from one board to another."""
    return (str(RULES), _version("onnxruntime"), _version("edgetwin"), np.__version__, platform.machine(), _processor())


def _processor() -> str:
    """What the processor can do, as Linux tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(sorted({line for line in lines if line.partition("\t")[0] in ("flags", "Features", "model name")}))


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"
