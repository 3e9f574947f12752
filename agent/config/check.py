"""Whether a configuration can be used, without starting anything or asking any device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.config.load import load
from agent.config.problems import ConfigErrors, Problem
from agent.core.nouns import EMPTY


def check(path: str | Path, state_dir: str | Path | None = None, settings: Mapping[str, str] = EMPTY) -> list[Problem]:
    """Every problem of a file and of all files it names, in order; none if it can be used."""
    try:
        load(path, state_dir, settings)
    except ConfigErrors as errors:
        return list(errors.problems)
    return []
