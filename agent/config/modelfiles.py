"""Model files: read, loaded by their kind, and held against the tags of the class that uses them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from pathlib import Path
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

TWIN = "twin"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model ready for an asset: `points` with absolute ids, in its order. A shadow follows the model that it runs
    beside, has its name with `.shadow` behind it, and says when it is promoted. by: what runs its graph, if any."""

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
    most_ms: float = 5.0
    promotion: Promotion | None = None
    file_sha256: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """Under what a model file is let in. signed: whether it must be. lenient: whether one that is refused leaves its
    model absent (a daemon runs on) instead of being a problem of the configuration."""

    state_dir: Path
    signed: bool = True
    lenient: bool = False


@dataclass(slots=True)
class ModelFiles:
    """The model files of a configuration, each read, judged, tried and loaded once.

    refused: why a model is absent, by asset and name. told: what is let in though it should be better.
    """

    base: str
    tree: Tree
    out: list[Problem]
    admission: Admission
    loaded: dict[tuple[str, str], tuple[ModelKind, Any, str] | None] = field(default_factory=dict)
    problems: dict[tuple[str, str], list[Problem]] = field(default_factory=dict)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    told: list[Problem] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)

    def load(self, spec: ModelFile) -> tuple[ModelKind, Any, str] | None:
        """(kind, params, sha256) of a model file; None where it has problems."""
        file = files.shown_path(self.base, spec.file)
        if (spec.type, file) not in self.loaded:
            wrong = self.problems.setdefault((spec.type, file), [])
            self.loaded[spec.type, file] = self._load(spec, file, wrong)
        return self.loaded[spec.type, file]

    def _load(self, spec: ModelFile, file: str, wrong: list[Problem]) -> tuple[ModelKind, Any, str] | None:
        try:
            kind: ModelKind = kinds.model(spec.type)
        except kinds.NoKind as error:
            self.out.append(problem(self.tree.mark((*spec.at, "type")), str(error)))
            return None
        content = files.octets(file, self.tree.mark((*spec.at, "file")), wrong)
        if content is None:
            return None
        try:
            self._judge(spec, file, content)
            if spec.type != TWIN:
                _try(spec.type, content, self.admission.state_dir)
            params = kind.load(content)
        except ValueError as error:
            wrong.append(problem(Mark(file), f"cannot be used as {spec.type}: {error}"))
            return None
        self.sha256[file] = hashlib.sha256(content).hexdigest()
        return kind, params, _fingerprint(kind, params, content)

    def _judge(self, spec: ModelFile, file: str, content: bytes) -> None:
        """ValueError where nobody who is trusted answers for a file. A twin is data: it need not be signed."""
        beside = Path(f"{file}.sig")
        if not os.path.lexists(beside) and spec.type == TWIN:
            return
        from agent.runtime.admission import judging, signature

        wrong = list[Problem]()
        sig = files.octets(beside, Mark(file), wrong, signature.LARGEST) if os.path.lexists(beside) else None
        if wrong:
            raise ValueError(wrong[0].text)
        try:
            judging.judged(content, sig, self.admission.state_dir)
        except ValueError as error:
            text = str(error).replace("FILE", file)
            if sig is not None or self.admission.signed:
                raise ValueError(text) from error
            self.told.append(problem(Mark(file), f"advice: {text}"))

    def of(self, asset: Asset, specs: Sequence[ModelFile], rows: Sequence[TagRow]) -> tuple[LoadedModel, ...]:
        """The models of an asset that can be used with its tags."""
        found = list[LoadedModel]()
        for spec in specs:
            old, new = self._one(asset, spec, rows), self._beside(asset, spec, rows)
            self.out += _shadow_problems(old, new)
            # A shadow without the model that it runs beside is none.
            found += [model for model in (old, new if old else None) if model is not None]
        return tuple(found)

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
        file = files.shown_path(self.base, spec.file)
        if loaded is None:
            self._refuse(asset, spec, self.problems[spec.type, file])
            return None
        kind, params, sha256 = loaded
        wrong = _tag_problems(file, params, asset, rows) + _mode_problems(file, params)
        if wrong:
            self._refuse(asset, spec, wrong)
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
            spec.most_ms,
            file_sha256=self.sha256[file],
            by=getattr(getattr(params, "session", None), "by", ""),
        )

    def _refuse(self, asset: Asset, spec: ModelFile, wrong: Sequence[Problem]) -> None:
        """A model that cannot be used is a problem, or, where the daemon is to run on, absent with its reason."""
        if self.admission.lenient and wrong:
            self.refused[asset.id, spec.name] = "; ".join(map(str, wrong))
        else:
            self.out += wrong


def _try(kind: str, content: bytes, state_dir: Path) -> None:
    """ValueError where a file's first run, in a child, went wrong."""
    from agent.detect import session
    from agent.runtime.admission import trial

    verdict = trial.tried(kind, content, state_dir)
    if verdict.numpy_why:
        session.keep_out(verdict.numpy_why)
    if verdict.why:
        raise ValueError(verdict.why)


def _shadow_problems(old: LoadedModel | None, new: LoadedModel | None) -> Iterator[Problem]:
    """Why a model and the shadow behind it cannot stand for each other."""
    if old is None or new is None:
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
