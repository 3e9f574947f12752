"""The models of an asset with their points among the asset's, a model and its shadow side by side as a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.config.load import LoadedAsset
from agent.config.modelfiles import LoadedModel
from agent.core.conditions import Rule
from agent.core.nouns import Point
from agent.engine import compared
from agent.engine.asset import Model, Pair, Promotion
from agent.twin import baseline


@dataclass(frozen=True, slots=True)
class Placed:
    """Models in order, pairs among them, and all their points in order."""

    models: tuple[Model, ...]
    pairs: tuple[Pair, ...]
    points: tuple[Point, ...]


def placed(loaded: LoadedAsset, first: int, rules: Sequence[Rule]) -> Placed:
    """The models of an asset, their points from `first`; `rules` of the asset watch them."""
    models, pairs, points = list[Model](), list[Pair](), list[Point]()
    for new in loaded.models:
        if new.promotion is None:
            models.append(_model(new, first + len(points)))
            points += new.points
        else:
            old = models[-1]
            pairs.append(_pair(loaded, new, old, len(models) - 1, rules))
            models.append(_model(new, old.first))
            points += pairs[-1].points[len(old.points) :]
            points += compared.points(loaded.asset.id, old.name)
    return Placed(tuple(models), tuple(pairs), tuple(points))


def _model(loaded: LoadedModel, first: int) -> Model:
    return Model(
        name=loaded.name,
        kind=loaded.kind,
        params=loaded.params,
        sha256=loaded.sha256,
        points=loaded.points,
        first=first,
        modes=loaded.modes,
        settle_s=loaded.settle_s,
        every=loaded.every,
        most_ms=loaded.most_ms,
    )


def _pair(loaded: LoadedAsset, new: LoadedModel, old: Model, number: int, rules: Sequence[Rule]) -> Pair:
    """The points of the old one, then those that only the new one gives."""
    points = {point.id: point for point in (*old.points, *new.points)} | {point.id: point for point in old.points}
    relative = {name.removeprefix(loaded.asset.id + "/") for name in points}
    standing = {model.name: baseline.standing(model.baseline) for model in loaded.models}
    ids = list(points)
    return Pair(
        name=old.name,
        number=number,
        points=tuple(points.values()),
        first=old.first,
        rows=(tuple(range(len(old.points))), tuple(ids.index(point.id) for point in new.points)),
        rules=tuple(row for row, rule in enumerate(rules) if rule.point in relative),
        standing=(standing[old.name], standing[new.name]),
        promotion=new.promotion or Promotion(),
    )
