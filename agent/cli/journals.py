"""The journal that a command is about: one itself, or that of a configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from agent.cli.backtest import journal_at
from agent.cli.configuration import planned
from agent.cli.telling import fail
from agent.store.read import Reader
from agent.store.schema import StoreError

if TYPE_CHECKING:
    from agent.config.plan import Plan

T = TypeVar("T")


def found(file: Path, state_dir: Path | None) -> tuple[Path, Plan | None]:
    """(journal, plan of its configuration); no plan where FILE is a journal or a folder with one."""
    if file.suffix not in (".yaml", ".yml"):
        journal = journal_at(file)
        if journal is None:
            fail(f"{file}: expected a configuration (*.yaml) or a journal, this is neither", 2)
        return journal, None
    plan = planned(file, state_dir, {})
    return plan.journal.path, plan


def read(path: Path, ask: Callable[[Reader], T]) -> T:
    """What is asked of a journal; ends with a line where it cannot be read."""
    try:
        reader = Reader.open(path)
        try:
            return ask(reader)
        finally:
            reader.close()
    except (StoreError, OSError) as error:
        if not path.exists():
            fail(f"{path}: there is no journal yet. Start the daemon with: edgetwin run FILE", 3)
        fail(f"{path}: {error}")


def assets(reader: Reader) -> list[str]:
    """All assets that a journal knows, in the order of their names."""
    return [str(asset) for (asset,) in reader.all("SELECT DISTINCT asset FROM record ORDER BY asset")]
