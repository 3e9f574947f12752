"""The only place that asks for the time. Inside, time is the monotonic boot clock; wall time is added at the edges."""

from __future__ import annotations

import time
from pathlib import Path


def now_ns() -> int:
    """Nanoseconds since boot, suspended time included (CLOCK_BOOTTIME): never steps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def wall_ns() -> int:
    """UTC nanoseconds since 1970 as this machine believes: may step."""
    return time.time_ns()


def cpu_ns() -> int:
    """CPU nanoseconds that this process has used."""
    return time.process_time_ns()


def thread_ns() -> int:
    """CPU nanoseconds that this thread has used."""
    return time.thread_time_ns()


def boot_id() -> str:
    """The kernel's id of this boot: two records with the same id share one time axis."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
