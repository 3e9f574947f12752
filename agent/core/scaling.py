"""Raw values to engineering values with their quality: the same columns for every driver.

value = scale · raw + offset

raw is NaN, or the `invalid` sentinel      BadSensorFailure, value NaN
value is infinite                          BadOutOfRange, value NaN
value outside [eu_lo, eu_hi]               as the tag says in `beyond`:
    uncertain (unless said)                UncertainEngineeringUnitsExceeded, value kept
    clamp                                  Good with the limit bit of that end, value = that end (OPC 10000-4 7.39.1)
    bad                                    BadOutOfRange, value NaN
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from agent.core import quality
from agent.core.nouns import F8, U4, Tag

Mask = npt.NDArray[np.bool_]
SHORT_FLOATS: dict[str, type[np.floating[Any]]] = {"float16": np.float16, "float32": np.float32}


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """Columns over n tags: scale, offset, invalid (NaN where there is none), lo, hi f8[n]; clamp, refuse bool[n]."""

    scale: F8
    offset: F8
    invalid: F8
    lo: F8
    hi: F8
    clamp: Mask
    refuse: Mask

    @classmethod
    def of(cls, tags: Sequence[Tag]) -> Scaling:
        """The columns of these tags."""
        sentinels = [np.nan if t.invalid is None else _as_read(t.invalid, t.type) for t in tags]
        return cls(
            np.array([t.scale for t in tags], np.float64),
            np.array([t.offset for t in tags], np.float64),
            np.array(sentinels, np.float64),
            np.array([t.eu_lo for t in tags], np.float64),
            np.array([t.eu_hi for t in tags], np.float64),
            np.array([t.beyond == "clamp" for t in tags], np.bool_),
            np.array([t.beyond == "bad" for t in tags], np.bool_),
        )

    def take(self, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Scaling:
        """The columns of some rows."""
        return Scaling(*(getattr(self, f.name)[rows] for f in fields(self)))


def _as_read(sentinel: float, kind: str) -> float:
    """A float32 (or an array of them) carries -9999.9 as its nearest float32: compare with that."""
    kind = kind.partition("[")[0]
    return float(SHORT_FLOATS[kind](sentinel)) if kind in SHORT_FLOATS else sentinel


def engineering(raw: F8, status: U4, scaling: Scaling, texts: tuple[tuple[int, str], ...] = ()) -> tuple[F8, U4]:
    """Engineering values f8[n] and status u4[n] of raw values f8[n]; a status that is Bad already stays as it is."""
    with np.errstate(over="ignore", invalid="ignore"):
        value = scaling.scale * raw + scaling.offset
    was_bad = quality.bad_mask(status)
    failed = np.isnan(raw) | (raw == scaling.invalid)
    infinite = ~np.isfinite(value) & ~failed
    out = status.copy()
    value = _ranged(value, out, scaling)
    out[infinite & ~was_bad] = quality.BAD_OUT_OF_RANGE
    out[failed & ~was_bad] = quality.BAD_SENSOR_FAILURE
    for row, _ in texts:
        out[row] = status[row]
    return np.where(quality.bad_mask(out), np.nan, value), out


def _ranged(value: F8, out: U4, scaling: Scaling) -> F8:
    """Values with those beyond their range treated as their tags say; `out` takes their status."""
    below, above = value < scaling.lo, value > scaling.hi
    beyond = below | above
    if not beyond.any():
        return value
    good = quality.good_mask(out)
    out[beyond & good & ~scaling.clamp] = quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    out[below & good & scaling.clamp] |= np.uint32(quality.LIMITED_LOW)
    out[above & good & scaling.clamp] |= np.uint32(quality.LIMITED_HIGH)
    out[beyond & scaling.refuse & ~quality.bad_mask(out)] = quality.BAD_OUT_OF_RANGE
    clamped = np.where(below, scaling.lo, np.where(above, scaling.hi, value))
    return np.where(scaling.clamp & np.isfinite(value), clamped, value)


def raw_of(tag: Tag, value: float) -> float:
    """The raw number to write for an engineering value: raw = (value - offset) / scale. ValueError if out of range."""
    if not np.isfinite(value):
        raise ValueError(f"{tag.id}: cannot write {value}, expected a number")
    if value < tag.eu_lo or value > tag.eu_hi:
        raise ValueError(f"{tag.id}: {value:g} is outside its range, expected {tag.eu_lo:g} to {tag.eu_hi:g}")
    if tag.scale == 0.0:
        raise ValueError(f"{tag.id}: scale is 0, nothing can be written")
    return (value - tag.offset) / tag.scale
