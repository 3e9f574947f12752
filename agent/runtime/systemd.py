"""Tells systemd that we are ready, alive and stopping (sd_notify(3)), where it asked for it by NOTIFY_SOCKET."""

from __future__ import annotations

import logging
import os
import socket

import anyio

from agent.runtime import clock, meters

log = logging.getLogger(__name__)

# A unit whose loop has not gone round for this long is stuck: longer than any back-off or timeout of ours.
STUCK_S = 20.0


def notify(state: str) -> bool:
    """Send one state such as `READY=1`; False where nobody listens."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return False
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as link:
            link.sendto(state.encode(), address)
    except OSError as error:
        log.warning("systemd does not take %s: %s", state, error)
        return False
    return True


def watchdog_s() -> float | None:
    """How often systemd wants to hear from us, None where it does not watch this process."""
    pid = os.environ.get("WATCHDOG_PID", "")
    if pid and int(pid) != os.getpid():
        return None
    usec = os.environ.get("WATCHDOG_USEC", "")
    return int(usec) * 1e-6 if usec else None


async def feed_watchdog(stuck_s: float = STUCK_S) -> None:
    """Feed the watchdog while every cycle, driver and journal task turns; a failed attempt is a turn."""
    period_s = watchdog_s()
    while period_s is not None:
        stuck = meters.current().stuck(clock.now_ns(), int(stuck_s * 1e9))
        if stuck:
            log.error("watchdog not fed: %s did not turn for %.0f s", ", ".join(stuck), stuck_s)
        else:
            notify("WATCHDOG=1")
        await anyio.sleep(period_s / 3)
