"""`edgetwin read`: the value of tags now, from the daemon if one runs, else from the machine itself."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import numpy as np
import typer

from agent.cli import feeding
from agent.cli.configuration import planned
from agent.cli.telling import as_json, fail, listed
from agent.cli.telling import settings as chosen
from agent.core import quality
from agent.core.nouns import Answer, Batch, Tag, Write
from agent.engine import derived

if TYPE_CHECKING:
    from agent.config.plan import Plan, SourceUnit
    from agent.engine.asset import Asset


Value = float | str | list[float]


@dataclass(frozen=True, slots=True)
class Reading:
    """One value as it was read. `by`: daemon or machine."""

    id: str
    value: Value
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
            typer.echo(f"{r.id:40} {_shown(r.value):>14} {r.unit:8} {quality.name(r.status)} (from the {r.by})")
    if any(quality.is_bad(r.status) for r in readings):
        raise typer.Exit(1)


def _shown(value: Value) -> str:
    if isinstance(value, list):
        return listed(value)
    return value if isinstance(value, str) else f"{value:.6g}"


def _fields(reading: Reading) -> dict[str, Value]:
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
        value: Value = float("nan")
        status = quality.BAD_WAITING_FOR_INITIAL_DATA
        if snapshot is not None:
            value, status = float(snapshot.value[row]), int(snapshot.status[row])
            value = snapshot.arrays[row].tolist() if row in snapshot.arrays else snapshot.texts.get(row, value)
        found.append(Reading(id_, value, known[id_].unit, status, "daemon"))
    return found


async def _from_machine(plan: Plan, ids: Sequence[str], timeout_s: float) -> list[Reading]:
    """Each source is opened with just the tags asked for, and those that the derived ones among them are made of."""
    sources = {tag.id: (source, tag) for source in plan.sources if source.type != "self" for tag in source.tags}
    computed = {tag: asset for asset in plan.assets for tag in derived.operands(asset)}
    for id_ in ids:
        if id_ not in sources and id_ not in computed:
            fail(_unknown(id_, [*sources, *computed]) + " (estimates need a running daemon)")
    read = [i for id_ in ids for i in (derived.operands(computed[id_])[id_] if id_ in computed else (id_,))]
    found: dict[str, Reading] = {}
    async with anyio.create_task_group() as group:
        for source in {id(sources[i][0]): sources[i][0] for i in read}.values():
            wanted = [sources[i][1] for i in dict.fromkeys(read) if sources[i][0] is source]
            group.start_soon(_ask_source, source, wanted, found, timeout_s)
    for asset in {id(computed[i]): computed[i] for i in ids if i in computed}.values():
        found |= _computed(asset, found)
    return [found[id_] for id_ in ids]


def _computed(asset: Asset, found: Mapping[str, Reading]) -> dict[str, Reading]:
    """The derived tags of an asset, of what was read of it."""
    given = [found.get(tag.id) for tag in asset.tags]
    numbers = [r.value if r and isinstance(r.value, float) else float("nan") for r in given]
    status = np.array([r.status if r else quality.BAD_WAITING_FOR_INITIAL_DATA for r in given], np.uint32)
    arrays = {n: np.array(r.value) for n, r in enumerate(given) if r and isinstance(r.value, list)}
    values, states = derived.once(asset.derived, np.array(numbers), status, arrays)
    tags = [asset.tags[row] for row in asset.derived.rows.tolist()]
    columns = zip(tags, values.tolist(), states.tolist(), strict=True)
    return {tag.id: Reading(tag.id, value, tag.unit, status, "machine") for tag, value, status in columns}


async def _ask_source(source: SourceUnit, tags: Sequence[Tag], found: dict[str, Reading], timeout_s: float) -> None:
    """Run the driver until each tag has a value that is not Bad, or the time is over."""
    for tag in tags:
        found[tag.id] = Reading(tag.id, float("nan"), tag.unit, quality.BAD_NO_COMMUNICATION, "machine")
    done = anyio.Event()

    def put(batch: Batch) -> None:
        beside: dict[int, Value] = {**dict(batch.texts), **{row: array.tolist() for row, array in batch.arrays}}
        for row, index in enumerate(batch.tag.tolist()):
            tag, status = tags[index], int(batch.status[row])
            value = beside.get(row, float(batch.value[row]))
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
