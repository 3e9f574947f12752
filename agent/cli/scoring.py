"""`edgetwin model score`: a detector over the rows of a recording, by the daemon's own code."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer

from agent.cli.telling import fail
from agent.config.problems import hint
from agent.core.nouns import F8, Mask
from agent.detect import onnx
from agent.detect.onnx import Params
from agent.fit import stepping
from agent.fit.recording import FitError, Recording
from agent.fit.residuals import ENDS as ENDS_RESIDUAL
from agent.fit.residuals import recorded
from agent.fit.stepping import Played

SCORE = "anomaly/score"
ENDS = ".contribution"


@dataclass(frozen=True, slots=True)
class Scored:
    """A detector over a recording: the file's name for people, what was played."""

    params: Params
    recording: Recording
    played: Played

    @property
    def score(self) -> F8:
        """f8[rows], NaN where there is none."""
        return self.played.usable(SCORE)

    @property
    def alarm(self) -> Mask:
        """bool[rows]: k of the last n scores were above the limit."""
        return np.asarray(self.score > self.params.about.limit, np.bool_)


def run(model: Path, path: Path, out: Path, tags: Sequence[str], where: Mapping[str, float], twin: Path | None) -> None:
    """Write one row for each row of the recording: time, score, limit, alarm, each tag's contribution."""
    params = _detector(model)
    try:
        recording = recorded(path, twin, where)
        scored = Scored(params, recording, _played(params, recording, _columns(params, recording, tags), where))
        _write(out, scored)
    except (FitError, OSError) as error:
        fail(str(error))
    typer.echo("\n".join(_told(out, scored)))


def _detector(path: Path) -> Params:
    try:
        return onnx.load(path.read_bytes())
    except OSError as error:
        fail(str(error))
    except ValueError as error:
        fail(f"{path}: {error}")


def _columns(params: Params, recording: Recording, given: Sequence[str]) -> dict[str, str]:
    """Column of each tag: its own name, unless `given` (TAG=COLUMN) says another. FitError names what is missing."""
    pairs = [text.partition("=")[::2] for text in given]
    unknown = [tag for tag, _ in pairs if tag not in params.tags]
    if unknown:
        raise FitError(f"--tags {unknown[0]}: the model reads no such tag{hint(unknown[0], params.tags)}")
    columns = {tag: tag for tag in params.tags} | {tag: column or tag for tag, column in pairs}
    for tag, column in columns.items():
        if column not in recording.names:
            what = column if column == tag else f"{column} for tag {tag}"
            residual = "; give the twin's file with --twin" if column.endswith(ENDS_RESIDUAL) else ""
            text = " (it is text)" if column in recording.texts else residual or hint(column, recording.names)
            raise FitError(f"{recording.path}: no column {what}{text}")
    return columns


def _played(params: Params, recording: Recording, columns: Mapping[str, str], where: Mapping[str, float]) -> Played:
    running = np.ones(len(recording.time_s), np.bool_)
    for name, wanted in where.items():
        running &= recording.columns([name])[:, 0] == wanted
    # A recording that does not say when a mode began has no beginning to settle after.
    used = stepping.model("detector", onnx, params, params.settle_s if where else 0.0)
    value = recording.columns(list(columns.values()))
    return stepping.play([used], list(columns), recording.time_s, value, running if where else None)


def _write(out: Path, scored: Scored) -> None:
    tags, limit = scored.params.tags, f"{scored.params.about.limit:.9g}"
    parts = np.column_stack([scored.played.usable(f"{tag}{ENDS}") for tag in tags])
    columns = zip(scored.recording.stamps, scored.score.tolist(), scored.alarm.tolist(), parts.tolist(), strict=True)
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["time", "score", "limit", "alarm", *(f"{tag}{ENDS}" for tag in tags)])
        writer.writerows([t, _cell(s), limit, int(a), *map(_cell, each)] for t, s, a, each in columns)


def _cell(value: float) -> str:
    return f"{value:.9g}" if value == value else ""


def _told(out: Path, scored: Scored) -> Iterator[str]:
    """What came of it, for people."""
    score, alarm = scored.score, scored.alarm
    known = np.isfinite(score)
    begins = np.flatnonzero(alarm & ~np.concatenate([[False], alarm[:-1]]))
    yield f"written: {out}, {len(score)} rows, {int(known.sum())} with a score, {int(alarm.sum())} in alarm"
    if known.any():
        k, n = scored.params.about.persistence
        at = int(np.nanargmax(score))
        yield (
            f"{len(begins)} alarms ({k} of {n} rows above the limit); the largest score is {score[at]:.3g} times the"
            f" limit at {scored.recording.stamps[at]}, most of it {_blamed(scored, at)}"
        )
    else:
        yield f"no row has a score: {_why_none(scored)}"
    yield from (f"row {row}: {text}" for row, text in scored.played.faults[:1])


def _blamed(scored: Scored, row: int) -> str:
    parts = [scored.played.usable(f"{tag}{ENDS}")[row] for tag in scored.params.tags]
    return scored.params.tags[int(np.argmax(parts))]


def _why_none(scored: Scored) -> str:
    about, recording = scored.params.about, scored.recording
    if len(recording.time_s) < about.window:
        return f"the model looks back on {about.window} rows, the recording has {len(recording.time_s)}"
    return f"it needs {about.window} rows on end, each {about.period_s:g} s, with all of {', '.join(about.tags)}"
