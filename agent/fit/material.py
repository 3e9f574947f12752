"""What a twin is fitted to: unbroken pieces in scaled units, in blocks, and the checks that they can carry a fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core.nouns import F8
from agent.fit.identify.refine import Stops
from agent.fit.identify.subspace import lags
from agent.fit.pieces import BLOCKS, PAST, Piece
from agent.fit.recording import FitError, Recording, cut
from agent.twin.kind import Channel

LEAST_ROWS = 200
LEAST_PIECE = 3 * PAST
ALIKE = 1e-6
STOP_ROWS = 10
STOP_SHARE = 0.01
STOP_LEAP = 5
EDGE = 1e-9


@dataclass(frozen=True, slots=True)
class Columns:
    """Column names by their part."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    virtual: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        """Inputs, outputs, virtual outputs."""
        return (*self.inputs, *self.outputs, *self.virtual)


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """pieces: rows behind the settling time. whole: also those before it, `settled` saying where it is over."""

    pieces: tuple[Piece, ...]
    whole: tuple[Piece, ...]
    settled: tuple[npt.NDArray[np.bool_], ...]
    inputs: tuple[Channel, ...]
    outputs: tuple[Channel, ...]
    virtual: tuple[Channel, ...]
    period_s: float
    stops: Stops

    @property
    def rows(self) -> int:
        """Rows that are fitted to."""
        return sum(len(p.u) for p in self.pieces)


def prepared(
    recording: Recording,
    columns: Columns,
    where: Mapping[str, float],
    settle_s: float,
    period_s: float | None,
    units: Mapping[str, str],
) -> Material:
    """The pieces of a recording; FitError names what cannot carry a fit."""
    _check_names(recording, columns)
    behind = cut(recording, columns.all, where=where, settle_s=settle_s)
    settled = np.zeros(len(recording.time_s), np.bool_)
    for segment in behind:
        settled[segment.row] = True
    if settled.sum() < LEAST_ROWS:
        conditions = " and ".join(f"{k} = {v:g}" for k, v in where.items())
        said = f" where {conditions} holds for over {settle_s:g} s" if where else ""
        raise FitError(f"{recording.path}: {settled.sum()} complete rows{said}, expected at least {LEAST_ROWS}")
    value = recording.columns(columns.all)[settled]
    _check_moves(recording, columns, value)
    channels = _channels(columns, value, units)
    row = np.flatnonzero(settled)
    edges = row[[len(row) * i // BLOCKS for i in range(1, BLOCKS)]]
    segments = cut(recording, columns.all, where=where, period_s=period_s)
    scaled = [(_scaled(s.value, channels), s.row, i) for i, s in enumerate(segments)]
    whole = [p for part in scaled for p in _in_blocks(*part, edges, columns)]
    after = [settled[rows] for _, rows in whole]
    pieces = [q for (p, rows), good in zip(whole, after, strict=True) for q in _runs(p, rows, good)]
    used = [good & _late_enough(rows, recording, settle_s) for (_, rows), good in zip(whole, after, strict=True)]
    m, p = len(columns.inputs), len(columns.outputs)
    material = Material(
        pieces=tuple(q for q in pieces if len(q.u) >= LEAST_PIECE),
        whole=tuple(q for q, _ in whole),
        settled=tuple(used),
        inputs=channels[:m],
        outputs=channels[m : m + p],
        virtual=channels[m + p :],
        period_s=recording.period_s if period_s is None else period_s,
        stops=_stops(value[:, m : m + p], channels[m : m + p]),
    )
    _check_excitation(recording, material)
    return material


def _check_names(recording: Recording, columns: Columns) -> None:
    if not columns.inputs or not columns.outputs:
        raise FitError("a twin needs at least one input and one output")
    twice = sorted({n for n in columns.all if columns.all.count(n) > 1})
    if twice:
        raise FitError(f"{', '.join(twice)}: each column can be an input, an output or virtual, once")
    recording.columns(columns.all)


def _check_moves(recording: Recording, columns: Columns, value: F8) -> None:
    still = [n for n, s in zip(columns.all, value.std(axis=0), strict=True) if s <= 1e-9 * (1.0 + abs(s))]
    if still:
        raise FitError(f"{recording.path}: {', '.join(still)} never moves in these rows; leave it out or record longer")


def _channels(columns: Columns, value: F8, units: Mapping[str, str]) -> tuple[Channel, ...]:
    statistics = zip(columns.all, value.mean(0), value.std(0), value.min(0), value.max(0), strict=True)
    return tuple(Channel(n, units.get(n, ""), *(float(f"{x:.9g}") for x in numbers)) for n, *numbers in statistics)


def _stops(y: F8, channels: Sequence[Channel]) -> Stops:
    """The ends at which outputs stand again and again, though hardly ever right beside them: f8[rows,p] in units."""
    low, high = np.full(len(channels), -np.inf), np.full(len(channels), np.inf)
    for j, c in enumerate(channels):
        values, count = np.unique(y[:, j], return_counts=True)
        least = max(STOP_ROWS, STOP_SHARE * len(y))
        if count[0] >= least and count[0] > STOP_LEAP * count[1]:
            low[j] = (values[0] - c.mean) / c.scale + EDGE
        if count[-1] >= least and count[-1] > STOP_LEAP * count[-2]:
            high[j] = (values[-1] - c.mean) / c.scale - EDGE
    return Stops(low, high)


def _scaled(value: F8, channels: Sequence[Channel]) -> F8:
    mean, scale = np.array([c.mean for c in channels]), np.array([c.scale for c in channels])
    return np.asarray((value - mean) / scale, np.float64)


def _in_blocks(
    value: F8, row: npt.NDArray[np.int64], run: int, edges: npt.NDArray[np.intp], columns: Columns
) -> list[tuple[Piece, npt.NDArray[np.int64]]]:
    """A segment cut where a block of the recording ends."""
    block = np.searchsorted(edges, row, side="right")
    m, p = len(columns.inputs), len(columns.outputs)
    found = []
    for b in np.unique(block):
        part, rows = value[block == b], row[block == b]
        found.append((Piece(part[:, :m], part[:, m : m + p], part[:, m + p :], int(b), run, int(rows[0])), rows))
    return found


def _runs(piece: Piece, row: npt.NDArray[np.int64], good: npt.NDArray[np.bool_]) -> list[Piece]:
    """The stretches of a piece where `good` holds."""
    edge = np.flatnonzero(np.diff(np.concatenate([[0], good.astype(int), [0]])))
    return [
        Piece(piece.u[a:b], piece.y[a:b], piece.v[a:b], piece.block, piece.run, int(row[a]))
        for a, b in zip(edge[::2], edge[1::2], strict=True)
    ]


def _late_enough(row: npt.NDArray[np.int64], recording: Recording, settle_s: float) -> npt.NDArray[np.bool_]:
    """Where a twin that starts with the piece's first row is past its settling time (at least one row)."""
    since = recording.time_s[row] - recording.time_s[row[0]]
    return np.asarray(since >= max(settle_s, recording.period_s))


def _check_excitation(recording: Recording, material: Material) -> None:
    """Each input must say something that its own past and the other inputs do not say already."""
    long = [p.u for p in material.pieces if len(p.u) > PAST]
    if not long:
        raise FitError(f"{recording.path}: no unbroken stretch of {LEAST_PIECE} rows")
    past, now = np.vstack([lags(u, PAST) for u in long]), np.vstack([u[PAST:] for u in long])
    for j, channel in enumerate(material.inputs):
        others = np.delete(now, j, axis=1)
        G = np.hstack([past, others, np.ones((len(now), 1))])
        left = now[:, j] - G @ np.linalg.lstsq(G, now[:, j], rcond=1e-10)[0]
        if np.std(left) < ALIKE:
            raise FitError(
                f"{recording.path}: {channel.tag} says nothing new: its past and the other inputs foretell it; "
                "a model cannot tell their effects apart"
            )
