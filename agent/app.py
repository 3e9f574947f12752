"""Wiring on one page: what runs, in which order it starts and dies.

start   journal, sinks, cycles, sources          a sink must be there before anything happens
stop    sources, cycles (the last tick says BadShutdown), sinks once they have drained, journal
"""

from __future__ import annotations

import importlib
import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from agent.config.plan import Plan, SinkUnit, SourceUnit
from agent.control.deploy.vitals import Watched
from agent.control.gate import Gate
from agent.core.nouns import Answer, Event, Request, Snapshot, Tick, Write
from agent.engine import maintenance, shadow
from agent.engine import state as states
from agent.runtime import clock, meters, questions, restore, supervise, systemd
from agent.runtime.cycle import Cycle
from agent.runtime.hub import Hub
from agent.runtime.inbox import Inbox, Intake
from agent.runtime.journal import Journal
from agent.runtime.taps import Taps
from agent.runtime.worker import Worker
from agent.store import record as records
from agent.store.record import Entry

if TYPE_CHECKING:
    from agent.control.deploy.fleet import Fleet  # signatures, which a gateway without a fleet does without

log = logging.getLogger(__name__)

LOOK_S = 10.0
WITHOUT_TICKS = 6  # after so many looks there is a checkpoint where no ticks are kept
HISTORY_STATE = 60  # after so many looks there is one among the ticks too, where a backtest can begin
REPLAY_S = 4.0  # how long playing the ticks after all checkpoints may take at a start
LASTING = frozenset({*maintenance.CHANGE.values(), *shadow.CHANGE.values()})  # what people said of a machine or model
GRACE_S = 5.0
TURNS = 3.0  # a unit that has not turned for so many of its periods is stuck

Ask = Callable[[Request], Awaitable[Answer]]


async def run(plan: Plan, *, strict: bool = False, stop: anyio.Event | None = None, fleet: Fleet | None = None) -> None:
    """Run a plan until `stop` is set or SIGTERM or SIGINT comes. `strict`: a bug ends everything (tests). `fleet`: who
    may say that the daemon is to start again with something else (`fleet.again`)."""
    meters.install(meters.Meters())
    stop = stop or anyio.Event()
    journal = Journal.open(plan.journal.path, plan.journal.cap_bytes, plan.journal.flush_s, plan.gateway)
    hub = Hub(plan.catalogue)
    inboxes = {asset.id: Inbox(asset.id) for asset in plan.assets}
    by_id: dict[str, Cycle] = {}
    out, path = partial(_out, hub, partial(_record, journal, plan.journal.raw, by_id)), plan.journal.path
    cycles = [Cycle(asset, restore.state(asset, path), inboxes[asset.id], out) for asset in plan.assets]
    by_id.update({cycle.asset.id: cycle for cycle in cycles})
    gate = Gate(inboxes, hub.newest, partial(_audit, journal), fleet)
    async with anyio.create_task_group() as keeping:
        keeping.start_soon(journal.run)
        await _living(plan, cycles, hub, journal, gate, inboxes, stop, strict, fleet)
        keeping.cancel_scope.cancel()


async def _living(
    plan: Plan,
    cycles: list[Cycle],
    hub: Hub,
    journal: Journal,
    gate: Gate,
    inboxes: dict[str, Inbox],
    stop: anyio.Event,
    strict: bool,
    fleet: Fleet | None,
) -> None:
    """Sinks around cycles around sources, each inner ring ending before the one around it."""
    taps = Taps(plan.gateway, hub, journal, fleet.reported if fleet else None)
    for cycle in cycles:
        if plan.journal.raw:
            journal.put(records.layout(cycle.asset.id, clock.now_ns(), cycle.asset.points))
        _save(journal, cycle, plan.journal.raw)
    async with anyio.create_task_group() as sinks:
        _start_sinks(sinks, plan, taps, gate.ask, strict)
        async with anyio.create_task_group() as turning:
            for cycle in cycles:
                meters.current().allow(f"cycle {cycle.asset.id}", TURNS * cycle.asset.period_s)
                turning.start_soon(partial(supervise.keep, f"cycle {cycle.asset.id}", cycle.run, strict=strict))
            turning.start_soon(_checkpoints, journal, plan.journal.raw, cycles)
            worker = Worker()
            turning.start_soon(worker.run)
            asking = partial(questions.run, cycles, inboxes, worker)
            turning.start_soon(partial(supervise.keep, "questions", asking, watched=False, strict=strict))
            async with anyio.create_task_group() as reading:
                _start_sources(reading, plan, inboxes, strict)
                turning.start_soon(systemd.feed_watchdog)
                systemd.notify("READY=1")
                log.info("running: %d assets, %d sources", len(plan.assets), len(plan.sources))
                if fleet is not None:
                    turning.start_soon(_keep_deployed, plan, fleet, hub, journal, gate, stop, strict)
                await _stopped(stop)
                systemd.notify("RELOADING=1" if fleet and fleet.again else "STOPPING=1")
                reading.cancel_scope.cancel()
            turning.cancel_scope.cancel()
        for cycle in cycles:
            cycle.end()
            _save(journal, cycle)
        await anyio.sleep(0.1)  # the last snapshots reach the feed's clients
        await journal.drain(GRACE_S)
        sinks.cancel_scope.cancel()


async def _stopped(stop: anyio.Event) -> None:
    async def signalled() -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for received in signals:
                log.info("stopping on %s", signal.Signals(received).name)
                stop.set()
                return

    async with anyio.create_task_group() as waiting:
        waiting.start_soon(signalled)
        await stop.wait()
        waiting.cancel_scope.cancel()


async def _keep_deployed(
    plan: Plan, fleet: Fleet, hub: Hub, journal: Journal, gate: Gate, stop: anyio.Event, strict: bool
) -> None:
    """The versions of a fleet: what is tried is held against how it was before."""
    sources = [source.id for source in plan.sources if source.type != "self"]
    clouds = [sink.id for sink in plan.sinks if sink.type == "mqtt"]
    watched = Watched(plan.assets, sources, clouds, hub.newest)
    run = partial(fleet.run, watched.vitals, gate.ask, partial(_audit, journal))
    await supervise.keep("fleet", run, over=lambda: fleet.again, watched=False, strict=strict)
    stop.set()


def _start_sources(group: TaskGroup, plan: Plan, inboxes: dict[str, Inbox], strict: bool) -> None:
    for source in plan.sources:
        intake = Intake(source.id, len(source.tags), plan.routes[source.id], inboxes)
        meters.current().allow(source.id, TURNS * max((tag.scan_s for tag in source.tags), default=0.0))
        once = partial(_source, source, intake)
        group.start_soon(partial(supervise.keep, source.id, once, down=intake.down, strict=strict))


async def _source(source: SourceUnit, intake: Intake) -> None:
    driver = importlib.import_module(f"agent.drivers.{source.type}")
    ends, writes = anyio.create_memory_object_stream[tuple[Write, Callable[[Answer], None]]](16)
    with ends, writes:
        await driver.run(source.config, source.tags, intake.put, writes)


def _start_sinks(group: TaskGroup, plan: Plan, taps: Taps, ask: Ask, strict: bool) -> None:
    for sink in plan.sinks:
        once = partial(_sink, sink, taps, ask)
        keep = partial(supervise.keep, over=lambda: taps.records.draining, watched=False, strict=strict)
        group.start_soon(keep, sink.id, once)


async def _sink(sink: SinkUnit, taps: Taps, ask: Ask) -> None:
    module = importlib.import_module(f"agent.sinks.{sink.type}")
    await module.run(sink.config, taps, ask)


async def _checkpoints(journal: Journal, raw: bool, cycles: list[Cycle]) -> None:
    """A checkpoint is due when playing again what came since would take its share of a start (`runtime.restore`)."""
    share_ns = REPLAY_S * 1e9 / len(cycles)
    for number in count(1):
        await anyio.sleep(LOOK_S)
        for cycle in cycles:
            in_history = raw and number % HISTORY_STATE == 0
            cycle.checkpoint_due = cycle.spent_ns > share_ns / 2
            if in_history or cycle.spent_ns > share_ns or (not raw and number % WITHOUT_TICKS == 0):
                _save(journal, cycle, in_history)


def _save(journal: Journal, cycle: Cycle, in_history: bool = False) -> None:
    """A checkpoint; `in_history` also among the ticks, where a backtest can begin."""
    body, now_ns = states.freeze(cycle.asset, cycle.state), clock.now_ns()
    cycle.spent_ns, cycle.checkpoint_due = 0, False
    journal.put(records.checkpoint(cycle.asset.id, now_ns, body))
    if in_history:
        journal.put(Entry(records.RAW, cycle.asset.id, "state", now_ns, body))


def _out(hub: Hub, record: Callable[[Tick, Snapshot], None], tick: Tick, snapshot: Snapshot) -> None:
    record(tick, snapshot)
    hub.publish(snapshot)


def _record(journal: Journal, raw: bool, cycles: Mapping[str, Cycle], tick: Tick, snapshot: Snapshot) -> None:
    """Everything of one cycle into the journal, none of it waited for."""
    if raw:
        journal.put(records.tick(tick))
        journal.put(records.snapshot(snapshot))
    cycle, lasting = cycles[snapshot.asset], any(event.change in LASTING for event in snapshot.events)
    if lasting or (snapshot.summaries and cycle.checkpoint_due):
        # What lasts is written with its event at once: no event alone can bring it back after a power cut. Others go
        # with a summary, where the block before them ends anyway.
        _save(journal, cycle)
    for event in snapshot.events:
        journal.put(records.event(event))
    for summary in snapshot.summaries:
        journal.put(records.summary(summary))


def _audit(journal: Journal, event: Event) -> None:
    journal.put(records.audit(event))
