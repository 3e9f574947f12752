"""`edgetwin whatif`: try a change before it is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from agent.cli import outcome, wording
from agent.cli.present import Present, present
from agent.cli.telling import as_json, fail
from agent.cli.telling import where as conditions
from agent.twin.trial import whatif
from agent.twin.trial.loop import Control, Loop
from agent.twin.trial.whatif import Question

if TYPE_CHECKING:
    from agent.fit.recording import Recording

T = TypeVar("T")
SETTLE_S = 30.0


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of the command, as typed."""

    sets: Sequence[str]
    horizon: str
    limits: Sequence[str]
    costs: Sequence[str]
    loops: Sequence[str]
    interlocks: Sequence[str]
    where: Sequence[str]
    particles: int
    seed: int


def run(
    file: Path,
    asked: Asked,
    asset: str | None,
    source: Path | None,
    plot: Path | None,
    json: bool,
    state_dir: Path | None,
) -> None:
    """Find the state, run both arms, say what came of it."""
    if plot is not None and plot.suffix not in (".html", ".png", ".svg"):
        fail(f"--plot {plot}: expected a file that ends in .html, .png or .svg", 2)
    recording = _recording(source) if source else None
    now = present(file, asset, state_dir, recording, conditions(asked.where))
    control = _control(now, asked, recording)
    question = _question(now, asked, control)
    try:
        found = whatif.run(now.twin.plant, now.start, question, now.twin.domain, control, now.twin.spread)
    except ValueError as error:
        fail(str(error), 2)
    if plot is not None:
        _plot(plot, now, question, control, found)
    if json:
        as_json(outcome.tree(now, question, control, found))
    else:
        typer.echo("\n".join(outcome.lines(now, question, control, found)))
        if plot is not None:
            typer.echo(f"written: {plot}")


def _recording(path: Path) -> Recording:
    from agent.fit.recording import FitError, read

    try:
        return read(path)
    except (FitError, OSError) as error:
        fail(str(error))


def _question(now: Present, asked: Asked, control: Control) -> Question:
    """What is typed, with the limits that the configuration has."""
    signals = list(whatif.rows_of(now.twin.plant))
    known = [*signals, *(loop.setpoint for loop in control.loops if loop.setpoint)]
    typed = _read(wording.limit, asked.limits, signals)
    return Question(
        changes=tuple(_read(wording.change, asked.sets, known)),
        horizon_s=_worded(lambda: wording.seconds(asked.horizon)),
        constraints=(*typed, *now.limits),
        costs=tuple(_read(wording.cost, asked.costs, signals)),
        particles=asked.particles,
        seed=asked.seed,
    )


def _control(now: Present, asked: Asked, recording: Recording | None) -> Control:
    """The twin file's loops, those typed in the place of the ones on the same input; gains from the recording where
    none are typed."""
    known = [*whatif.rows_of(now.twin.plant), *now.start.setpoints]
    stated = now.twin.control or Control()
    typed = [_located(text, now, asked, recording, known) for text in asked.loops]
    taken = {loop.manipulated for loop in typed}
    locks = tuple(_read(wording.interlock, asked.interlocks, known))
    kept = (loop for loop in stated.loops if loop.manipulated not in taken)
    return Control((*typed, *kept), (*stated.interlocks, *locks))


def _located(text: str, now: Present, asked: Asked, recording: Recording | None, known: Sequence[str]) -> Loop:
    loop, complete = _worded(lambda: wording.loop(text, known))
    if complete:
        return loop
    if recording is None:
        fail(f"--loop {text}: give gain= and reset=, or a recording with --from", 2)
    from agent.cli.looping import located
    from agent.fit.recording import FitError

    try:
        return located(text, now.twin, recording, asked.where, SETTLE_S).loop
    except FitError as error:
        fail(str(error))


def _read(reader: Callable[[str, Sequence[str]], T], texts: Sequence[str], known: Sequence[str]) -> list[T]:
    return [_worded(lambda text=text: reader(text, known)) for text in texts]  # type: ignore[misc]


def _worded(read: Callable[[], T]) -> T:
    try:
        return read()
    except wording.WordingError as error:
        fail(str(error), 2)


def _plot(path: Path, now: Present, question: Question, control: Control, found: whatif.Outcome) -> None:
    try:
        from agent.fit.report import outcome as picture

        picture.write(path, found, question, outcome.lines(now, question, control, found), now.twin.plant)
    except ImportError as error:
        fail(f"{error}. Install what pictures need: pip install 'edgetwin[fit]'")
    except OSError as error:
        fail(str(error))
