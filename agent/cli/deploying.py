"""`edgetwin model compare | promote | rollback`: a new model beside the one that speaks, in the running daemon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from agent.cli import feeding
from agent.cli.telling import as_json, fail
from agent.core import quality
from agent.core.nouns import Catalogue, Event, Snapshot
from agent.engine.asset import SHADOW
from agent.engine.compared import ACTIVE, FIGURES
from agent.engine.shadow import CHANGE

GATEWAY = "gateway"
ENDS = f".shadow.{ACTIVE}"
BOTH = ("alarms_per_day", "p50", "p99", "ms")
TITLES = {
    "alarms_per_day": "alarms a day",
    "p50": "share of its limit, median",
    "p99": "share of its limit, 99 % below",
    "ms": "CPU time of a step, ms",
    "hours": "hours side by side",
    "apart": "exactly one in alarm, share",
    "distance": "distance of distributions",
}


def compare(file: Path | None, wanted: str | None, socket: Path | None, state_dir: Path | None, json: bool) -> None:
    """Print each model that has a shadow with the two side by side; exit 1 where there is none."""
    path = feeding.socket_of(file, socket, state_dir)
    catalogue, snapshots = feeding.sync(lambda: feeding.full_state(path))
    found = described(catalogue, snapshots)
    chosen = {name: tree for name, tree in found.items() if wanted in (None, name)}
    if not chosen:
        having = f"; models with one: {', '.join(found)}" if found else ""
        fail(f"{wanted or 'no model'} has no shadow{having}. Give it one in the configuration: shadow: {{file: new}}")
    if json:
        as_json(chosen)
    else:
        typer.echo("\n".join(line for name, tree in chosen.items() for line in _lines(name, tree)))


def described(catalogue: Catalogue, snapshots: dict[str, Snapshot]) -> dict[str, dict[str, Any]]:
    """By asset/model: which one speaks, how it stands in words, and the figures; None for what is not known yet."""
    found = dict[str, dict[str, Any]]()
    for asset, snapshot in snapshots.items():
        points = catalogue.of(asset)
        rows = {point.id: row for row, point in enumerate(points)}
        for row, point in enumerate(points):
            if not point.id.endswith(ENDS):
                continue
            at = point.id.removesuffix(f".{ACTIVE}")
            model = at.removeprefix(f"{asset}/state/").removesuffix(".shadow")
            figures: dict[str, float | None] = {name: _number(snapshot, rows[f"{at}.{name}"]) for name, _, _ in FIGURES}
            timed = {"old": f"{asset}.{model}", "new": f"{asset}.{model}{SHADOW}"}
            speaks = point.enum.get(int(snapshot.value[row])) if _number(snapshot, row) is not None else None
            figures |= {f"{which}_ms": _ms(catalogue, snapshots, name) for which, name in timed.items()}
            found[f"{asset}/{model}"] = {"speaks": speaks, "text": snapshot.texts.get(rows[at], ""), **figures}
    return found


def _ms(catalogue: Catalogue, snapshots: dict[str, Snapshot], model: str) -> float | None:
    """CPU time of a step of asset.model, which the gateway measures."""
    points = catalogue.of(GATEWAY) if GATEWAY in snapshots else ()
    row = next((n for n, point in enumerate(points) if point.id == f"{GATEWAY}/engine/{model}_ms"), None)
    return None if row is None else _number(snapshots[GATEWAY], row)


def _number(snapshot: Snapshot, row: int) -> float | None:
    return None if quality.is_bad(int(snapshot.status[row])) else float(snapshot.value[row])


def _lines(name: str, tree: dict[str, Any]) -> Iterator[str]:
    yield f"{name}: the {tree['speaks']} one speaks. {tree['text']}"
    yield f"  {'':32}{'old':>10}{'new':>10}"
    for key in BOTH:
        yield f"  {TITLES[key]:32}{_shown(tree[f'old_{key}']):>10}{_shown(tree[f'new_{key}']):>10}"
    for key in ("hours", "apart", "distance"):
        yield f"  {TITLES[key]:32}{_shown(tree[key]):>10}"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def ask(do: str, target: str, reason: str, file: Path | None, socket: Path | None, state_dir: Path | None) -> None:
    """Promote or roll back, wait for what the engine makes of it, print it; exit 1 where it refuses."""
    path = feeding.socket_of(file, socket, state_dir)
    asset, slash, model = target.partition("/")
    if not slash or not model:
        fail(f"{target}: expected ASSET/MODEL, as pump-7/anomaly", 2)

    def outcome(event: Event) -> bool:
        refused = event.change == "refused" and event.text.startswith(f"{do} {target}:")
        return refused or (event.change == CHANGE[do] and event.text.startswith(f"{target}:"))

    args = {"reason": reason} if reason else {}
    answer, event = feeding.sync(lambda: feeding.done(path, do, asset, args, outcome, target=target))
    if not answer.ok:
        fail(answer.text)
    if event is not None and event.change == "refused":
        fail(event.text)
    typer.echo(answer.text if event is None else event.text)
