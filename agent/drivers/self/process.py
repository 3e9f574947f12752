"""What the kernel tells of our process and of the machine (procfs, sysfs)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from agent.runtime import clock

STATUS = Path("/proc/self/statm")
STAT = Path("/proc/self/stat")
ZONES = Path("/sys/class/thermal")
START_FIELD = 19  # starttime is field 22 of proc(5) stat; the first two stand before the last bracket


class Process:
    """Read once a scan: the CPU share is that of the time since the reading before."""

    def __init__(self) -> None:
        """The CPU share begins here."""
        self._cpu_ns = clock.cpu_ns()
        self._at_ns = clock.now_ns()
        self._started_ns = started_ns()

    def read(self) -> Mapping[str, float | None]:
        """Each meter's value; None where the kernel does not tell."""
        cpu_ns, now_ns = clock.cpu_ns(), clock.now_ns()
        used_ns, passed_ns = cpu_ns - self._cpu_ns, now_ns - self._at_ns
        self._cpu_ns, self._at_ns = cpu_ns, now_ns
        return {
            "process/rss_mib": int(STATUS.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20,
            "process/cpu_percent": 100.0 * used_ns / passed_ns if passed_ns > 0 else None,
            "process/uptime_s": (now_ns - self._started_ns) * 1e-9,
            "machine/temperature_c": hottest_c(),
        }


def started_ns() -> int:
    """When this process began, on our axis (procfs counts from boot too)."""
    ticks = int(STAT.read_text().rpartition(")")[2].split()[START_FIELD])
    return ticks * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))


def hottest_c(zones: Path = ZONES) -> float | None:
    """The temperature of the hottest thermal zone; None where there is none that can be read."""
    found = [value for zone in sorted(zones.glob("thermal_zone*/temp")) if (value := _milli(zone)) is not None]
    return max(found) / 1000.0 if found else None


def _milli(zone: Path) -> int | None:
    try:
        return int(zone.read_text())
    except (OSError, ValueError):
        return None
