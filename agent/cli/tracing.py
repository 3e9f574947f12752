"""`edgetwin trace`: records the bus of one source while all its tags are read, and what was read of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import typer

from agent.cli import feeding
from agent.cli.configuration import planned
from agent.cli.reading import trying
from agent.cli.telling import fail, finite
from agent.cli.telling import settings as chosen
from agent.core import quality
from agent.core.nouns import Batch, Tag
from agent.runtime import meters

if TYPE_CHECKING:
    from agent.config.plan import Plan, SourceUnit

# Of a device at another place these say nothing, and some of them nobody should see.
PRIVATE = {"host", "port", "backup_host", "backup_port", "device", "trace_file", "trace_mb", "ca_file", "certificate"}
PRIVATE |= {"private_key", "server_name", "fingerprint", "return_after_s"}
LARGEST_MB = 1000.0


def run(file: Path, source: str, out: Path, for_s: float, state_dir: Path | None, settings: Sequence[str]) -> None:
    """Record, say what came of it; exit 1 where nothing was answered."""
    plan = planned(file, state_dir, chosen(settings))
    unit = one_source(plan, source)
    if "trace_file" not in type(unit.config).model_fields:
        fail(f"{source} is of type {unit.type}: only the bus of a modbus source can be recorded")
    _beside_daemon(plan, unit)
    for old in (out, out.with_name(out.name + ".1")):
        old.unlink(missing_ok=True)
    config = unit.config.model_copy(update={"trace_file": out.absolute(), "trace_mb": LARGEST_MB})
    counted = meters.install(meters.Meters())
    read = anyio.run(_read, replace(unit, config=config), for_s)
    beside = out.with_suffix(".json")
    beside.write_text(json.dumps(finite(_described(unit, read)), indent=1, allow_nan=False) + "\n")
    good = sum(not quality.is_bad(status) for status, _ in read.values())
    asked, failed = (int(counted.read(f"{unit.id}/{name}") or 0) for name in ("requests", "errors"))
    typer.echo(f"{out}: {asked} requests, {failed} errors in {for_s:g} s")
    typer.echo(f"{beside}: {good} of {len(unit.tags)} tags with a value")
    if not good:
        raise typer.Exit(1)


def one_source(plan: Plan, id_: str) -> SourceUnit:
    """A source by its id; ends the command where there is none."""
    known = {source.id: source for source in plan.sources if source.type != "self"}
    if id_ not in known:
        fail(f"no source {id_}, expected one of {', '.join(known)}")
    return known[id_]


def _beside_daemon(plan: Plan, unit: SourceUnit) -> None:
    try:
        asyncio.run(feeding.full_state(plan.feed_socket, 0.5))
    except ConnectionError:
        return
    if getattr(unit.config, "serial", False):
        fail(
            f"the daemon runs and holds the line of {unit.id}: stop it first, or set trace_file in its configuration "
            "to record while it runs"
        )
    typer.echo(f"{unit.id}: the daemon reads it too, over a connection of its own", err=True)


async def _read(source: SourceUnit, for_s: float) -> dict[str, tuple[int, Any]]:
    """Status and value of each tag at the end."""
    found: dict[str, tuple[int, Any]] = {t.id: (quality.BAD_NO_COMMUNICATION, None) for t in source.tags}

    def put(batch: Batch) -> None:
        beside = {**dict(batch.texts), **{row: array.tolist() for row, array in batch.arrays}}
        for row, index in enumerate(batch.tag.tolist()):
            value = beside.get(row, float(batch.value[row]))
            found[source.tags[index].id] = (int(batch.status[row]), value)

    with anyio.move_on_after(for_s):
        await trying(source, source.tags, put)
    return found


def _described(source: SourceUnit, read: dict[str, tuple[int, Any]]) -> dict[str, Any]:
    """What a test needs beside the recording: the source's settings but for where it is, its tags, what was read."""
    options = source.config.model_dump(mode="json", exclude=PRIVATE, exclude_defaults=True)
    values = {id_: {"status": quality.name(status), "value": value} for id_, (status, value) in read.items()}
    return {"source": options, "tags": [_written(tag) for tag in source.tags], "read": values}


def _written(tag: Tag) -> dict[str, Any]:
    """The fields of a tag that are not as they would be anyway."""
    usual = Tag("", "")
    shown = {f.name: getattr(tag, f.name) for f in fields(tag)}
    return {name: value for name, value in shown.items() if repr(value) != repr(getattr(usual, name))}
