"""Model files: read, loaded by their kind, and held against the tags of the class that uses them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import isnan
from typing import Any

from agent.config import files, kinds
from agent.config.consistency import no_number
from agent.config.problems import Mark, Problem, hint, problem
from agent.config.schema import Asset, ModelFile, TagRow
from agent.config.tree import Tree
from agent.core import units
from agent.core.nouns import Mode, Point, Role
from agent.engine.asset import SHADOW, ModelKind, Promotion
from agent.twin import baseline
from agent.twin.baseline import Baseline


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready for an asset: `points` with absolute ids, in its order. A shadow follows the model that it runs
    beside, has its name with `.shadow` behind it, and says when it is promoted."""

    name: str
    kind: ModelKind
    params: Any
    sha256: str
    file: str
    points: tuple[Point, ...]
    modes: frozenset[Mode]
    settle_s: float
    every: int
    life_lead_h: float = 72.0
    baseline: Baseline | None = None
    promotion: Promotion | None = None


@dataclass(slots=True)
class ModelFiles:
    """The model files of a configuration, each read and loaded once."""

    base: str
    tree: Tree
    out: list[Problem]
    loaded: dict[tuple[str, str], tuple[ModelKind, Any, str] | None] = field(default_factory=dict)

    def load(self, spec: ModelFile) -> tuple[ModelKind, Any, str] | None:
        """(kind, params, sha256) of a model file; None where it has problems."""
        file = files.shown_path(self.base, spec.file)
        if (spec.type, file) not in self.loaded:
            self.loaded[spec.type, file] = self._load(spec, file)
        return self.loaded[spec.type, file]

    def _load(self, spec: ModelFile, file: str) -> tuple[ModelKind, Any, str] | None:
        try:
            kind: ModelKind = kinds.model(spec.type)
        except kinds.NoKind as error:
            self.out.append(problem(self.tree.mark((*spec.at, "type")), str(error)))
            return None
        content = files.octets(file, self.tree.mark((*spec.at, "file")), self.out)
        if content is None:
            return None
        try:
            params = kind.load(content)
            return kind, params, _fingerprint(kind, params, content)
        except ValueError as error:
            self.out.append(problem(Mark(file), f"cannot be used as {spec.type}: {error}"))
            return None

    def of(self, asset: Asset, specs: Sequence[ModelFile], rows: Sequence[TagRow]) -> tuple[LoadedModel, ...]:
        """The models of an asset that can be used with its tags."""
        found = [model for spec in specs for model in (self._one(asset, spec, rows), self._beside(asset, spec, rows))]
        self.out += [each for old, new in pairwise(found) for each in _shadow_problems(old, new)]
        return tuple(model for model in found if model is not None)

    def _beside(self, asset: Asset, spec: ModelFile, rows: Sequence[TagRow]) -> LoadedModel | None:
        """The shadow of a model; None where it has none that can be used."""
        if spec.shadow is None:
            return None
        given = spec.shadow
        new = spec.model_copy(update={"name": spec.name + SHADOW, "file": given.file, "shadow": None})
        new._at = given.at  # noqa: SLF001  (where its problems are told)
        found = self._one(asset, new, rows)
        promotion = Promotion(given.promote_after_h, given.alarms_per_day, given.probation_h)
        return found and replace(found, promotion=promotion)

    def _one(self, asset: Asset, spec: ModelFile, rows: Sequence[TagRow]) -> LoadedModel | None:
        loaded = self.load(spec)
        if loaded is None:
            return None
        kind, params, sha256 = loaded
        file = files.shown_path(self.base, spec.file)
        wrong = _tag_problems(file, params, asset, rows) + _mode_problems(file, params)
        self.out += wrong
        if wrong:
            return None
        modes = spec.modes or tuple(_WORDS[word] for word in params.modes)
        return LoadedModel(
            spec.name,
            kind,
            params,
            sha256,
            file,
            tuple(_absolute(asset.id, p, rows) for p in kind.points(params)),
            frozenset(modes),
            params.settle_s if spec.settle_s is None else spec.settle_s,
            spec.every,
            spec.life_lead_h,
            baseline.here(getattr(params, "baseline", None), asset.id),
        )


def _shadow_problems(old: LoadedModel | None, new: LoadedModel | None) -> Iterator[Problem]:
    """Why a model and the shadow behind it cannot stand for each other."""
    if old is None or new is None or new.promotion is None:
        return
    if old.sha256 == new.sha256:
        yield problem(Mark(new.file), f"is the model {old.name} itself, expected another beside it: remove its shadow")
    given = {point.id: point for point in old.points}
    for point in new.points:
        before = given.get(point.id, point)
        if (before.role, before.kind, before.unit, before.of) != (point.role, point.kind, point.unit, point.of):
            text = f"gives {point.id} as {_told(point)}, but {old.file} as {_told(before)}; expected the same"
            yield problem(Mark(new.file), text)


def _told(point: Point) -> str:
    return f"{point.role} ({point.kind}, {point.unit or 'no unit'}{f', of {point.of}' if point.of else ''})"


_WORDS = {m.word: m for m in Mode}


def _fingerprint(kind: ModelKind, params: Any, content: bytes) -> str:
    """The hash that a state belongs to: the kind's own, which leaves out what it does not compute with."""
    own: Callable[[Any], str] | None = getattr(kind, "fingerprint", None)
    return own(params) if own else hashlib.sha256(content).hexdigest()


def _mode_problems(file: str, params: Any) -> list[Problem]:
    unknown = [word for word in params.modes if word not in _WORDS]
    return [problem(Mark(file), f"mode {word!r}{hint(word, _WORDS)}") for word in unknown]


def _tag_problems(file: str, params: Any, asset: Asset, rows: Sequence[TagRow]) -> list[Problem]:
    """Tags of a model that its class does not have, or has as text or in another unit."""
    known = {row.name: row for row in rows}
    stated = tuple(getattr(params, "units", ())) or ("",) * len(params.tags)
    out = []
    for name, unit in zip(params.tags, stated, strict=True):
        row = known.get(name)
        if row is None and name.rpartition(".")[0] in known:
            continue  # what another model gives of a tag: see `agent.config.modelinputs`
        if row is None:
            text = f"reads tag {name}, which class {asset.kind} does not have{hint(name, known)}"
        elif no_number(row):
            text = f"reads tag {name}, which is {no_number(row)} in class {asset.kind}, expected a number"
        else:
            text = unit_problem(name, unit, row.unit)
        if text:
            out.append(problem(Mark(file), text))
    return out


def unit_problem(name: str, unit: str, have: str) -> str:
    """Why a model's unit does not fit a tag's; "" where it does, or where the model states none."""
    try:
        if not unit or units.same(unit, have):
            return ""
    except units.UnitError as error:
        return f"tag {name}: {error}"
    return f"reads tag {name} in {unit}, but the tag is in {have or 'no unit'}; expected the same unit: fit it again"


def _absolute(asset: str, point: Point, rows: Sequence[TagRow]) -> Point:
    """A point with absolute ids; what is compared with a tag has the tag's unit (and range) unless it has its own."""
    at = replace(point, id=f"{asset}/{point.id}", of=f"{asset}/{point.of}" if point.of else None)
    row = next((row for row in rows if row.name == point.of), None)
    if row is None or point.role not in (Role.EXPECTED, Role.RESIDUAL, Role.SPREAD):
        return at
    at = replace(at, unit=point.unit or row.unit)
    if point.role is Role.EXPECTED and row.eu_lo is not None and row.eu_hi is not None and isnan(point.eu_lo):
        return replace(at, eu_lo=row.eu_lo, eu_hi=row.eu_hi)
    return at
