"""What the models of an asset say of it and of themselves, found by the role of each point: for status and watch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from agent.core import quality
from agent.core.nouns import Kind, Point, Role, Snapshot

BASELINE, SHADOW, ABSENT, RUNS_BY = ".baseline", ".shadow", ".absent", ".runs_by"


@dataclass(frozen=True, slots=True)
class Cell:
    """A point with what it holds now; `name` relative to the asset."""

    name: str
    point: Point
    value: float
    text: str
    status: int

    @property
    def word(self) -> str:
        """Its text, the word of its enumeration, else its number; why it has none where it is Bad."""
        if quality.is_bad(self.status):
            return quality.REASONS.get(self.status, quality.name(self.status)).replace("_", " ")
        if self.point.kind is Kind.TEXT:
            return self.text
        if self.point.kind is Kind.ENUMERATION and self.value == self.value:
            return self.point.enum.get(int(self.value), f"{self.value:g}")
        return f"{self.value:.3g} {self.point.unit}".rstrip().removesuffix(" 1")


def said(points: tuple[Point, ...], snapshot: Snapshot) -> dict[str, Any]:
    """Baselines, trust, accuracy, health, life, shadows, finding as a tree of words and numbers; what none gives
    is left out."""
    cells = list(_cells(points, snapshot))
    found = {
        "models": _of_models(cells, BASELINE),
        "absent": _of_models(cells, ABSENT),
        "runs by": _of_models(cells, RUNS_BY),
        "trust": [c.word for c in cells if c.point.role is Role.TRUST and c.word],
        "accuracy": _accuracy(cells, snapshot.asset),
        "health": {c.name: _health(c, cells) for c in cells if c.point.role is Role.HEALTH},
        "life": {c.name: c.word for c in cells if c.point.role is Role.LIFE and c.point.kind is Kind.TEXT},
        "shadows": {c.name.removeprefix("state/"): c.word for c in cells if c.name.endswith(SHADOW) and c.word},
        "finding": [c.word for c in cells if c.point.role is Role.FINDING and c.word],
    }
    return {name: value for name, value in found.items() if value}


def _cells(points: tuple[Point, ...], snapshot: Snapshot) -> Iterator[Cell]:
    columns = zip(points, snapshot.value.tolist(), snapshot.status.tolist(), strict=True)
    for row, (point, value, status) in enumerate(columns):
        yield Cell(point.id.removeprefix(snapshot.asset + "/"), point, value, snapshot.texts.get(row, ""), int(status))


def _of_models(cells: Sequence[Cell], ending: str) -> dict[str, str]:
    """What is said of each model by the points with such an ending."""
    found = (c for c in cells if c.point.role is Role.STATUS and c.name.startswith("state/"))
    return {c.name.removeprefix("state/").removesuffix(ending): c.word for c in found if c.name.endswith(ending)}


def _accuracy(cells: list[Cell], asset: str) -> dict[str, dict[str, Any]]:
    """By tag: each figure by its last word, None where it is not known yet."""
    found = dict[str, dict[str, Any]]()
    for cell in cells:
        if cell.point.role is Role.ACCURACY:
            tag = (cell.point.of or cell.point.id.rpartition(".")[0]).removeprefix(asset + "/")
            known = None if quality.is_bad(cell.status) else cell.value
            found.setdefault(tag, {})[cell.name.rpartition(".")[2]] = known
    return found


def _health(cell: Cell, cells: list[Cell]) -> dict[str, Any]:
    spread = next((c.value for c in cells if c.point.role is Role.SPREAD and c.point.of == cell.point.id), None)
    bad = quality.is_bad(cell.status)
    number = {"value": None if bad else cell.value, "spread": None if bad else spread, "unit": cell.point.unit}
    return number | ({"absent": cell.word} if bad else {})


def lines(tree: dict[str, Any]) -> Iterator[str]:
    """The tree of `said` for people."""
    yield from (f"model {name}: {text}" for name, text in tree.get("models", {}).items())
    yield from (f"model {name} is absent: {text}" for name, text in tree.get("absent", {}).items())
    yield from (f"model {name} is run by {text}" for name, text in tree.get("runs by", {}).items())
    if tree.get("trust"):
        yield f"trust: {', '.join(tree['trust'])}"
    for tag, figures in tree.get("accuracy", {}).items():
        yield f"accuracy {tag}: " + ", ".join(f"{name} {_number(value)}" for name, value in figures.items())
    for name, h in tree.get("health", {}).items():
        yield f"health {name}: {_measure(h)}"
    yield from (f"life {name}: {text}" for name, text in tree.get("life", {}).items())
    yield from (f"{name}: {text}" for name, text in tree.get("shadows", {}).items())
    yield from (f"finding: {text}" for text in tree.get("finding", []))


def line(tree: dict[str, Any]) -> str:
    """The tree of `said` in one line; "" where no model says anything."""
    models = [f"{name} {text.partition(':')[0]}" for name, text in tree.get("models", {}).items()]
    skills = [f["skill"] for f in tree.get("accuracy", {}).values() if f.get("skill") is not None]
    lives = list(tree.get("life", {}).values())
    parts = [
        ", ".join(models),
        *(f"{name} absent" for name in tree.get("absent", {})),
        f"trust {tree['trust'][0]}" if tree.get("trust") else "",
        f"skill {max(skills):.2f} at worst" if skills else "",
        *(f"{name.rpartition('/')[2]} {_measure(h)}" for name, h in tree.get("health", {}).items()),
        f"life {lives[0]}" if lives else "",
        *tree.get("finding", []),
    ]
    return " | ".join(part for part in parts if part)


def _number(value: float | None) -> str:
    return "not known yet" if value is None else f"{value:.2f}"


def _measure(health: dict[str, Any]) -> str:
    if health["value"] is None:
        return str(health["absent"])
    spread = "" if health["spread"] is None else f" ± {health['spread']:.2g}"
    return f"{health['value']:.3g}{spread} {health['unit']}".rstrip().removesuffix(" 1")
