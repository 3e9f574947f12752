"""Cycles of an asset as columns, block by block: for tables of many points (`history` is for one point)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core import quality, wire
from agent.core.nouns import F8, I8, U4, Kind, Point, Snapshot
from agent.store import between, blocks, columnar
from agent.store.history import Layouts, layout_at
from agent.store.read import Reader
from agent.store.record import BLOCK, RAW, Record

BESIDE = (Kind.TEXT, Kind.ARRAY)


@dataclass(frozen=True, slots=True, eq=False)
class Cycles:
    """k cycles of n points: time_ns i8[k] (UTC, of the cycle), value f8[k, n] (NaN where none), status u4[k, n]; texts
    and arrays by (row, column). clock: how good the times are."""

    time_ns: I8
    value: F8
    status: U4
    beside: Mapping[tuple[int, int], str | F8]
    clock: str


def known(reader: Reader, asset: str, otherwise: Sequence[Point] = ()) -> Layouts:
    """Which points an asset has had, and when; `otherwise` where the journal does not say."""
    return reader.layouts(asset) or [(0, tuple(otherwise))]


def cycles(
    reader: Reader, asset: str, points: Sequence[str], layouts: Layouts, start_ns: int, end_ns: int
) -> Iterator[Cycles]:
    """What was published of points (ids) in the cycles with start_ns <= time < end_ns (UTC), one for each block.

    What an asset did not have at the time is NaN and BadNoData. StoreError where the store cannot be read.
    """
    for kept in between.records(reader, RAW, asset, start_ns, end_ns):
        if kept.kind == BLOCK:
            found = _cycles(kept, layout_at(layouts, kept.id), points)
            inside = (found.time_ns >= start_ns) & (found.time_ns < end_ns)
            if inside.any():
                yield _only(found, inside)


def _cycles(kept: Record, layout: Sequence[Point], points: Sequence[str]) -> Cycles:
    at = {point.id: row for row, point in enumerate(layout)}
    rows = np.array([at.get(name, -1) for name in points], np.intp)
    beside = any(row >= 0 and layout[row].kind in BESIDE for row in rows)
    whole = beside or kept.body[:1] != bytes([columnar.VERSION])
    return _of_messages(kept, rows) if whole else _of_columns(kept, rows)


def _of_columns(kept: Record, rows: npt.NDArray[np.intp]) -> Cycles:
    number, times, values, statuses = [], [], [], []
    for group in columnar.groups(kept.body):
        if group.kind == "snapshot" and group.template:
            fields = columnar.tree(group.template)
            number.append(group.number)
            times.append(group.t_ns)
            values.append(_chosen(columnar.column(group, fields["value"]), rows, np.nan))
            statuses.append(_chosen(columnar.column(group, fields["status"]), rows, quality.BAD_NO_DATA))
    if not number:
        return _nothing(kept, len(rows))
    order = np.argsort(np.concatenate(number))
    wall_ns = np.concatenate(times)[order] + (kept.wall_ns - kept.t_ns)
    return Cycles(wall_ns, np.concatenate(values)[order], np.concatenate(statuses)[order], {}, kept.clock)


def _of_messages(kept: Record, rows: npt.NDArray[np.intp]) -> Cycles:
    found = [wire.decode(Snapshot, m) for kind, _, m in blocks.unpack(kept.body) if kind == "snapshot"]
    if not found:
        return _nothing(kept, len(rows))
    beside: dict[tuple[int, int], str | F8] = {}
    for k, snapshot in enumerate(found):
        said: dict[int, str | F8] = {**snapshot.texts, **snapshot.arrays}
        beside |= {(k, n): said[row] for n, row in enumerate(rows.tolist()) if row in said}
    return Cycles(
        np.array([s.t_ns for s in found], np.int64) + (kept.wall_ns - kept.t_ns),
        np.stack([_chosen(s.value[None], rows, np.nan)[0] for s in found]),
        np.stack([_chosen(s.status[None], rows, quality.BAD_NO_DATA)[0] for s in found]),
        beside,
        kept.clock,
    )


def _nothing(kept: Record, n: int) -> Cycles:
    return Cycles(np.zeros(0, np.int64), np.zeros((0, n)), np.zeros((0, n), np.uint32), {}, kept.clock)


def _chosen(column: npt.NDArray[np.generic], rows: npt.NDArray[np.intp], missing: float) -> npt.NDArray[np.generic]:
    """Some columns of [k, m]; `missing` in the place of those that are not there."""
    there = (rows >= 0) & (rows < column.shape[1])
    out = np.full((len(column), len(rows)), missing, column.dtype)
    out[:, there] = column[:, rows[there]]
    return out


def _only(found: Cycles, inside: npt.NDArray[np.bool_]) -> Cycles:
    new = np.cumsum(inside) - 1
    beside = {(int(new[k]), n): said for (k, n), said in found.beside.items() if inside[k]}
    return Cycles(found.time_ns[inside], found.value[inside], found.status[inside], beside, found.clock)
