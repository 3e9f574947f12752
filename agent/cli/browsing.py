"""`edgetwin browse`: what a device offers, for a person or as rows of a tag list."""

from __future__ import annotations

import csv
import importlib
import json
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import typer

from agent.cli.configuration import planned
from agent.cli.telling import fail
from agent.cli.telling import settings as chosen
from agent.cli.tracing import one_source
from agent.core.nouns import Found

COLUMNS = ("group", "tag", "description", "address", "type", "unit", "writable")
SHOWN = 40


def run(
    file: Path,
    source: str,
    node: str,
    depth: int,
    most: int,
    as_csv: bool,
    state_dir: Path | None,
    settings: Sequence[str],
) -> None:
    """Print a line a value; a last line on stderr says how many, and whether there are more."""
    found = _asked(file, source, "browse", (node, depth, most), state_dir, settings)
    if as_csv:
        writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows(found))
    else:
        for one in found:
            typer.echo(_line(one))
    more = f", stopped at --most {most}" if len(found) >= most else ""
    typer.echo(f"{len(found)} values{more}", err=True)


def record(
    file: Path,
    source: str,
    node: str,
    depth: int,
    most: int,
    out: Path,
    for_s: float,
    state_dir: Path | None,
    settings: Sequence[str],
) -> None:
    """Write a recording of the device, and say what is in it."""
    told = _asked(file, source, "record", (node, depth, most, for_s), state_dir, settings)
    out.write_text(json.dumps(told, indent=None, separators=(",", ":")) + "\n")
    typer.echo(f"{out}: {len(told['nodes'])} values, {len(told['changes'])} changes in {for_s:g} s")


def _asked(
    file: Path, source: str, what: str, arguments: tuple[Any, ...], state_dir: Path | None, settings: Sequence[str]
) -> Any:
    """What the driver of a source finds; ends the command where it cannot."""
    unit = one_source(planned(file, state_dir, chosen(settings)), source)
    ask = getattr(importlib.import_module(f"agent.drivers.{unit.type}"), what, None)
    if ask is None:
        fail(f"source {source} is of type {unit.type}, which cannot be browsed")
    try:
        return anyio.run(partial(ask, unit.config, *arguments))
    except (OSError, ValueError) as error:
        fail(str(error))


def _line(one: Found) -> str:
    value, access = _short(one.value), "rw" if one.writable else "r "
    return f"{'/'.join(one.path):40} {one.type:10} {access} {value:>{SHOWN}} {one.unit:6} {one.address}"


def rows(found: Sequence[Found]) -> list[dict[str, str]]:
    """Rows of a tag list; group and tag are the last two names of the path, made unique."""
    out, taken = list[dict[str, str]](), set[tuple[str, str]]()
    for one in found:
        group, tag = _word(one.path[-2]) if len(one.path) > 1 else "main", _word(one.path[-1])
        name, n = tag, 2
        while (group, name) in taken:
            name, n = f"{tag}_{n}", n + 1
        taken.add((group, name))
        access = {"writable": "yes" if one.writable else "no", "description": one.description.replace("\n", " ")}
        out.append({"group": group, "tag": name, "address": one.address, "type": one.type, "unit": one.unit, **access})
    return out


def _word(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_") or "x"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
