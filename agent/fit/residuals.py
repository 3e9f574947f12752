"""What a twin says of a recording, as columns beside it: inputs of a detector that looks at residuals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from agent import twin as kind
from agent.core import quality
from agent.core.nouns import F8
from agent.fit import stepping
from agent.fit.recording import FitError, Recording, read
from agent.fit.stepping import Played
from agent.twin.twin import Twin

ENDS = ".residual"


def recorded(path: str | Path, twin: str | Path | None, where: Mapping[str, float] | None = None) -> Recording:
    """A recording, with a column `<tag>.residual` for each measured output of a twin, where a file of one is given.

    The twin runs over the rows as it does in the daemon; where it settles or says nothing the cell is absent.
    """
    recording = read(path)
    if twin is None:
        return recording
    try:
        known = kind.load(Path(twin).read_bytes())
    except ValueError as error:
        raise FitError(f"{twin}: {error}") from error
    names, value = of(known, recording, where or {})
    new = [i for i, name in enumerate(names) if name not in recording.names]
    return replace(
        recording,
        names=(*recording.names, *(names[i] for i in new)),
        value=np.hstack([recording.value, value[:, new]]),
    )


def of(twin: Twin, recording: Recording, where: Mapping[str, float]) -> tuple[tuple[str, ...], F8]:
    """(names, f8[n, p]) of a twin's residuals over the rows of a recording, NaN where it gives none."""
    running = np.ones(len(recording.time_s), np.bool_)
    for name, wanted in where.items():
        running &= recording.columns([name])[:, 0] == wanted
    used = stepping.model("twin", kind, twin, twin.settle_s if where else 0.0)
    tags = twin.plant.tags
    played = stepping.play([used], tags, recording.time_s, recording.columns(tags), running if where else None)
    names = tuple(f"{channel.tag}{ENDS}" for channel in twin.plant.outputs)
    return names, np.column_stack([_settled(played, name) for name in names])


def _settled(played: Played, name: str) -> F8:
    """As a detector takes it live: nothing while the twin settles."""
    settling = played.status[:, played.names.at[name]] == quality.UNCERTAIN_INITIAL_VALUE
    return np.where(settling, np.nan, played.usable(name))
