"""`edgetwin store export`: values as they were published, or events, as CSV or Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent.cli import journals
from agent.cli.tables import Column, Writer, writer
from agent.cli.telling import fail
from agent.cli.when import wall_ns
from agent.core import quality
from agent.core.nouns import F8, Kind, Point, Role
from agent.store import history, table
from agent.store.between import FOREVER_NS
from agent.store.history import Layouts

if TYPE_CHECKING:
    from agent.config.plan import Plan
    from agent.store.read import Reader
    from agent.store.table import Cycles

WORDS = (Kind.TEXT, Kind.ARRAY)


@dataclass(frozen=True, slots=True)
class Wanted:
    """begin and end as typed; tags: patterns, none for all that is measured; asset: only of this one."""

    begin: str = ""
    end: str = ""
    tags: tuple[str, ...] = ()
    asset: str = ""
    long: bool = False
    quality: bool = True
    events: bool = False


def run(file: Path, out: Path | None, wanted: Wanted, state_dir: Path | None) -> None:
    """Write the table; how many rows goes to stderr. Exit 1 if there is nothing in it."""
    span = wall_ns("--from", wanted.begin, 0), wall_ns("--to", wanted.end, FOREVER_NS)
    if span[0] >= span[1]:
        fail(f"--from {wanted.begin} is not before --to {wanted.end or 'the end'}", 2)
    path, plan = journals.found(file, state_dir)
    rows = journals.read(path, lambda reader: _written(reader, plan, out, wanted, span))
    typer.echo(f"{out or 'stdout'}: {rows} rows", err=True)
    raise typer.Exit(0 if rows else 1)


def _written(reader: Reader, plan: Plan | None, out: Path | None, wanted: Wanted, span: tuple[int, int]) -> int:
    known = {p.asset: plan.catalogue.of(p.asset) for p in plan.catalogue.parts} if plan else {}
    assets = [a for a in journals.assets(reader) if wanted.asset in ("", a)]
    if not assets:
        fail(f"no asset {wanted.asset} in this journal, there are {', '.join(journals.assets(reader)) or 'none'}", 2)
    if wanted.events:
        return _events(reader, assets, out, span)
    chosen = {a: _chosen(layouts, wanted.tags) for a in assets if (layouts := table.known(reader, a, known.get(a, ())))}
    chosen = {a: points for a, points in chosen.items() if points and (wanted.tags or a != "gateway" or wanted.asset)}
    if not chosen:
        fail(
            f"no point {', '.join(wanted.tags)} in this journal" if wanted.tags else "no raw history in this journal", 2
        )
    if wanted.long:
        return _long(reader, chosen, known, out, wanted, span)
    if len(chosen) > 1:
        have = ", ".join(chosen)
        fail(f"one row a cycle needs one asset, these are of {have}: choose with --asset, or take --shape long", 2)
    return _wide(reader, *chosen.popitem(), known, out, wanted, span)


def _chosen(layouts: Layouts, patterns: Sequence[str]) -> dict[str, Point]:
    """Points by id: those that match, or all that is measured; as they were last."""
    every = {point.id: point for _, points in layouts for point in points}
    if not patterns:
        return {name: point for name, point in every.items() if point.role == Role.MEASURED}
    return {name: point for name, point in every.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}


def _wide(
    reader: Reader,
    asset: str,
    points: dict[str, Point],
    known: dict[str, tuple[Point, ...]],
    out: Path | None,
    wanted: Wanted,
    span: tuple[int, int],
) -> int:
    columns = [Column("time", "time")]
    for name, point in points.items():
        columns.append(Column(name, "text" if point.kind in WORDS else "number"))
        columns += [Column(f"{name} quality", "word")] if wanted.quality else []
    layouts = table.known(reader, asset, known.get(asset, ()))
    with _opened(out, columns) as into:
        for found in table.cycles(reader, asset, list(points), layouts, *span):
            cells: list[Sequence[Any]] = [found.time_ns.tolist()]
            for n, point in enumerate(points.values()):
                cells.append(_values(found, n, point))
                cells += [_words(found, n)] if wanted.quality else []
            into.write(cells)
        return into.rows


def _long(
    reader: Reader,
    chosen: dict[str, dict[str, Point]],
    known: dict[str, tuple[Point, ...]],
    out: Path | None,
    wanted: Wanted,
    span: tuple[int, int],
) -> int:
    columns = [Column("time", "time"), Column("point", "word"), Column("value", "number"), Column("text", "text")]
    columns += [Column("quality", "word")] if wanted.quality else []
    columns += [Column("unit", "word")]
    with _opened(out, columns) as into:
        for asset, points in chosen.items():
            layouts = table.known(reader, asset, known.get(asset, ()))
            for found in table.cycles(reader, asset, list(points), layouts, *span):
                for n, (name, point) in enumerate(points.items()):
                    into.write(_column(found, n, name, point, wanted.quality))
        return into.rows


def _column(found: Cycles, n: int, name: str, point: Point, with_quality: bool) -> list[Sequence[Any]]:
    """The rows of one point in a long table."""
    k = len(found.time_ns)
    nothing: list[Any] = [None] * k
    said = _values(found, n, point)
    numbers, texts = (nothing, said) if point.kind in WORDS else (said, nothing)
    told = [_words(found, n)] if with_quality else []
    return [found.time_ns.tolist(), [name] * k, numbers, texts, *told, [point.unit] * k]


def _values(found: Cycles, n: int, point: Point) -> Sequence[Any]:
    """Numbers or texts of a column; None where there is no value."""
    if point.kind in WORDS:
        return [_text(found.beside.get((k, n))) for k in range(len(found.time_ns))]
    return [None if value != value else value for value in found.value[:, n].tolist()]


def _text(said: str | F8 | None) -> str | None:
    return said if said is None or isinstance(said, str) else " ".join(f"{value:g}" for value in said.tolist())


def _words(found: Cycles, n: int) -> list[str]:
    return [quality.name(status) for status in found.status[:, n].tolist()]


def _events(reader: Reader, assets: Sequence[str], out: Path | None, span: tuple[int, int]) -> int:
    names = ("asset", "change", "condition", "category", "priority", "text", "user", "cause", "clock")
    columns = [Column("time", "time"), Column("value", "number"), Column("limit", "number")]
    columns += [Column(name, "text") for name in names]
    with _opened(out, columns) as into:
        after: int | None = 0
        while after is not None:
            some, after = history.events(reader, assets, *span, after=after)
            rows = [_event(happened) for happened in some]
            if rows:
                into.write(list(zip(*rows, strict=True)))
        return into.rows


def _event(happened: history.Happened) -> tuple[Any, ...]:
    event, kept, c = happened.event, happened.record, happened.event.condition
    numbers = (c.value, c.limit) if c else (None, None)
    told = (c.id, c.category, c.priority) if c else ("", "", "")
    cause = event.case.cause if event.case else ""
    return kept.wall_ns, *numbers, kept.asset, event.change, *told, event.text, event.user, cause, kept.clock


@contextmanager
def _opened(out: Path | None, columns: Sequence[Column]) -> Iterator[Writer]:
    try:
        with writer(out, columns) as into:
            yield into
    except BrokenPipeError:
        raise typer.Exit(1) from None  # the reader of the terminal's end has seen enough
    except OSError as error:
        fail(f"{out}: {error.strerror or error}")
