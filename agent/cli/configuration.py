"""`edgetwin check`, `edgetwin config show` and `options`; and the plan of a file for the other commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from agent.cli.telling import fail
from agent.cli.telling import settings as chosen

if TYPE_CHECKING:
    from agent.config.load import Loaded
    from agent.config.plan import Plan
    from agent.config.problems import Problem


def loaded(file: Path, state_dir: Path | None, settings: Mapping[str, str], lenient: bool = False) -> Loaded:
    """A configuration without problems; else every problem is printed and the command ends with 1. `lenient`: a model
    that is refused is absent."""
    from agent.config.load import load
    from agent.config.problems import ConfigErrors

    try:
        return load(file, state_dir, settings, lenient=lenient)
    except ConfigErrors as errors:
        refuse(file, errors.problems)


def refuse(file: Path, problems: Sequence[Problem]) -> NoReturn:
    """Print problems and end with 1."""
    for problem in problems:
        typer.echo(str(problem), err=True)
    fail(f"{file}: {_count(len(problems))}")


def planned(file: Path, state_dir: Path | None, settings: Mapping[str, str], strict: bool = False) -> Plan:
    """What a file says is to run, as the daemon does it: a refused model is absent. `strict`: it is a problem."""
    from agent.config.plan import plan

    return plan(loaded(file, state_dir, settings, lenient=not strict))


def check(file: Path, settings: Sequence[str], state_dir: Path | None = None, gateway: str = "") -> None:
    """Print every problem; or what would be better, and one line that says what the file describes. `gateway`: whose
    version of a fleet it is to be."""
    from agent.config import versions
    from agent.config.advice import advice
    from agent.config.plan import plan

    found = loaded(file, state_dir, chosen(settings))
    wrong = versions.problems(found, gateway) if gateway else []
    if wrong:
        refuse(file, wrong)
    for told in advice(found):
        typer.echo(str(told), err=True)
    made = plan(found)
    machines = len(made.assets) - 1
    tags = sum(len(source.tags) for source in made.sources if source.type != "self")
    derived = sum(len(asset.derived.rows) for asset in made.assets)
    models = sum(len(asset.models) for asset in made.assets)
    parts = f"{machines} asset(s), {tags} tags read, {derived} derived, {models} models, {len(made.sinks)} sinks"
    typer.echo(f"{file}: right. {parts}")


def show(file: Path, resolved: bool, settings: Sequence[str]) -> None:
    """Print the file, or every value with its origin."""
    if not resolved:
        typer.echo(file.read_text(), nl=False)
        return
    from agent.config.resolved import resolved as lines

    typer.echo(lines(loaded(file, None, chosen(settings))))


def options(topic: str | None, as_json: bool) -> None:
    """Print what can be written for a type of source or sink, a part of the file, or the columns of a tag list."""
    from dataclasses import asdict

    from agent.cli import telling
    from agent.config import options as known
    from agent.config.problems import hint

    if topic is None:
        typer.echo("edgetwin config options TOPIC, one of\n  " + "\n  ".join(known.topics()))
        return
    full = known.named(topic)
    if full is None:
        fail(f"no options of {topic}{hint(topic, known.topics())}", 2)
    if as_json:
        telling.as_json([asdict(option) for option in known.of(full)])
        return
    for option in known.of(full):
        may = {"": "must be written", "-": "may be left out"}.get(option.default, f"default {option.default}")
        typer.echo(f"{option.name}: {option.values} ({may})\n    {option.text}")


def _count(n: int) -> str:
    return f"{n} problem{'s' if n != 1 else ''}"
