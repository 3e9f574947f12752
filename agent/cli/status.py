"""`edgetwin status`: how the running daemon is, for people or as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from agent.cli import feeding, twins
from agent.cli.telling import as_json
from agent.core import quality
from agent.core.nouns import Catalogue, Condition, Snapshot
from agent.runtime import clock

GATEWAY = "gateway"


def run(file: Path | None, socket: Path | None, state_dir: Path | None, json: bool) -> None:
    """Print it; exit 0 if well, 1 if a source is down or a condition is active, 3 if no daemon answers."""
    path = feeding.socket_of(file, socket, state_dir)
    catalogue, snapshots = feeding.sync(lambda: feeding.full_state(path))
    tree = described(catalogue, snapshots, clock.now_ns())
    if json:
        as_json(tree)
    else:
        typer.echo("\n".join(lines(tree)))
    raise typer.Exit(0 if tree["well"] else 1)


def described(catalogue: Catalogue, snapshots: dict[str, Snapshot], now_ns: int) -> dict[str, Any]:
    """Gateway, assets and meters as one tree."""
    assets = [_asset(catalogue, s, now_ns) for name, s in snapshots.items() if name != GATEWAY]
    gateway = snapshots.get(GATEWAY)
    meters = _points(catalogue, gateway, GATEWAY) if gateway else {}
    down = [c["id"] for c in _active(gateway)] if gateway else ["no gateway snapshot"]
    wrong = any(a["conditions"] or a["twins"].get("absent") for a in assets)
    well = not down and not wrong and len(snapshots) == len(catalogue.parts)
    return {
        "gateway": catalogue.gateway,
        "epoch": catalogue.epoch,
        "well": well,
        "down": down,
        "assets": assets,
        "meters": meters,
    }


def _asset(catalogue: Catalogue, snapshot: Snapshot, now_ns: int) -> dict[str, Any]:
    case = snapshot.case
    is_open = case is not None and not case.closed_ns
    return {
        "id": snapshot.asset,
        "mode": snapshot.mode.word,
        "context": dict(snapshot.context),
        "age_s": (now_ns - snapshot.t_ns) * 1e-9,
        "cycles": snapshot.seq & 0xFFFF_FFFF,
        "case": {"id": case.id, "blamed": case.blamed} if case and is_open else None,
        "conditions": _active(snapshot),
        "twins": twins.said(catalogue.of(snapshot.asset), snapshot),
        "points": _points(catalogue, snapshot, snapshot.asset),
    }


def _active(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [_condition(c) for c in snapshot.conditions if c.active and not c.shelved_until_ns]


def _condition(c: Condition) -> dict[str, Any]:
    return {
        "id": c.id,
        "category": c.category,
        "provisional": c.provisional,
        "acknowledged": c.acknowledged,
        "value": c.value,
        "limit": c.limit,
        "blamed": c.blamed,
        "message": c.message,
    }


def _points(catalogue: Catalogue, snapshot: Snapshot, asset: str) -> dict[str, Any]:
    rows = zip(catalogue.of(asset), snapshot.value.tolist(), snapshot.status.tolist(), strict=True)
    beside: dict[int, Any] = {**snapshot.texts, **{row: array.tolist() for row, array in snapshot.arrays.items()}}
    return {
        point.id.removeprefix(asset + "/"): {
            "value": beside.get(row, value),
            "unit": point.unit,
            "status": quality.name(status),
            **({"word": point.enum[value]} if value in point.enum else {}),
        }
        for row, (point, value, status) in enumerate(rows)
    }


def lines(tree: dict[str, Any]) -> list[str]:
    """The same for people."""
    found = [f"gateway {tree['gateway']}: {'well' if tree['well'] else 'needs a look'}"]
    found += [f"  down: {name}" for name in tree["down"]]
    for name, cell in tree["meters"].items():
        if isinstance(cell["value"], float) and cell["value"] == cell["value"]:
            said = cell.get("word", cell["unit"])
            found.append(f"  {name:32} {cell['value']:12.6g} {said}")
    for asset in tree["assets"]:
        words = " ".join(f"{k}={v}" for k, v in asset["context"].items())
        found.append(f"asset {asset['id']}: {asset['mode']} {words}".rstrip() + f", cycle {asset['age_s']:.1f} s ago")
        if asset["case"]:
            found.append(f"  case {asset['case']['id']}: look at {asset['case']['blamed']}")
        for c in asset["conditions"]:
            seen = "acknowledged" if c["acknowledged"] else "not acknowledged"
            seen += ", provisional" if c["provisional"] else ""
            found.append(f"  {c['category']} {c['id']}: {c['value']:.4g} against {c['limit']:.4g}, {seen}")
        found += [f"  {text}" for text in twins.lines(asset["twins"])]
    return found
