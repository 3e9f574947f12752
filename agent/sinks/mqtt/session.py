"""What goes on on a connection: hello, births, listening to the cloud, and sending, until everything is sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio

from agent.core.nouns import Catalogue, Snapshot
from agent.runtime import meters
from agent.runtime.together import together
from agent.sinks.mqtt import Ask, Config, brokers, desired, form, requests
from agent.sinks.mqtt.around import Around
from agent.sinks.mqtt.confirming import Unconfirmed
from agent.sinks.mqtt.form import Form, Out
from agent.sinks.mqtt.link import Link
from agent.sinks.mqtt.sending import CLASSES, Sending, say

if TYPE_CHECKING:
    from agent.runtime.journal import Cursor
    from agent.runtime.taps import Taps

log = logging.getLogger(__name__)

TURN_S = 1.0
GOODBYE_S = 2.0


async def run(config: Config, taps: Taps, ask: Ask) -> None:
    """See `agent.sinks.mqtt.run`: in our own format."""
    await publishing(config, taps, ask, form.own(config, taps.gateway))


async def publishing(config: Config, taps: Taps, ask: Ask, said_as: Form) -> None:
    """Events and summaries of the journal in some format, until cancelled or drained."""
    for name in ("published", "acknowledged", "too_large", "unconfirmed", "raw_blocks", "requests"):
        meters.current().add(f"{config.id}/{name}", 0)
    unconfirmed = Unconfirmed(config.confirm_timeout_s) if config.acknowledge == "end_to_end" else None
    session = partial(_session, config, taps, ask, said_as, unconfirmed)
    async with anyio.create_task_group() as group:
        # Before any connection: what waits is counted, and retention knows that somebody wants it.
        group.start_soon(_turn, config.id, taps.journal(config.id, CLASSES))
        await brokers.keep(config, config.client_id or taps.gateway, lambda: said_as.will, session)
        group.cancel_scope.cancel()


async def _turn(name: str, cursor: Cursor) -> None:
    while True:
        meters.current().turn(name)
        meters.current().set(f"{name}/pending", cursor.pending)
        await anyio.sleep(TURN_S)


async def _session(
    config: Config, taps: Taps, ask: Ask, said_as: Form, unconfirmed: Unconfirmed | None, link: Link
) -> None:
    await say(link, said_as.hello)
    born = anyio.Event()
    try:
        with anyio.CancelScope() as beside:

            async def send() -> None:
                await born.wait()  # before any value: what it is of
                await together(
                    Sending(config, taps, said_as, unconfirmed, link).run, Around(config, taps, said_as, link).run
                )
                beside.cancel()

            incoming = _incoming(config, taps, ask, said_as, link)
            await together(
                link.watch,
                partial(_births, taps, said_as, link, born),
                partial(_newest, config, taps, said_as, link, born),
                *incoming,
                send,
            )
    finally:
        await _goodbye(link, said_as.goodbye)


def _incoming(
    config: Config, taps: Taps, ask: Ask, said_as: Form, link: Link
) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
    """What listens to the cloud, as long as the connection lives: one line for each."""
    asked = partial(requests.run, config, taps, ask, said_as, link)
    # A platform with topics of its own hangs up on who listens to others.
    return (asked, partial(desired.run, config, taps, ask, link)) if said_as.other_topics else (asked,)


async def _births(taps: Taps, said_as: Form, link: Link, born: anyio.Event) -> None:
    """A birth for the catalogue, and for each that follows it."""
    async for noun in taps.latest():
        if isinstance(noun, Catalogue):
            await say(link, said_as.birth(noun))
            born.set()


async def _newest(config: Config, taps: Taps, said_as: Form, link: Link, born: anyio.Event) -> None:
    """The newest values, where the format has a place for them: what cannot be said in time is passed over."""
    if said_as.values is None:
        return
    new, slots = said_as.values(), anyio.Semaphore(max(1, config.max_in_flight // 2))

    async def publish(out: Out) -> None:
        async with slots:
            await say(link, (out,))

    await born.wait()
    async for noun in taps.latest():
        if isinstance(noun, Snapshot):
            async with anyio.create_task_group() as group:
                for out in new(taps.hub.catalogue, noun):
                    group.start_soon(publish, out)


async def _goodbye(link: Link, outs: tuple[Out, ...]) -> None:
    """Say so before going of our own will: a broker does not send the will of a client that leaves properly."""
    with anyio.move_on_after(GOODBYE_S, shield=True):
        try:
            await say(link, outs)
        except OSError as error:
            log.debug("no goodbye: %s", error)
