"""The loop: take what has come, store it in one transaction, acknowledge it to the broker, confirm it to the gateways.

Broker and database may each be away for any time: what is not stored is not acknowledged, so the broker keeps it, and
gateways that wait for our word (`acknowledge: end_to_end`) send it again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import aiomqtt
import anyio
import psycopg

from agent.ingest import message, schema, tables
from agent.ingest.beside import Rejected
from agent.ingest.database import Connection, opened
from agent.ingest.link import Link, connected, filters
from agent.ingest.message import Birth, Names, Record, RefusedError, Status
from agent.ingest.options import Options
from agent.ingest.tables import Content, Counts
from agent.runtime import clock
from agent.runtime.supervise import Backoff
from agent.runtime.together import together
from agent.sinks.mqtt.faults import Fault, LinkError
from agent.store import intervals

log = logging.getLogger(__name__)

BACKOFF = Backoff(first_s=0.2, longest_s=5.0)
TRANSACTION_S = 60.0

# Errors that say what is wrong with what one message says; all others are of the database.
REFUSALS = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
TELL_S = 60.0
STEADY_NS = 30_000_000_000


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message without what the broker adds: its prefix, what follows it in the topic, and its bytes."""

    prefix: str
    rest: tuple[str, ...]
    payload: bytes


@dataclass(slots=True)
class Database:
    """A connection to the database, made anew after each failure, and what it has stored so far."""

    conninfo: str
    counts: Counts = field(default_factory=Counts)
    rejected: int = 0
    _db: Connection | None = None

    async def store(self, arrived: Sequence[Arrived]) -> list[Content]:
        """Store them all; gives what they say once it is committed, however long the database is away."""
        failures, told = 0, ""
        while True:
            try:
                with anyio.fail_after(TRANSACTION_S):
                    stored = await self._store(await self._opened(), arrived)
            except asyncio.CancelledError:
                await self.close()  # in the middle of a transaction: what comes next must not become a part of it
                raise
            except (psycopg.Error, OSError) as error:
                failures += 1
                await self.close()
                why = " ".join(str(error).split()) or type(error).__name__
                log.log(logging.DEBUG if why == told else logging.WARNING, "database: %s; trying again", why)
                told = why
                await anyio.sleep(BACKOFF.wait_s(failures))
            else:
                if failures:
                    log.warning("database: storing again after %d attempts", failures)
                return stored

    async def close(self) -> None:
        """Close the connection."""
        if self._db is not None:
            db, self._db = self._db, None
            with anyio.CancelScope(shield=True):
                await db.close()

    async def _opened(self) -> Connection:
        if self._db is None:
            self._db = await opened(self.conninfo)
            await schema.prepare(self._db)
            log.info("database: connected to %s", self._db.info.dbname)
        return self._db

    async def _store(self, db: Connection, arrived: Sequence[Arrived], refused: str = "") -> list[Content]:
        """Where the database refuses what one message says, that one is rejected and all others are stored."""
        content = content_of(arrived, refused)
        try:
            self.counts += await tables.put(db, content)
        except REFUSALS as error:
            if refused:
                raise
            half = len(arrived) // 2
            if half == 0:
                return await self._store(db, arrived, f"the database refuses it: {str(error).splitlines()[0]}")
            return [*await self._store(db, arrived[:half]), *await self._store(db, arrived[half:])]
        self.rejected += len(content.rejected)
        for one in content.rejected:
            log.warning("%s: rejected: %s", one.topic, one.reason)
        return [content]


def content_of(arrived: Sequence[Arrived], refused: str = "") -> Content:
    """What messages say together, in whatever order they came. `refused`: why they are all to be rejected."""
    content = Content()
    for one in arrived:
        try:
            _add(content, one, refused)
        except RefusedError as error:
            topic = "/".join((one.prefix, *one.rest))
            rejected = Rejected(topic, one.payload, str(error), error.name)
            content.rejected.append(rejected)
            if rejected.name is not None and rejected.stands:
                content.came_by[rejected.name] = one.prefix
    return content


def _add(content: Content, one: Arrived, refused: str) -> None:
    said = message.read(one.rest, one.payload)
    if refused:
        raise RefusedError(refused, said.name if isinstance(said, Record) else None)
    match said:
        case Record():
            known = content.records.get(said.name)
            if known is None or said.worth > known.worth:
                content.records[said.name] = said
            content.came_by[said.name] = one.prefix
        case Names():
            content.names[said.key] = said
        case Birth():
            content.births[one.prefix] = said
        case Status():
            content.online[one.prefix] = said.online


def confirmations(content: Content) -> list[tuple[str, bytes]]:
    """(topic, payload) that tell each gateway which of its records are stored, those too that were before."""
    found: dict[tuple[str, str, int], set[int]] = {}
    for name, prefix in content.came_by.items():
        found.setdefault((prefix, name.class_, name.epoch), set()).add(name.seq)
    return [(f"{prefix}/stored", _stored(class_, epoch, numbers)) for (prefix, class_, epoch), numbers in found.items()]


def _stored(class_: str, epoch: int, numbers: set[int]) -> bytes:
    said = {"epoch": epoch, "class": class_, "ranges": intervals.of_numbers(numbers)}
    return json.dumps(said, separators=(",", ":")).encode()


async def run(options: Options, ready: anyio.Event | None = None) -> None:
    """Receive until SIGTERM or SIGINT comes. `ready` is set once all is subscribed."""
    database = Database(options.database)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(_tell, database)
            group.start_soon(_receive, options, database, ready or anyio.Event())
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                await anext(signals)
            group.cancel_scope.cancel()
    finally:
        await database.close()


async def _receive(options: Options, database: Database, ready: anyio.Event) -> None:
    """One connection after another."""
    failures, said, where = 0, "", options.broker.places[0]
    while True:
        started_ns = clock.now_ns()
        try:
            async with connected(options) as link:
                await link.subscribe_to(filters(options))
                log.info("broker %s:%d: connected as %s", *where, options.broker.client_id)
                ready.set()
                await together(link.watch, lambda: _session(link, database, options.levels))
        except OSError as error:
            failures = 1 if clock.now_ns() - started_ns > STEADY_NS else failures + 1
            before, said = said, _words(error, options)
            log.log(logging.DEBUG if failures > 1 and said == before else logging.WARNING,
                    "broker %s:%d: %s; trying again", *where, said)  # fmt: skip
            await anyio.sleep(BACKOFF.wait_s(failures))


def _words(error: OSError, options: Options) -> str:
    """What went wrong; not every broker says that it has pushed us out."""
    name = options.broker.client_id
    match error:
        case LinkError(fault=Fault.TAKEN_OVER):
            return f"another client is called {name} too, give each receiver its own --client-id"
        case LinkError(fault=Fault.HUNG_UP):
            return f"{error} (if another client is called {name} too, give each receiver its own --client-id)"
    return str(error)


async def _session(link: Link, database: Database, levels: int) -> None:
    await database.store([])  # what is wrong with the database is told before anything comes
    while True:
        messages = await link.batch()
        arrived = [_arrived(one, levels) for one in messages if one.payload]  # none: a retained one was cleared
        contents = await database.store(arrived)
        link.acknowledge(messages)
        await _confirm(link, contents)


async def _confirm(link: Link, contents: Sequence[Content]) -> None:
    said = [one for content in contents for one in confirmations(content)]
    await together(*(partial(link.publish, topic, payload) for topic, payload in said))


def _arrived(one: aiomqtt.Message, levels: int) -> Arrived:
    words = one.topic.value.split("/")
    return Arrived("/".join(words[:levels]), tuple(words[levels:]), bytes(one.payload))


async def _tell(database: Database) -> None:
    before = (database.counts, database.rejected)
    while True:
        await anyio.sleep(TELL_S)
        if before != (now := (database.counts, database.rejected)):
            counts, rejected = before = now
            log.info("stored %d, %d replaced by better ones, %d known already, %d rejected",
                     counts.new, counts.replaced, counts.known, rejected)  # fmt: skip
