"""`edgetwin backtest CONFIG RECORDING.csv`: a recording through the live code path, and what that raises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent.cli import alarming
from agent.cli.alarming import When
from agent.cli.configuration import planned
from agent.cli.telling import as_json, fail
from agent.cli.telling import settings as chosen
from agent.config import kinds
from agent.core.nouns import Kind, Mode
from agent.engine import recorded, trial
from agent.engine.asset import SHADOW, Asset, Modes
from agent.engine.trial import Difference, Trial
from agent.fit import recording as recordings

if TYPE_CHECKING:
    from agent.config.plan import Plan
    from agent.core.nouns import I8
    from agent.fit.recording import Recording

SLACK_NS = 60_000_000_000
EPOCH_S = 1e8  # times above this are since 1970


@dataclass(frozen=True, slots=True)
class Told:
    """One asset's run, and how it differs from that of the other models (None: there are none)."""

    now: Trial
    difference: Difference | None


@dataclass(frozen=True, slots=True)
class Given:
    """What the command was given, and the plan of its file."""

    file: Path
    against: Path | None
    mode: str | None
    state_dir: Path | None
    settings: dict[str, str]
    plan: Plan


def run(
    file: Path,
    path: Path,
    against: Path | None,
    mode: str | None,
    state_dir: Path | None,
    settings: Sequence[str],
    json: bool,
    asset: str | None,
) -> None:
    """Play a CSV through the models of a configuration; exit 1 where no model of it had anything to say."""
    try:
        recording = recordings.read(path)
    except (recordings.FitError, OSError) as error:
        fail(str(error))
    plan = planned(file, state_dir, chosen(settings), strict=True)
    given = Given(file, against, mode, state_dir, chosen(settings), plan)
    t_ns, assets = recorded.axis(recording.time_s), _assets(plan, recording, asset, path)
    told = [_told(_in_mode(one, mode), _others(given, one), recording, t_ns) for one in assets]
    when = _when(recording)
    if json:
        as_json({"recording": str(path), "assets": [_tree(t, when) for t in told]})
    else:
        for one, made in zip(assets, told, strict=True):
            typer.echo("\n".join([*_about(one, recording, mode, t_ns), *_lines(made, given, when)]))
    if not any(t.now.spoke or not a.models for a, t in zip(assets, told, strict=True)):
        fail("no model had anything to say: see the modes above, or give --mode running")


def _assets(plan: Plan, recording: Recording, asset: str | None, path: Path) -> list[Asset]:
    """The assets that the columns belong to: the one asked for, else all that have columns."""
    named = [a for a in plan.assets if a.id == asset] if asset else [a for a in plan.assets if a.id != "gateway"]
    found = [a for a in named if any(row >= 0 for row in recorded.rows_of(a, recording.names))]
    if not named:
        fail(f"no asset {asset}, there are {', '.join(a.id for a in plan.assets)}")
    if not found:
        fail(f"{path}: no column is a tag (group/name) of {', '.join(a.id for a in named)}")
    return found


def _in_mode(asset: Asset, mode: str | None) -> Asset:
    """The asset in one mode throughout, where the recording does not tell it."""
    if mode is None:
        return asset
    words = {m.word: m for m in Mode}
    if mode not in words:
        fail(f"--mode {mode}: expected one of {', '.join(words)}", 2)
    return replace(asset, modes=Modes(otherwise=words[mode]))


def _others(given: Given, asset: Asset) -> Asset | None:
    """The asset with the models it is held against."""
    if given.against is None:
        return None
    if given.against.suffix in (".yaml", ".yml"):
        plan = planned(given.against, given.state_dir, {}, strict=True)
    else:
        settings = given.settings | _exchanged(given.plan, asset, given.against)
        plan = planned(given.file, given.state_dir, settings, strict=True)
    found = [a for a in plan.assets if a.id == asset.id]
    if not found:
        fail(f"{given.against}: no asset {asset.id}")
    return _in_mode(found[0], given.mode)


def _exchanged(plan: Plan, asset: Asset, file: Path) -> dict[str, str]:
    """The settings that put a model file in the place of the asset's model of that kind."""
    kind = _kind(file)
    package = f"agent.{kind.partition('.')[0]}"
    of_kind = [m.name for m in asset.models if getattr(m.kind, "__name__", "").startswith(package)]
    names = [name for name in of_kind if not name.endswith(SHADOW)]
    if len(names) != 1:
        what = f"models {', '.join(names)}: give a configuration" if names else "no model of its kind"
        fail(f"--against {file}: {asset.id} has {what}")
    at = f"classes.{plan.catalogue.part(asset.id).asset_class}.models.{names[0]}"
    return {f"{at}.file": str(file.absolute()), f"{at}.type": kind}


def _kind(file: Path) -> str:
    """The type of the model in a file."""
    try:
        content = file.read_bytes()
    except OSError as error:
        fail(f"--against {file}: {error.strerror}")
    said = list[str]()
    for name in ("detect.onnx",) if file.suffix == ".onnx" else ("twin",):
        try:
            kinds.model(name).load(content)
        except ValueError as error:
            said.append(f"as {name}: {error}")
        else:
            return name
    return fail(f"--against {file}: neither a configuration nor a model ({'; '.join(said)})")


def _told(asset: Asset, other: Asset | None, recording: Recording, t_ns: I8) -> Told:
    def played(one: Asset) -> Trial:
        return trial.run(one, recorded.ticks(one, recording.names, t_ns, recording.value))

    now = played(asset)
    return Told(now, None if other is None else trial.compared(now.alarms, played(other).alarms, SLACK_NS))


def _when(recording: Recording) -> When:
    """Times of the recording: UTC, or seconds as they stand in it."""
    first_s = float(recording.time_s[0])

    def when(t_ns: int) -> str:
        at_s = first_s + (t_ns - recorded.FIRST_NS) * 1e-9
        return alarming.utc(round(at_s * 1e9)) if first_s > EPOCH_S else f"{at_s:g} s"

    return when


def _about(asset: Asset, recording: Recording, mode: str | None, t_ns: I8) -> Iterator[str]:
    """What of the recording is used."""
    rows = recorded.rows_of(asset, recording.names)
    derived = set(asset.derived.rows.tolist())
    read = [n for n, tag in enumerate(asset.tags) if n not in derived and tag.kind in (Kind.NUMBER, Kind.ENUMERATION)]
    missing = [asset.names[n] for n in read if n not in rows]
    odd = [name for name, row in zip(recording.names, rows, strict=True) if row < 0]
    yield f"{asset.id}: {len(t_ns)} rows, {(recording.time_s[-1] - recording.time_s[0]) / 3600:.3g} h"
    if (t_ns < 0).any():
        yield f"  {int((t_ns < 0).sum())} rows left out: time does not go forward there"
    if odd or recording.texts:
        yield f"  columns that are no numbers of it, left out: {', '.join([*odd, *recording.texts])}"
    if missing:
        yield f"  tags without a column: {', '.join(missing)}"
    if mode is None and asset.modes.tag in missing:
        yield f"  {asset.modes.tag} tells the mode and has no column: give --mode running, or another"


def _lines(told: Told, given: Given, when: When) -> Iterator[str]:
    now = told.now
    total_s = sum(now.seconds.values()) or 1.0
    yield f"  {now.ticks} ticks: " + ", ".join(f"{word} {s / total_s:.0%}" for word, s in now.seconds.items())
    yield from (f"  model {name} spoke {s / total_s:.0%} of the time" for name, s in now.spoke.items())
    yield from (f"  model {text} ({times} times)" for text, times in now.faults.items())
    yield f"  raised with {given.file}: {len(now.alarms)}"
    yield from (f"    {alarming.line(alarm, when)}" for alarm in now.alarms)
    if told.difference is not None:
        yield from (f"  {text}" for text in alarming.lines(told.difference, str(given.against), when))


def _tree(told: Told, when: When) -> dict[str, Any]:
    now = told.now
    difference = {} if told.difference is None else {"against": alarming.tree(told.difference, when)}
    return {
        "asset": now.asset,
        "ticks": now.ticks,
        "modes_s": now.seconds,
        "spoke_s": now.spoke,
        "faults": dict(now.faults),
        "alarms": [alarming.cell(alarm, when) for alarm in now.alarms],
        **difference,
    }
