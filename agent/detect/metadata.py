"""What a detector file says about itself: the `metadata_props` of the ONNX file, each key `edgetwin.<field>`.

Values are JSON, so that any viewer of ONNX files shows them. There is no time stamp: the same recording gives the
same bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from agent.detect.fields import (
    LONGEST_WINDOW,
    MOST_TAGS,
    PREFIX,
    number,
    parsed,
    plain,
    refuse,
    tags,
    texts,
    whole,
)

SCHEMA = 1
KIND = "detect.onnx"
FIGURES = ("threshold", "calibration", "holdout", "features", "reference")
# Fields that files of before do not have.
LATER = ("reference",)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Everything about a detector that is not its graph.

    tags, units: columns of the window in order. window: rows. period_s: seconds a row. hold_rows: rows for which an
    absent input may be held. persistence (k, n): the published score is the k-th largest of the last n.
    limit: of the published score. threshold: how the limit was set. calibration, holdout: measured figures.
    reference: how healthy rows were, for telling later whether the machine has drifted away from them: `quantiles`
    (shares), `inputs` (those quantiles of each tag, in its unit), `score` (of the published score of rows not fitted
    on), `alarms_per_day` (what the limit was set for); empty in files of before.
    """

    schema: int
    kind: str
    tags: tuple[str, ...]
    units: tuple[str, ...]
    window: int
    period_s: float
    modes: tuple[str, ...]
    settle_s: float
    hold_rows: int
    persistence: tuple[int, int]
    limit: float
    score: str
    contribution: str
    threshold: Mapping[str, float]
    calibration: Mapping[str, Any]
    holdout: Mapping[str, float]
    features: Mapping[str, Any]
    training_sha256: str
    created_by: str
    reference: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def props(self) -> dict[str, str]:
        """The `metadata_props` of the file."""
        return {PREFIX + f.name: json.dumps(plain(getattr(self, f.name)), ensure_ascii=False) for f in fields(self)}


def parse(props: Mapping[str, str]) -> Metadata:
    """The metadata in `metadata_props`; ValueError lists what is missing or names what is wrong."""
    required = [f.name for f in fields(Metadata) if f.name not in LATER]
    missing = [name for name in required if PREFIX + name not in props]
    if len(missing) == len(required):
        raise ValueError("it has no edgetwin metadata; expected a file made by `edgetwin fit detector`")
    if missing:
        raise ValueError(f"metadata {', '.join(missing)} missing")
    raw = {name: parsed(name, props[PREFIX + name]) for name in required}
    raw |= {name: parsed(name, props.get(PREFIX + name, "{}")) for name in LATER}
    _check_words(raw)
    _check_numbers(raw)
    _check_tags(raw)
    _check_reference(raw)
    figures = {name: MappingProxyType(raw[name]) for name in FIGURES}
    lists = {name: tuple(raw[name]) for name in ("tags", "units", "modes", "persistence")}
    return Metadata(**{**raw, **figures, **lists})


def _check_words(raw: dict[str, Any]) -> None:
    if raw["schema"] != SCHEMA:
        refuse("schema", raw["schema"], f"{SCHEMA}: made by another version of edgetwin")
    if raw["kind"] != KIND:
        refuse("kind", raw["kind"], KIND)
    for name in ("score", "contribution", "training_sha256", "created_by"):
        if not isinstance(raw[name], str):
            refuse(name, raw[name], "a text")
    for name in FIGURES:
        if not isinstance(raw[name], dict):
            refuse(name, raw[name], "an object")


def _check_numbers(raw: dict[str, Any]) -> None:
    if not whole(raw["window"], 1, LONGEST_WINDOW):
        refuse("window", raw["window"], f"a number of rows from 1 to {LONGEST_WINDOW}")
    if not whole(raw["hold_rows"], 0, LONGEST_WINDOW):
        refuse("hold_rows", raw["hold_rows"], "a number of rows")
    for name, low in (("period_s", 1e-3), ("settle_s", 0.0), ("limit", 1e-9)):
        if not number(raw[name]) or raw[name] < low:
            refuse(name, raw[name], f"a number of at least {low:g}")
        raw[name] = float(raw[name])
    pair = raw["persistence"]
    if not (isinstance(pair, list) and len(pair) == 2 and whole(pair[1], 1, 1000) and whole(pair[0], 1, pair[1])):
        refuse("persistence", pair, "[k, n] with 1 <= k <= n <= 1000")


def _check_tags(raw: dict[str, Any]) -> None:
    for name in ("tags", "units", "modes"):
        if not texts(raw[name]):
            refuse(name, raw[name], "a list of texts")
    if not tags(raw["tags"]):
        refuse("tags", raw["tags"], f"1 to {MOST_TAGS} different names")
    if len(raw["units"]) != len(raw["tags"]):
        refuse("units", raw["units"], f"one unit for each of the {len(raw['tags'])} tags")


def _check_reference(raw: dict[str, Any]) -> None:
    found = raw["reference"]
    if not found:
        return
    shares = found.get("quantiles")
    if not _rising(shares, 0.0, 1.0):
        refuse("reference.quantiles", shares, "rising shares from 0 to 1")
    inputs, count = found.get("inputs"), len(shares)
    if not isinstance(inputs, list) or len(inputs) != len(raw["tags"]):
        refuse("reference.inputs", inputs, f"quantiles of each of the {len(raw['tags'])} tags")
    for name, values in (
        *((f"inputs.{tag}", v) for tag, v in zip(raw["tags"], inputs, strict=True)),
        ("score", found.get("score")),
    ):
        if not _rising(values) or len(values) != count:
            refuse(f"reference.{name}", values, f"{count} rising numbers")
    if not number(found.get("alarms_per_day")) or found["alarms_per_day"] <= 0:
        refuse("reference.alarms_per_day", found.get("alarms_per_day"), "a number above 0")


def _rising(values: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    """Whether it is a list of numbers that do not fall, from low to high."""
    if not isinstance(values, list) or not values or not all(number(v) and low <= v <= high for v in values):
        return False
    return all(a <= b for a, b in pairwise(values))
