"""`edgetwin probe`: does the device of a source answer, and what lies at an address in every byte order."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import typer

from agent.cli.configuration import planned
from agent.cli.telling import fail
from agent.cli.telling import settings as chosen
from agent.cli.tracing import one_source
from agent.core.nouns import Tag

if TYPE_CHECKING:
    from agent.config.plan import SourceUnit


def run(
    file: Path,
    source: str,
    tags: Sequence[str],
    addresses: Sequence[str],
    state_dir: Path | None,
    settings: Sequence[str],
) -> None:
    """Ask the device itself; exit 1 with the reason if it does not answer."""
    unit = one_source(planned(file, state_dir, chosen(settings)), source)
    driver = importlib.import_module(f"agent.drivers.{unit.type}")
    wanted = [_tag(unit, name) for name in tags]
    if (wanted or addresses) and not hasattr(driver, "decodings"):
        fail(f"{source} is of type {unit.type}, whose values have one form only: expected no tag or address")
    try:
        typer.echo(anyio.run(_ask, driver, unit, addresses, wanted))
    except (OSError, ValueError) as error:
        fail(f"{source}: {error}")


async def _ask(driver: Any, unit: SourceUnit, addresses: Sequence[str], tags: Sequence[Tag]) -> str:
    found: str = await (
        driver.decodings(unit.config, addresses, tags) if addresses or tags else driver.probe(unit.config)
    )
    return found


def _tag(unit: SourceUnit, name: str) -> Tag:
    found = next((tag for tag in unit.tags if name in (tag.id, tag.id.partition("/")[2])), None)
    if found is None:
        fail(f"source {unit.id} has no tag {name}")
    return found
