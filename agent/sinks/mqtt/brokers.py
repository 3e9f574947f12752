"""Which broker, and when to try again.

They stand in an order. After a failure it is the next one's turn, after the last one's the first's again, with a wait
that grows. A connection that held starts anew at the first; while one to a later broker holds, those before it are
tried now and then, and the first that lets us in gets us back. An attempt is a whole connection, so a broker that is
frozen, or turns us away, does not count as being there.

Meters: <id>/connected, /broker (the how manieth, 0 for none), /fault, /errors, /reconnects, /taken_over.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace

import anyio

from agent.runtime import clock, meters
from agent.runtime.supervise import Backoff
from agent.runtime.together import together
from agent.sinks.mqtt import Config, Place
from agent.sinks.mqtt.faults import WORDS, Fault, LinkError
from agent.sinks.mqtt.form import Out
from agent.sinks.mqtt.link import Link, connected

log = logging.getLogger(__name__)

BACKOFF = Backoff(first_s=0.5, longest_s=10.0)  # spread to 15 s at most
REFUSED = Backoff(first_s=0.5, longest_s=60.0)  # somebody has to put something right
NEEDS_SOMEBODY = {Fault.REFUSED_US, Fault.REFUSED_MESSAGE, Fault.TLS, Fault.FILE}
PUSHED_OUT = Backoff(first_s=10.0, longest_s=300.0)
STEADY_NS = 30_000_000_000
LIVED_NS = 2_000_000_000
CALM_NS = 600_000_000_000  # without being pushed out

# A broker of MQTT 3.1.1 does not say why it hangs up: so many times in a row are somebody with our client id.
HUNG_UP_OFTEN = 3

Session = Callable[[Link], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Tries:
    """Whose turn it is, and what went wrong since a connection held."""

    turn: int = 0
    failures: int = 0
    hung_up: int = 0
    taken_over: int = 0
    fault: Fault = Fault.NONE


def after(tries: Tries, fault: Fault, held_ns: int, brokers: int, useful: bool = False) -> tuple[Tries, float]:
    """What to try next, after so many seconds. `held_ns`: so long there was a connection, 0 for none; `useful`: some
    records were acknowledged on it."""
    steady = held_ns > STEADY_NS
    before = Tries(taken_over=tries.taken_over if held_ns < CALM_NS else 0) if steady else tries
    hung_up = before.hung_up + 1 if fault is Fault.HUNG_UP and held_ns else 0
    pushed_out = fault is Fault.TAKEN_OVER or hung_up >= HUNG_UP_OFTEN
    turn = 0 if steady else (tries.turn + 1) % brokers
    taken_over, found = before.taken_over + pushed_out, Fault.TAKEN_OVER if pushed_out else fault
    if (
        useful or held_ns > LIVED_NS
    ) and not pushed_out:  # a line that comes and goes is to be caught while it is there
        before = replace(before, failures=0)
    rounds = 1 + before.failures // brokers  # one broker after the other is no reason to wait longer
    wait_s = (REFUSED if fault in NEEDS_SOMEBODY else BACKOFF).wait_s(rounds if turn == 0 else 1)
    if fault is Fault.TAKEN_OVER:  # said by the broker; what only looks like it may be a line that comes and goes
        wait_s = PUSHED_OUT.wait_s(taken_over)
    return Tries(turn, before.failures + 1, hung_up, taken_over, found), wait_s


@dataclass(slots=True)
class _Connection:
    """An open one, to the broker of that turn; `closing` closes it."""

    turn: int
    link: Link
    closing: AsyncExitStack
    since_ns: int = field(default_factory=clock.now_ns)
    trying_another: bool = False


async def keep(config: Config, client_id: str, will: Callable[[], Out | None], session: Session) -> None:
    """One connection after another, each with a `session` on it, until a session ends by itself."""
    counters, tries = meters.current(), Tries()
    _begin(config.id)
    now: _Connection | None = None
    while True:
        sent = counters.read(f"{config.id}/acknowledged") or 0
        try:
            now = now or await _opened(config, client_id, will(), tries.turn)
            now = await _used(config, client_id, will, session, now)
            if now is None:
                return
            tries = Tries()
            continue
        except OSError as error:
            held_ns, place = clock.now_ns() - now.since_ns if now else 0, config.places[tries.turn]
            useful = (counters.read(f"{config.id}/acknowledged") or 0) > sent
            tries, wait_s = after(tries, _fault(error, now), held_ns, len(config.places), useful)
            _tell(config, tries, place, error)
            now = None
        finally:
            counters.set(f"{config.id}/connected", 0)
            counters.set(f"{config.id}/broker", 0)
        await anyio.sleep(wait_s)
        counters.add(f"{config.id}/reconnects")


def _begin(name: str) -> None:
    for counted in ("errors", "reconnects"):
        meters.current().add(f"{name}/{counted}", 0)
    for shown in ("connected", "broker", "fault", "taken_over"):
        meters.current().set(f"{name}/{shown}", 0)


async def _opened(config: Config, client_id: str, will: Out | None, turn: int) -> _Connection:
    closing = AsyncExitStack()
    link = await closing.enter_async_context(connected(config, client_id, will, config.places[turn]))
    return _Connection(turn, link, closing)


async def _used(
    config: Config, client_id: str, will: Callable[[], Out | None], session: Session, now: _Connection
) -> _Connection | None:
    """A session on an open connection, closed then; gives the one to a better broker for which it was left, if any."""
    better: _Connection | None = None

    async def whole() -> None:
        await session(now.link)
        scope.cancel()

    async def looking() -> None:
        nonlocal better
        better = await _better(config, client_id, will, now)
        scope.cancel()

    counters = meters.current()
    counters.set(f"{config.id}/connected", 1)
    counters.set(f"{config.id}/broker", now.turn + 1)
    log.info("%s: connected to %s", config.id, address(config.places[now.turn]))
    try:
        async with now.closing:
            with anyio.CancelScope() as scope:
                await together(whole, looking, lambda: _steady(config.id))
    except OSError as error:
        if better is None:
            raise
        log.debug("%s: left: %s", config.id, error)
    except anyio.get_cancelled_exc_class():
        if better is not None:
            with anyio.CancelScope(shield=True):
                await better.closing.aclose()
        raise
    return better


async def _steady(name: str) -> None:
    """What was wrong is over once a connection has held."""
    await anyio.sleep(STEADY_NS / 1e9)
    meters.current().set(f"{name}/fault", Fault.NONE)
    await anyio.sleep((CALM_NS - STEADY_NS) / 1e9)
    meters.current().set(f"{name}/taken_over", 0)


async def _better(
    config: Config, client_id: str, will: Callable[[], Out | None], now: _Connection
) -> _Connection | None:
    """A connection to the first broker before ours that lets us in, as soon as there is one. With none: for ever."""
    while True:
        await anyio.sleep(config.return_after_s)
        for turn in range(now.turn):
            now.trying_another = True  # in a cluster of brokers this ends the connection that we have
            try:
                return await _opened(config, client_id, will(), turn)
            except OSError as error:
                log.debug("%s: %s: still not there: %s", config.id, address(config.places[turn]), error)
            now.trying_another = False


def _fault(error: OSError, now: _Connection | None) -> Fault:
    fault = error.fault if isinstance(error, LinkError) else Fault.UNREACHABLE
    return Fault.NONE if fault is Fault.TAKEN_OVER and now is not None and now.trying_another else fault


def _tell(config: Config, tries: Tries, place: Place, error: OSError) -> None:
    counters, fault = meters.current(), tries.fault
    counters.add(f"{config.id}/errors")
    counters.set(f"{config.id}/fault", fault)
    counters.set(f"{config.id}/taken_over", tries.taken_over)
    loud = tries.failures <= len(config.places) or fault is Fault.TAKEN_OVER
    said = WORDS[fault] if fault in (Fault.NONE, Fault.TAKEN_OVER, Fault.FILE) else f"the broker {WORDS[fault]}"
    log.log(logging.WARNING if loud else logging.DEBUG, "%s: %s: %s: %s", config.id, address(place), said, error)


def address(place: Place) -> str:
    """host:port, an IPv6 address in brackets."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
