"""The file of a twin: the plant's model and, section by section, all that was learned with it. Data, not code.

One format for every kind. `model` belongs to the kind; each other section belongs to the module of its name, which
says what stands in it. A section that is left out switches off what rests on it, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from agent.core.nouns import F8
from agent.twin import jsontree
from agent.twin.baseline import Baseline
from agent.twin.departure.cusum import Cusum
from agent.twin.departure.deviation import Deviation
from agent.twin.departure.signature import Signatures
from agent.twin.departure.trust import Reference
from agent.twin.departure.whitening import Whitening
from agent.twin.domain import Domain
from agent.twin.kind import Channel
from agent.twin.lifetime import life
from agent.twin.lifetime.life import Lives
from agent.twin.plant import Plant, kind
from agent.twin.surrogate import Surrogate
from agent.twin.trial.loop import Control

FORMAT = "edgetwin twin"
VERSION = 2


@dataclass(frozen=True, slots=True, eq=False)
class Charts:
    """What says that the machine departs from its twin, over whitened residuals; limits from held-out healthy rows."""

    whitening: Whitening
    deviation: Deviation
    cusum: Cusum

    def problems(self, p: int) -> list[str]:
        """What is wrong with them for p outputs."""
        return [*self.whitening.problems(p), *self.deviation.problems(p), *self.cusum.problems(p)]


@dataclass(frozen=True, eq=False)
class Twin:
    """A plant and what goes with it.

    modes, settle_s: where it holds, and how long it says nothing after such a mode began; hold_periods: how long an
    absent input keeps its last value; reference: share of Q in the filter that gives `expected`; spread f8[p+v]:
    standard deviation of residuals and virtual errors on held-out healthy rows, in units.
    """

    plant: Plant
    modes: tuple[str, ...]
    settle_s: float
    hold_periods: int
    reference: float
    spread: F8
    domain: Domain
    score: Mapping[str, Any]
    training: Mapping[str, Any]
    charts: Charts | None = None
    trust: Reference | None = None
    isolation: Signatures | None = None
    lives: Lives | None = None
    control: Control | None = None
    baseline: Baseline | None = None

    @property
    def tags(self) -> tuple[str, ...]:
        """What is read from a frame: inputs, then outputs."""
        return self.plant.tags

    @property
    def units(self) -> tuple[str, ...]:
        """The units of `tags`; empty where the recording gave none."""
        return tuple(c.unit for c in (*self.plant.inputs, *self.plant.outputs))


@dataclass(frozen=True, slots=True, eq=False)
class _Noise:
    R: F8
    quantum: F8
    reference: float
    spread: F8


@dataclass(frozen=True, slots=True, eq=False)
class _File:
    """The tree of the file, in its order."""

    format: str
    version: int
    kind: str
    period_s: float
    modes: tuple[str, ...]
    settle_s: float
    hold_periods: int
    score: Mapping[str, Any]
    training: Mapping[str, Any]
    inputs: tuple[Channel, ...]
    outputs: tuple[Channel, ...]
    virtual: tuple[Channel, ...]
    model: Any
    noise: _Noise
    domain: Domain
    charts: Charts | None = None
    trust: Reference | None = None
    isolation: Signatures | None = None
    lives: Lives | None = None
    control: Control | None = None
    baseline: Baseline | None = None
    surrogate: Surrogate | None = None


# What stands in the file as it stands in a twin, every section among it.
_SHARED = tuple(f.name for f in fields(_File) if f.name in {own.name for own in fields(Twin)})


def load(content: bytes) -> Twin:
    """The twin in the bytes of a model file; ValueError says what is wrong with it."""
    file = jsontree.read(_File, _known(content))
    which = kind(file.kind)
    params = jsontree.read(which.Params, file.model, "twin.model")
    plant = Plant(
        kind=which,
        params=params,
        inputs=file.inputs,
        outputs=file.outputs,
        virtual=file.virtual,
        period_s=file.period_s,
        R=file.noise.R,
        quantum=file.noise.quantum,
        surrogate=file.surrogate,
    )
    twin = Twin(
        plant=plant,
        reference=file.noise.reference,
        spread=file.noise.spread,
        **{name: getattr(file, name) for name in _SHARED},
    )
    wrong = _problems(twin)
    if wrong:
        raise ValueError(f"twin: expected {'; '.join(wrong)}")
    return twin


def dump(twin: Twin) -> bytes:
    """The file of a twin: the same twin gives the same bytes."""
    plant = twin.plant
    file = _File(
        format=FORMAT,
        version=VERSION,
        kind=plant.kind_name,
        period_s=plant.period_s,
        inputs=plant.inputs,
        outputs=plant.outputs,
        virtual=plant.virtual,
        model=plant.params,
        noise=_Noise(plant.R, plant.quantum, twin.reference, twin.spread),
        surrogate=plant.surrogate,
        **{name: getattr(twin, name) for name in _SHARED},
    )
    return jsontree.text(jsontree.tree(file)).encode()


def fingerprint(twin: Twin) -> str:
    """SHA-256 of all that the daemon computes with: a twin that a person approves, or that is told of the PLC's loops,
    goes on with the state it has."""
    return hashlib.sha256(dump(replace(twin, baseline=None, control=None))).hexdigest()


def _known(content: bytes) -> Any:
    try:
        tree = json.loads(content)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"not a twin: {error}") from error
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise ValueError(f'not a twin: expected "format": "{FORMAT}"')
    if tree.get("version") != VERSION:
        raise ValueError(f"twin of version {tree.get('version')!r}, expected {VERSION}: fit it again")
    return tree


def _problems(twin: Twin) -> list[str]:
    """What no type can say; the kind's own words first."""
    plant = twin.plant
    channels = (*plant.inputs, *plant.outputs, *plant.virtual)
    p, v = len(plant.outputs), len(plant.virtual)
    shapes = (("noise.R", plant.R, p), ("noise.quantum", plant.quantum, p), ("noise.spread", twin.spread, p + v))
    checks = (
        (bool(plant.outputs), "at least one output"),
        (len({c.tag for c in channels}) == len(channels), "each tag once"),
        (all(c.scale > 0 for c in channels), "scales over 0"),
        (plant.period_s > 0 and twin.settle_s >= 0 and twin.hold_periods >= 0, "period_s > 0, settle_s >= 0"),
        (0 < twin.reference <= 1, "noise.reference in (0, 1]"),
        *((array.shape == (size,), f"{name} of {size} numbers") for name, array, size in shapes),
        (bool(np.all(plant.R > 0) and np.all(plant.quantum >= 0) and np.all(twin.spread > 0)), "noise over 0"),
    )
    wrong = [text for good, text in checks if not good]
    wrong += twin.domain.problems(len(plant.inputs) + p)
    wrong += twin.charts.problems(p) if twin.charts else []
    wrong += twin.trust.problems(p) if twin.trust else []
    wrong += twin.isolation.problems(p) if twin.isolation else []
    wrong += life.problems(plant, twin.lives) if twin.lives else []
    wrong += twin.baseline.problems() if twin.baseline else []
    if twin.control:
        tags = [[c.tag for c in part] for part in (plant.inputs, plant.outputs, plant.virtual)]
        wrong += [f"control with {text}" for text in twin.control.problems(*tags)]
    wrong = wrong or plant.kind.check(plant.params, plant.inputs, (*plant.outputs, *plant.virtual))
    return wrong or _of_surrogate(plant)


def _of_surrogate(plant: Plant) -> list[str]:
    try:
        _ = plant.wiring
    except ValueError as error:
        return [f"a surrogate with {str(error).removeprefix('surrogate: expected ')}"]
    return []
