"""Makes a `detect.onnx` file from a recording of the healthy machine: `edgetwin fit detector`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from agent.core.nouns import F8
from agent.detect import drift
from agent.detect import onnx as detect
from agent.detect.metadata import KIND, SCHEMA, Metadata
from agent.fit.detection import detector as whole
from agent.fit.detection import page as pages
from agent.fit.detection.choose import KINDS, Candidate, Choices, Judged, Made, make
from agent.fit.detection.detector import Detector
from agent.fit.detection.folds import FOLDS
from agent.fit.detection.graph import onnx_bytes
from agent.fit.detection.threshold import Threshold
from agent.fit.exclude import applied
from agent.fit.recording import FitError, Recording, Segment, cut
from agent.fit.residuals import recorded

WORST_AGREEMENT = 1e-3
QUANTILES = (0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)

SCORE_TEXT = (
    "distance from the healthy windows over its limit: 0 is their centre, above 1 for k of the last n rows alarms"
)
CONTRIBUTION_TEXT = "score times the share of its square that goes if this tag read what fits the others best"


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What was made and how good it is. smallest_step f8[C]: steps that alarm, each in the tag's own unit."""

    path: str
    bytes: int
    about: Metadata
    dropped: tuple[str, ...]
    compared: tuple[Judged, ...]
    threshold: Threshold
    smallest_step: F8
    agreement: float
    page: str

    def lines(self) -> list[str]:
        """The report for a person."""
        about, found, held = self.about, self.threshold, self.about.holdout
        asked = about.threshold["budget_alarms_per_day"]
        hours = found.rows * about.period_s / 3600.0
        steps = zip(about.tags, self.smallest_step, about.units, strict=True)
        short = f" (asked: {asked:g}, but the recording is too short)" if found.alarms_per_day > asked else ""
        source = about.calibration.get("file") or f"{FOLDS} blocks not fitted on"
        return [
            f"{self.path}: {self.bytes} bytes, {len(about.tags)} tags",
            *(f"left out: {name}" for name in self.dropped),
            f"windows of {about.window} rows, each {about.period_s:g} s; {len(self.compared)} candidates;"
            " of rows with simulated faults these alarm at the right tag:",
            *(f"  {100 * each.found:5.1f} %  {each}" for each in self._shown()),
            f"limit for {found.alarms_per_day:.3g} alarms a day{short}, from {hours:.2f} h in {source}:"
            f" {found.peaks} peaks; the largest is {found.largest / found.limit:.2f} of the limit",
            f"hold-out of {held['hours']:.2f} h: {held['alarms']:.0f} alarms, {held['over_percent']:.2f} % of rows"
            f" over the limit, the largest score {held['largest']:.2f}",
            "steps that alarm: " + ", ".join(f"{tag} {size:.3g} {unit}".strip() for tag, size, unit in steps),
            f"file and fit agree to {self.agreement:.1e} of the limit",
            f"written: {self.path}" + (f" and {self.page}" if self.page else ""),
        ]

    def _shown(self) -> list[Judged]:
        """The chosen one, then the best of each other make."""
        best = dict[tuple[str, ...], Judged]()
        for each in self.compared:
            best.setdefault(tuple(c.family for c in each.candidates), each)
        return list(best.values())


def fit(
    recording_path: str | Path,
    *,
    out: str | Path,
    tags: Sequence[str] | None = None,
    where: Mapping[str, float] | None = None,
    rows: slice | None = None,
    window: int = 30,
    budget_alarms_per_day: float = 1.0,
    modes: Sequence[str] = ("running",),
    settle_s: float = 60.0,
    period_s: float | None = None,
    units: Mapping[str, str] | None = None,
    persistence: tuple[int, int] = (3, 5),
    hold_rows: int = 3,
    exclude: str | Path | None = None,
    kind: str = "auto",
    calibrate: str | Path | None = None,
    twin: str | Path | None = None,
    page: bool = True,
) -> Report:
    """Makes a detector from a recording of the healthy machine and writes it to `out`.

    tags: columns to watch, each as `column`, or `tag=column` where the tag has another name live (default: all numeric
    columns but those of `where`). where: rows to use, as column = value. rows: a slice of the file's rows.
    window: in rows of period_s. settle_s: after entry into `where`, not fitted and not believed. units: of the tags,
    checked live if given. persistence: an alarm is k of n scores. hold_rows: how long an absent value is held.
    exclude: a file of times to leave out, see `agent.fit.exclude`. kind: a family of `choose.FAMILIES`, or auto.
    calibrate: another recording of the healthy machine, which the limit is set and the choice is made by.
    twin: a twin's file, whose residuals join the columns as `<tag>.residual`.
    page: whether a page with pictures is written beside `out`.
    The same recording gives the same bytes. FitError says in words why there is no detector.
    """
    recording = applied(recorded(recording_path, twin, where), exclude)
    choices = Choices(
        window,
        budget_alarms_per_day,
        tuple(modes),
        settle_s,
        period_s or recording.period_s,
        persistence,
        hold_rows,
        kind,
    )
    _check(choices, rows)
    named = _named(recording, tags, where or {})
    segments = _segments(recording, tuple(named.values()), where, rows, choices)
    kept, dropped = _constant(tuple(named), segments)
    runs = [segment.value[:, kept] for segment in segments]
    names = tuple(name for i, name in enumerate(named) if kept[i])
    other = _calibration(
        calibrate, twin, exclude, [column for i, column in enumerate(named.values()) if kept[i]], where, choices
    )
    found = make(runs, choices, str(recording_path), other)
    made = found.detector
    about = _about(names, units or {}, choices, found, runs, recording, rows)
    if calibrate is not None:
        about = replace(about, calibration={**about.calibration, "file": Path(calibrate).name})
    content = onnx_bytes(made, about.props())
    agreement = _agreement(content, made, runs)
    Path(out).write_bytes(content)
    steps = whole.smallest_step(made)
    beside = Path(out).with_suffix(".html") if page else None
    if beside:
        pages.write(beside, pages.Shown(str(recording_path), about, found, runs, steps, dropped))
    return Report(
        str(out), len(content), about, dropped, found.compared, found.threshold, steps, agreement, str(beside or "")
    )


def _check(choices: Choices, rows: slice | None) -> None:
    k, n = choices.persistence
    if not 1 <= k <= n:
        raise FitError(f"persistence {k} of {n}: expected 1 <= k <= n")
    if choices.kind not in KINDS:
        raise FitError(f"kind {choices.kind}: expected {', '.join(KINDS)}")
    if choices.window < 2:
        raise FitError(f"window {choices.window}: expected at least 2 rows")
    if not choices.budget_alarms_per_day > 0:
        raise FitError(f"budget {choices.budget_alarms_per_day:g} alarms a day: expected more than 0")
    if rows is not None and rows.step not in (None, 1):
        raise FitError("rows: expected an unbroken range")


def _named(recording: Recording, tags: Sequence[str] | None, where: Mapping[str, float]) -> dict[str, str]:
    """Column of each tag."""
    if tags is None:
        return {name: name for name in recording.names if name not in where}
    named: dict[str, str] = {}
    for text in tags:
        name, _, column = text.partition("=")
        if name in named:
            raise FitError(f"tag {name} is named twice")
        named[name] = column or name
    if not named:
        raise FitError("no tags given")
    return named


def _segments(
    recording: Recording,
    columns: tuple[str, ...],
    where: Mapping[str, float] | None,
    rows: slice | None,
    choices: Choices,
) -> list[Segment]:
    """Unbroken stretches. The first window of each ends when the settling time is over, as it does live."""
    settle_s = max(0.0, choices.settle_s - choices.window * choices.period_s)
    found = cut(
        recording,
        columns,
        where=where,
        settle_s=settle_s if where else 0.0,
        period_s=choices.period_s,
        gap_periods=choices.hold_rows + 0.5,
    )
    start, stop, _ = (rows or slice(None)).indices(len(recording.time_s))
    chosen = [_between(segment, start, stop) for segment in found]
    chosen = [segment for segment in chosen if len(segment.row) >= choices.window]
    if not chosen:
        where_text = "".join(f" where {name}={value:g}" for name, value in (where or {}).items())
        raise FitError(
            f"{recording.path}: no {choices.window} rows on end{where_text} with all of {', '.join(columns)}"
        )
    return chosen


def _calibration(
    path: str | Path | None,
    twin: str | Path | None,
    exclude: str | Path | None,
    columns: Sequence[str],
    where: Mapping[str, float] | None,
    choices: Choices,
) -> list[F8]:
    """Unbroken rows of the same columns in the other recording, where there is one."""
    if path is None:
        return []
    other = applied(recorded(path, twin, where), exclude)
    return [segment.value for segment in _segments(other, tuple(columns), where, None, choices)]


def _between(segment: Segment, start: int, stop: int) -> Segment:
    keep = (segment.row >= start) & (segment.row < stop)
    return Segment(segment.time_s[keep], segment.value[keep], segment.row[keep])


def _constant(names: tuple[str, ...], segments: Sequence[Segment]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which tags move at all, bool[C], and a line for each that does not."""
    value = np.vstack([segment.value for segment in segments])
    moves = np.ptp(value, axis=0) > 1e-9 * np.maximum(np.abs(value).max(axis=0), 1e-9)
    still = tuple(f"{name} (constant at {value[0, i]:g})" for i, name in enumerate(names) if not moves[i])
    if not moves.any():
        raise FitError(f"every tag is constant in the rows used: {', '.join(names)}")
    return moves, still


def _agreement(content: bytes, made: Detector, runs: Sequence[F8]) -> float:
    """The largest difference between the file and the fit over one run. FitError where it matters."""
    params = detect.load(content)
    run = max(runs, key=len)[: 1000 + made.window]
    windows = np.lib.stride_tricks.sliding_window_view(run, made.window, axis=0).transpose(0, 2, 1)
    given, expected = detect.score(params, windows), whole.score(made, run)
    worst = max(float(np.abs(a - b).max()) for a, b in zip(given, expected, strict=True))
    if worst > WORST_AGREEMENT:
        raise FitError(f"the file differs from the fit by {worst:.2g} of the limit: its tags are too nearly collinear")
    return worst


def _about(
    names: tuple[str, ...],
    units: Mapping[str, str],
    choices: Choices,
    made: Made,
    runs: Sequence[F8],
    recording: Recording,
    rows: slice | None,
) -> Metadata:
    start, stop, _ = (rows or slice(None)).indices(len(recording.time_s))
    figures = {name: _rounded(value) for name, value in asdict(made.threshold).items()}
    return Metadata(
        schema=SCHEMA,
        kind=KIND,
        tags=names,
        units=tuple(units.get(name, "") for name in names),
        window=choices.window,
        period_s=choices.period_s,
        modes=choices.modes,
        settle_s=choices.settle_s,
        hold_rows=choices.hold_rows,
        persistence=choices.persistence,
        limit=1.0,
        score=SCORE_TEXT,
        contribution=CONTRIBUTION_TEXT,
        threshold={**figures, "budget_alarms_per_day": choices.budget_alarms_per_day},
        calibration={"first_row": start, "last_row": stop - 1, "blocks": FOLDS, "windows": made.threshold.rows},
        holdout={name: _rounded(value) for name, value in made.holdout.items()},
        features={"parts": [_described(each) for each in made.chosen.candidates]},
        training_sha256=recording.sha256,
        created_by=f"edgetwin {_version()}",
        reference=_reference(made, runs),
    )


def _reference(made: Made, runs: Sequence[F8]) -> dict[str, object]:
    """How healthy rows were: quantiles of each tag in its unit, and of the published score of rows not fitted on."""
    inputs = np.quantile(np.vstack(runs), QUANTILES, axis=0).T
    score = np.quantile(np.concatenate(made.held_out), QUANTILES)
    return {
        "quantiles": list(QUANTILES),
        "inputs": [[_rounded(value) for value in tag] for tag in inputs],
        "score": [_rounded(value) for value in score],
        "alarms_per_day": _rounded(made.threshold.alarms_per_day),
        "quarters": [
            _rounded(value)
            for rows in (np.concatenate(made.held_out)[:, None], np.vstack(runs))
            for value in drift.quarters(rows, QUANTILES)
        ],
    }


def _described(candidate: Candidate) -> dict[str, object]:
    return {"family": candidate.family, **asdict(candidate.folding), **dict(candidate.settings)}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def _version() -> str:
    try:
        return importlib.metadata.version("edgetwin")
    except importlib.metadata.PackageNotFoundError:
        return "unversioned"
