"""`edgetwin read`: the value of tags now, from the daemon if one runs, else from the machine itself."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import typer

from agent.cli import feeding
from agent.cli.configuration import planned
from agent.cli.telling import as_json, fail
from agent.cli.telling import settings as chosen
from agent.core import quality
from agent.core.nouns import Answer, Batch, Tag, Write

if TYPE_CHECKING:
    from agent.config.plan import Plan, SourceUnit


@dataclass(frozen=True, slots=True)
class Reading:
    """One value as it was read. `by`: daemon or machine."""

    id: str
    value: float | str
    unit: str
    status: int
    by: str


def run(
    file: Path, tags: Sequence[str], state_dir: Path | None, settings: Sequence[str], json: bool, timeout_s: float
) -> None:
    """Print each tag; exit 1 if one is Bad."""
    plan = planned(file, state_dir, chosen(settings))
    try:
        readings = asyncio.run(_from_daemon(plan.feed_socket, tags, timeout_s))
    except ConnectionError:
        readings = anyio.run(_from_machine, plan, tags, timeout_s)
    if json:
        as_json([{**_fields(r), "status": quality.name(r.status)} for r in readings])
    else:
        for r in readings:
            value = r.value if isinstance(r.value, str) else f"{r.value:.6g}"
            typer.echo(f"{r.id:40} {value:>14} {r.unit:8} {quality.name(r.status)} (from the {r.by})")
    if any(quality.is_bad(r.status) for r in readings):
        raise typer.Exit(1)


def _fields(reading: Reading) -> dict[str, float | str]:
    return {"id": reading.id, "value": reading.value, "unit": reading.unit, "by": reading.by}


async def _from_daemon(socket: Path, ids: Sequence[str], timeout_s: float) -> list[Reading]:
    catalogue, snapshots = await feeding.full_state(socket, timeout_s)
    known = {point.id: point for point in catalogue.points}
    found = []
    for id_ in ids:
        if id_ not in known:
            fail(_unknown(id_, list(known)))
        asset = id_.partition("/")[0]
        row = [p.id for p in catalogue.of(asset)].index(id_)
        snapshot = snapshots.get(asset)
        value, status = float("nan"), quality.BAD_WAITING_FOR_INITIAL_DATA
        if snapshot is not None:
            value, status = float(snapshot.value[row]), int(snapshot.status[row])
        shown = snapshot.texts.get(row, value) if snapshot else value
        found.append(Reading(id_, shown, known[id_].unit, status, "daemon"))
    return found


async def _from_machine(plan: Plan, ids: Sequence[str], timeout_s: float) -> list[Reading]:
    """Each source is opened with just the tags asked for."""
    sources = {tag.id: (source, tag) for source in plan.sources if source.type != "self" for tag in source.tags}
    for id_ in ids:
        if id_ not in sources:
            fail(_unknown(id_, list(sources)) + " (estimates need a running daemon)")
    found: dict[str, Reading] = {}
    async with anyio.create_task_group() as group:
        for source in {id(sources[i][0]): sources[i][0] for i in ids}.values():
            wanted = [sources[i][1] for i in dict.fromkeys(ids) if sources[i][0] is source]
            group.start_soon(_ask_source, source, wanted, found, timeout_s)
    return [found[id_] for id_ in ids]


async def _ask_source(source: SourceUnit, tags: Sequence[Tag], found: dict[str, Reading], timeout_s: float) -> None:
    """Run the driver until each tag has a value that is not Bad, or the time is over."""
    for tag in tags:
        found[tag.id] = Reading(tag.id, float("nan"), tag.unit, quality.BAD_NO_COMMUNICATION, "machine")
    done = anyio.Event()

    def put(batch: Batch) -> None:
        texts = dict(batch.texts)
        for row, index in enumerate(batch.tag.tolist()):
            tag, status = tags[index], int(batch.status[row])
            value = texts.get(row, float(batch.value[row]))
            found[tag.id] = Reading(tag.id, value, tag.unit, status, "machine")
        if not any(quality.is_bad(found[tag.id].status) for tag in tags):
            done.set()

    with anyio.move_on_after(timeout_s):
        async with anyio.create_task_group() as group:
            group.start_soon(trying, source, tags, put)
            await done.wait()
            group.cancel_scope.cancel()


async def trying(source: SourceUnit, tags: Sequence[Tag], put: Callable[[Batch], None]) -> None:
    """The driver again and again, each failure told once."""
    driver, told = importlib.import_module(f"agent.drivers.{source.type}"), set[str]()
    ends, writes = anyio.create_memory_object_stream[tuple[Write, Callable[[Answer], None]]](0)
    with ends, writes:
        while True:
            try:
                await driver.run(source.config, tags, put, writes)
            except OSError as error:
                if str(error) not in told:
                    told.add(str(error))
                    typer.echo(f"{source.id}: {error}", err=True)
            await anyio.sleep(0.5)


def _unknown(id_: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(id_, known, 1, 0.5)
    return f"no tag {id_}" + (f", did you mean {near[0]}?" if near else "")
