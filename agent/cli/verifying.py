"""`edgetwin store check`: every record of a journal read, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import typer

from agent.cli import journals
from agent.cli.alarming import utc
from agent.cli.telling import as_json
from agent.store import schema, verify
from agent.store.read import Reader
from agent.store.schema import StoreError
from agent.store.verify import Tally

MOST = 50


def run(file: Path, state_dir: Path | None, json: bool) -> None:
    """Print what is there and what is wrong; exit 1 if anything is."""
    path, _ = journals.found(file, state_dir)
    tallies: dict[str, Tally] = {}
    in_use = schema.in_use(path)
    wrong = journals.read(path, lambda reader: _wrong(reader, tallies, in_use))
    if json:
        told = {class_: asdict(tally) for class_, tally in tallies.items()}
        as_json({"journal": str(path), "in_use": in_use, "classes": told, "wrong": wrong})
    else:
        typer.echo("\n".join([str(path), *_lines(tallies), *_told(wrong, in_use)]))
    raise typer.Exit(1 if wrong else 0)


def _wrong(reader: Reader, tallies: dict[str, Tally], in_use: bool) -> list[str]:
    try:
        found = [*verify.records(reader, tallies), *verify.missing(reader)]
        return found if in_use else found + verify.structure(reader)
    except StoreError as error:
        return [f"database: {error}"]


def _lines(tallies: Mapping[str, Tally]) -> list[str]:
    return [
        f"  {class_:10} {t.records:8} records {t.bytes / 1e6:9.2f} MB{_time(t)}{_inside(t)}"
        for class_, t in sorted(tallies.items())
    ]


def _time(tally: Tally) -> str:
    return f"  {utc(tally.first_ns)} to {utc(tally.last_ns)}" if tally.first_ns else ""


def _inside(tally: Tally) -> str:
    return f", {tally.messages} ticks and snapshots" if tally.messages else ""


def _told(wrong: list[str], in_use: bool) -> list[str]:
    beside = (
        "a daemon writes it, so its pages and indexes were not looked at" if in_use else "its pages and indexes too"
    )
    if not wrong:
        return [f"sound: every record is what was written, none is missing without a gap record ({beside})"]
    more = [f"and {len(wrong) - MOST} more"] if len(wrong) > MOST else []
    return [f"{len(wrong)} wrong:", *(f"  {text}" for text in wrong[:MOST]), *more]
