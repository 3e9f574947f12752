"""A session with an OPC UA server, from connecting to leaving, and what ends it while the server is well.

security.py    what can be set          trust.py      our certificate, the server's
endpoints.py   which endpoint is taken  identity.py   how we log in
connecting.py  the handshake            past.py       what is remembered from one session to the next
refusals.py    a server's no in words
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio
from anyio.to_thread import run_sync
from cryptography import x509

from agent.drivers.opcua.config import Config
from agent.drivers.opcua.errors import decoding, translated
from agent.drivers.opcua.secure import past as pasts
from agent.drivers.opcua.secure import trust
from agent.drivers.opcua.secure.connecting import LaterError, Link, Secured
from agent.drivers.opcua.secure.security import Security
from agent.drivers.opcua.services import Session
from agent.runtime import clock, meters
from agent.runtime.together import together

log = logging.getLogger(__name__)

RENEW_AT = 0.75  # of the lifetime of the channel's keys: OPC 10000-4 §5.6.2
WATCH_S = 15.0  # a certificate that was renewed or revoked counts within a minute
DAY_NS = 86_400_000_000_000


@asynccontextmanager
async def connected(config: Config) -> AsyncIterator[Session]:
    """A session, closed at the end whatever happens. OSError says why there is none."""
    # asyncua logs each of its failures with a traceback; what matters comes out as our errors.
    logging.getLogger("asyncua").setLevel(logging.CRITICAL + 1)
    past = pasts.of(config.id, config.url)
    await _wait(past, config)
    link, answers = Link(config), True
    try:
        with translated(config.endpoint), decoding(), anyio.fail_after(config.connect_timeout_s):
            await link.enter(past)
        _tell_days(link)
        session = Session(link, config)
        with translated(config.endpoint), anyio.fail_after(config.connect_timeout_s):
            await session.learn_limits()
        yield session
    except LaterError as error:
        wait_s = past.later(config.session_timeout_s, clock.now_ns())
        raise ConnectionError(f"{error}; trying again in {wait_s:.0f} s") from error
    except TimeoutError:
        answers = False
        raise
    finally:
        left = await link.leave(answers)
        if left is not None:
            past.lose(left, clock.now_ns())


async def _wait(past: pasts.Past, config: Config) -> None:
    """Until the server is ready for another session of ours: waiting is a turn for the watchdog."""
    while (wait_s := past.wait_s(clock.now_ns())) > 0:
        meters.current().turn(config.id)
        await anyio.sleep(min(1.0, wait_s))


def _tell_days(link: Link) -> None:
    """Meters `certificate_days` and `server_certificate_days`, up to date whenever they are read."""
    if link.secured is not None:
        own, server = link.secured.own.certificate, link.secured.server[0]
        for name, certificate in (("certificate_days", own), ("server_certificate_days", server)):
            meters.current().gauge(f"{link.config.id}/{name}", partial(trust.days_left, certificate))


async def keep(session: Session) -> None:
    """Renew the channel's keys in time, and see that both certificates still hold. ConnectionError ends the session."""
    await together(partial(_renew, session.client), partial(_watch, session.client))


async def _renew(link: Link) -> None:
    while True:
        await anyio.sleep(max(1.0, RENEW_AT * link.secure_channel_timeout / 1000))
        with translated(f"{link.config.endpoint} renew keys"), decoding():
            await link.open_secure_channel(renew=True)
        meters.current().add(f"{link.config.id}/renewals")


async def _watch(link: Link) -> None:
    """A certificate of ours that was renewed, one of the server that was revoked or rejected: connect anew."""
    told_ns = 0
    while link.secured is not None:
        await anyio.sleep(WATCH_S)
        changed = await run_sync(_changed, link.config, link.secured)
        if changed:
            raise ConnectionError(f"{link.config.endpoint}: {changed}")
        if clock.now_ns() - told_ns > DAY_NS:
            told_ns = clock.now_ns()
            _warn(link.config.id, "our", link.secured.own.certificate)
            _warn(link.config.id, "the server's", link.secured.server[0])


def _changed(config: Security, secured: Secured) -> str:
    """What asks for a new session, in words; empty for nothing."""
    try:
        stamp = trust.stamp(config)
        if stamp and stamp != secured.own_stamp and trust.ours(config).certificate != secured.own.certificate:
            return "our certificate was renewed: connecting anew with it"
        doubts = trust.doubts(secured.server, config, secured.expected)
    except OSError as error:  # files that are just being written
        log.warning("%s: %s", config.id, error)
        return ""
    steps = () if config.trust == "none" else ("trust", "revoked")
    found = [f"{doubt.text} ({doubt.status})" for doubt in doubts if doubt.step in steps]
    return f"the certificate of the server is not accepted any more: {'; '.join(found)}" if found else ""


def _warn(source: str, whose: str, certificate: x509.Certificate) -> None:
    days = trust.days_left(certificate)
    if days < trust.WARN_DAYS:
        log.warning("%s: %s certificate ends in %.0f days", source, whose, days)
