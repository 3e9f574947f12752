"""What a file of kind `detect.rul` says about itself: `metadata_props` of the ONNX file, each key `edgetwin.<field>`.

Values are JSON. There is no time stamp: the same runs give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from agent.core.nouns import F8
from agent.detect.fields import LONGEST_WINDOW, MOST_TAGS, PREFIX, number, parsed, plain, refuse, tags, texts, whole
from agent.detect.rul_features import Regimes

SCHEMA = 1
KIND = "detect.rul"
UNIT_S: Mapping[str, float] = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
CYCLES = "cycles"
MOST_REGIMES, MOST_KNOTS = 64, 1000


@dataclass(frozen=True, slots=True, eq=False)
class About:
    """Everything about a life predictor that is not its graph.

    columns: of unit and of time in the table that it learned from. tags, units: columns of a row in order; counter:
    the tag that counts cycles, where time is in cycles. time_unit: of period, cap, band and age. window, least: rows
    that it looks back on, and that it needs at least. from_new: whether the unit must be followed from its first
    running on. cap: beyond it a life is "more than". band: p5, p50, p95 by estimate, f8[4, knots], the estimates
    first. farthest: from a regime's centre, in shares of the settings' range. regimes: see there.
    """

    columns: tuple[str, str]
    tags: tuple[str, ...]
    units: tuple[str, ...]
    counter: str
    time_unit: str
    period: float
    window: int
    least: int
    hold_rows: int
    from_new: bool
    cap: float
    band: F8
    farthest: float
    regimes: Regimes
    modes: tuple[str, ...]
    settle_s: float
    holdout: Mapping[str, Any]
    choice: Mapping[str, Any]
    training_sha256: str
    created_by: str

    def props(self) -> dict[str, str]:
        """The `metadata_props` of the file."""
        said = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return {PREFIX + k: json.dumps(v, ensure_ascii=False) for k, v in (HEAD | said).items()}


HEAD: dict[str, Any] = {"schema": SCHEMA, "kind": KIND}


def parse(props: Mapping[str, str]) -> About:
    """The metadata in `metadata_props`; ValueError lists what is missing or names what is wrong."""
    wanted = [*HEAD, *(f.name for f in fields(About))]
    missing = [name for name in wanted if PREFIX + name not in props]
    if len(missing) == len(wanted):
        raise ValueError("it has no edgetwin metadata; expected a file made by `edgetwin fit rul`")
    raw = {name: parsed(name, props[PREFIX + name]) for name in wanted if name not in missing}
    for name, value in HEAD.items():
        if name in raw and raw[name] != value:
            refuse(name, raw[name], f"{value}")
    if missing:
        raise ValueError(f"metadata {', '.join(missing)} missing")
    for name, (right, expected) in CHECKS.items():
        if not right(raw[name]):
            refuse(name, raw[name], expected)
    _check_together(raw)
    lists = {name: tuple(raw[name]) for name in ("columns", "tags", "units", "modes")}
    band, regimes = _numbers("band", raw["band"], 2), _regimes(raw["regimes"], len(raw["tags"]))
    _check_band(band)
    return About(**{k: v for k, v in raw.items() if k not in HEAD} | lists | {"band": band, "regimes": regimes})


def _plain(value: Any) -> Any:
    if isinstance(value, Regimes):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return plain(value)


def _over(low: float) -> Callable[[Any], bool]:
    return lambda v: number(v) and v >= low


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda v: whole(v, low, high)


CHECKS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "columns": (lambda v: texts(v) and len(v) == 2, "two names"),
    "tags": (lambda v: texts(v) and tags(v), f"1 to {MOST_TAGS} different names"),
    "units": (texts, "a list of texts"),
    "modes": (texts, "a list of texts"),
    "counter": (lambda v: isinstance(v, str), "a text"),
    "training_sha256": (lambda v: isinstance(v, str), "a text"),
    "created_by": (lambda v: isinstance(v, str), "a text"),
    "time_unit": (lambda v: isinstance(v, str) and (v in UNIT_S or v == CYCLES), "a unit of time, or cycles"),
    "period": (_over(1e-9), "a number over 0"),
    "cap": (_over(1e-9), "a number over 0"),
    "farthest": (_over(1e-9), "a number over 0"),
    "settle_s": (_over(0.0), "a number of seconds"),
    "window": (_whole(2, LONGEST_WINDOW), f"a number of rows from 2 to {LONGEST_WINDOW}"),
    "least": (_whole(1, LONGEST_WINDOW), "a number of rows"),
    "hold_rows": (_whole(0, LONGEST_WINDOW), "a number of rows"),
    "from_new": (lambda v: isinstance(v, bool), "true or false"),
    "holdout": (lambda v: isinstance(v, dict), "an object"),
    "choice": (lambda v: isinstance(v, dict), "an object"),
    "regimes": (lambda v: isinstance(v, dict), "an object"),
}


def _check_together(raw: Mapping[str, Any]) -> None:
    if len(raw["units"]) != len(raw["tags"]):
        refuse("units", raw["units"], f"one unit for each of the {len(raw['tags'])} tags")
    if (raw["time_unit"] == CYCLES) != bool(raw["counter"]):
        refuse("counter", raw["counter"], "the tag that counts cycles where time is in cycles, else nothing")
    if raw["least"] > raw["window"]:
        refuse("least", raw["least"], "no more rows than the window has")


def _check_band(band: F8) -> None:
    ordered = np.all(np.diff(band[:, :], axis=1) >= 0) and np.all(np.diff(band[1:], axis=0) >= 0)
    if band.shape[0] != 4 or not 2 <= band.shape[1] <= MOST_KNOTS or not ordered:
        raise ValueError("metadata band: expected four rising rows (estimate, p5 <= p50 <= p95)")


def _numbers(name: str, value: Any, dimensions: int) -> F8:
    try:
        found = np.asarray(value, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"metadata {name}: expected numbers ({error})") from error
    if found.ndim != dimensions or not np.isfinite(found).all():
        raise ValueError(f"metadata {name}: expected finite numbers in {dimensions} dimensions")
    return found


def _regimes(raw: Mapping[str, Any], columns: int) -> Regimes:
    missing = [f.name for f in fields(Regimes) if f.name not in raw]
    if missing:
        raise ValueError(f"metadata regimes: {', '.join(missing)} missing")
    at = {name: _numbers(f"regimes.{name}", raw[name], 1).astype(np.int64) for name in ("settings", "tags")}
    found = Regimes(
        settings=at["settings"],
        centres=_numbers("regimes.centres", raw["centres"], 2),
        scale=_numbers("regimes.scale", raw["scale"], 1),
        tags=at["tags"],
        mean=_numbers("regimes.mean", raw["mean"], 2),
        spread=_numbers("regimes.spread", raw["spread"], 2),
    )
    count, settings, tags = len(found.mean), len(found.settings), len(found.tags)
    shapes = (found.centres.shape, found.scale.shape, found.mean.shape, found.spread.shape)
    every = np.concatenate([found.settings, found.tags])
    right = shapes == ((count, settings), (settings,), (count, tags), (count, tags))
    right &= 1 <= count <= MOST_REGIMES and tags > 0 and bool(np.all((every >= 0) & (every < columns)))
    if not right or np.any(found.spread <= 0) or np.any(found.scale <= 0):
        raise ValueError("metadata regimes: its parts do not fit together")
    return found
