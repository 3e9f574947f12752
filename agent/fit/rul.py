"""Makes a `detect.rul` file from units that ran to failure: `edgetwin fit rul`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from agent.core.nouns import F8, I8
from agent.detect import rul as detect
from agent.detect import rul_features
from agent.detect.rul_features import Regimes
from agent.detect.rul_file import CYCLES, About
from agent.fit.detector import _version as version
from agent.fit.lives import band, choice, network, regimes, runs
from agent.fit.lives.choice import Chosen, Table
from agent.fit.lives.graph import onnx_bytes
from agent.fit.lives.runs import Runs, Unit
from agent.fit.recording import FitError

FEWEST_UNITS = 6
HOLD_ROWS = 3
LEAST_ROWS = 10
# The cap where none is given: so much of the median life, to the nearest preferred number (ISO 3, R10). Beyond about
# that, units look alike: nothing has begun to wear visibly.
CAP_SHARE = 0.6
PREFERRED = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0, 10.0)
# How much farther than any held-out row of training a row may be, and from the centre of its regime, before it is
# outside.
MARGIN = 1.25
FARTHEST_SETTING = 0.05
MOST_SHUFFLED = 3000


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What was made, how good it is on units that it was not trained on, and what the page needs."""

    path: str
    bytes: int
    about: About
    dropped: tuple[str, ...]
    table: Table
    chosen: Chosen
    shown: F8
    limit: float
    importance: Mapping[str, float]
    page: str = ""

    def lines(self) -> list[str]:
        """The report for a person."""
        about, held = self.about, self.about.holdout
        unit, count = about.time_unit, len(about.regimes.mean)
        told = ", ".join(about.tags[k] for k in about.regimes.settings)
        named = sorted(self.chosen.errors.items(), key=lambda pair: pair[1])
        with_age = (
            "the unit's age and first rows are used: follow it from its first running on"
            if about.from_new
            else ("the unit's age is not used")
        )
        return [
            f"{self.path}: {self.bytes} bytes, {len(about.regimes.tags)} tags, {held['units']} units"
            f" of {held['rows']} rows",
            *(f"left out: {name}" for name in self.dropped),
            f"{count} operating regimes by {told}" if count > 1 else "one operating regime",
            f"lives up to {about.cap:g} {unit}, beyond that: more than; a window of {about.window} rows each"
            f" {about.period:g} {unit}; {with_age}",
            f"held-out units: RMSE {held['rmse']:.2f} {unit} ({held['rmse_low']:.2f} to {held['rmse_high']:.2f}, 95 %"
            f" bootstrap over units), lives at most the cap; the mean life {held['rmse_mean']:.2f}",
            f"90 % band: covers {held['coverage']:.1%} of held-out rows, mean width {held['width']:.1f} {unit}",
            *(f"  {error:8.2f} {unit}  {name}" for name, error in named),
            f"written: {self.path}" + (f" and {self.page}" if self.page else ""),
        ]


def fit(
    recording_path: str | Path,
    *,
    out: str | Path,
    unit: str,
    time: str,
    tags: Sequence[str] | None = None,
    settings: Sequence[str] | None = None,
    censored: Sequence[str] = (),
    cap: float | None = None,
    from_new: bool | None = None,
    window: int = 30,
    time_unit: str = "",
    modes: Sequence[str] = ("running",),
    units: Mapping[str, str] | None = None,
    page: str | Path | None = None,
    seed: int = 0,
) -> Report:
    """Makes a life predictor from units that ran to failure and writes it to `out`, and its page to `page`.

    unit, time: columns. tags: columns to use (default: all numeric). settings: columns that tell the operating regime
    (default: recognised). censored: units that had not failed at their last row; of these, only rows that are known to
    have more than the cap left are used. cap: the longest life that is told, in the column's unit of time. from_new:
    whether age and the first rows of a unit may be used (default: cross-validation decides). units: of the tags.
    The same runs give the same bytes. FitError says in words why there is no predictor.
    """
    found = runs.read(recording_path, unit, time, time_unit)
    names = _named(found, tags)
    use = _complete(found, names)
    _check(found, use, censored, settings, names, window, cap)
    limit = cap or _usual_cap([u for u in use if u.name not in censored])
    told = None if settings is None else [names.index(name) for name in settings]
    known, still = regimes.found([u.value for u in use], told)
    if not len(known.tags):
        raise FitError(f"{found.path}: every tag stands still: {', '.join(names)}")
    table = _table(use, known, window, limit, censored)
    chosen = choice.choose(table, from_new, seed)
    made = choice.final(table, chosen, seed)
    features = table.features[chosen.from_new]
    inside = choice.envelope(features[table.usable])
    farthest = MARGIN * float(np.nanmax(chosen.distance[table.usable]))
    ok = table.usable
    knots = band.band(chosen.estimate[ok], table.life[ok], table.unit[ok], limit)
    kept = _kept(known, names)
    shown = _cross_banded(chosen, table)
    about = About(
        columns=(unit, time),
        tags=tuple(names[k] for k in kept),
        units=tuple((units or {}).get(names[k], "") for k in kept),
        counter=time if found.time_unit == CYCLES else "",
        time_unit=found.time_unit,
        period=found.period,
        window=window,
        least=min(LEAST_ROWS, window),
        hold_rows=HOLD_ROWS,
        from_new=chosen.from_new,
        cap=limit,
        band=np.round(knots, 6),
        farthest=FARTHEST_SETTING,
        regimes=_renumbered(known, kept),
        modes=tuple(modes),
        settle_s=0.0,
        holdout=_holdout(table, chosen, shown),
        choice={name: _rounded(error) for name, error in chosen.errors.items()},
        training_sha256=found.sha256,
        created_by=f"edgetwin {version()}",
    )
    content = onnx_bytes(made, inside, farthest, about.props())
    _agrees(content, network.members(made, features[:500]).mean(axis=0), features[:500])
    Path(out).write_bytes(content)
    dropped = (*(f"{name} (text)" for name in found.texts), *(f"{names[k]} ((nearly) constant)" for k in still))
    counts = _importance(made, table, chosen.from_new, tuple(names[k] for k in known.tags))
    report = Report(str(out), len(content), about, dropped, table, chosen, shown, farthest, counts, str(page or ""))
    if page is not None:
        from agent.fit.lives import page as pages

        Path(page).write_text(pages.html(report, found.path), encoding="utf-8")
    return report


def _named(found: Runs, tags: Sequence[str] | None) -> tuple[str, ...]:
    if tags is None:
        if not found.names:
            raise FitError(f"{found.path}: no numeric column beside unit and time")
        return found.names
    missing = [name for name in tags if name not in found.names]
    if missing:
        raise FitError(f"{found.path}: no numeric column {', '.join(missing)}; it has {', '.join(found.names)}")
    return tuple(tags)


def _complete(found: Runs, names: Sequence[str]) -> list[Unit]:
    """The units with the named columns; an absent cell is held from the row before, as the daemon does."""
    at = [found.names.index(name) for name in names]
    out = []
    for unit in found.units:
        value = _held(unit.value[:, at])
        whole = np.isfinite(value).all(axis=1)
        if whole.any():
            first = int(whole.argmax())
            out.append(Unit(unit.name, unit.time[first:], value[first:], unit.row[first:]))
    return out


def _held(value: F8) -> F8:
    known = np.where(np.isfinite(value), np.arange(len(value))[:, None], -1)
    last = np.maximum.accumulate(known, axis=0)
    return np.where(last >= 0, np.take_along_axis(value, np.maximum(last, 0), axis=0), np.nan)


def _check(
    found: Runs,
    use: Sequence[Unit],
    censored: Sequence[str],
    settings: Sequence[str] | None,
    names: Sequence[str],
    window: int,
    cap: float | None,
) -> None:
    known = {u.name for u in found.units}
    unknown = [name for name in censored if name not in known]
    if unknown:
        raise FitError(f"{found.path}: no unit {', '.join(unknown)} (censored)")
    strange = [name for name in settings or () if name not in names]
    if strange:
        raise FitError(f"{found.path}: no tag {', '.join(strange)} (settings); there are {', '.join(names)}")
    if window < 2:
        raise FitError(f"window {window}: expected at least 2 rows")
    if cap is not None and not cap > 0:
        raise FitError(f"cap {cap:g}: expected more than 0")
    ran = [u for u in use if u.name not in censored and len(u.time) > LEAST_ROWS]
    if len(ran) < FEWEST_UNITS:
        raise FitError(
            f"{found.path}: {len(ran)} units that ran to failure with more than {LEAST_ROWS} whole rows; expected at"
            f" least {FEWEST_UNITS}"
        )


def _usual_cap(use: Sequence[Unit]) -> float:
    wanted = CAP_SHARE * float(np.median([u.time[-1] - u.time[0] for u in use]))
    ten = 10.0 ** np.floor(np.log10(wanted))
    return float(f"{ten * min(PREFERRED, key=lambda p: abs(np.log(p * ten / wanted))):.6g}")


def _table(use: Sequence[Unit], known: Regimes, window: int, cap: float, censored: Sequence[str]) -> Table:
    z = [rul_features.standardised(known, u.value) for u in use]
    age = [u.time - u.time[0] for u in use]
    left = [u.time[-1] - u.time for u in use]
    enough = [np.arange(len(u.time)) >= LEAST_ROWS - 1 for u in use]
    sure = [np.full(len(u.time), u.name not in censored) | (r >= cap) for u, r in zip(use, left, strict=True)]
    return Table(
        features=choice.features(z, age, window),
        life=np.concatenate(left),
        unit=np.concatenate([np.full(len(u.time), i, np.int64) for i, u in enumerate(use)]),
        usable=np.concatenate(enough) & np.concatenate(sure),
        cap=cap,
    )


def _kept(known: Regimes, names: Sequence[str]) -> I8:
    """Columns that the file reads: what tells the regime and what tells the life, in the recording's order."""
    return np.array(sorted({*known.settings.tolist(), *known.tags.tolist()}), np.int64)


def _renumbered(known: Regimes, kept: I8) -> Regimes:
    settings, tags = (np.searchsorted(kept, each).astype(np.int64) for each in (known.settings, known.tags))
    return Regimes(settings, known.centres, known.scale, tags, known.mean, known.spread)


def _cross_banded(chosen: Chosen, table: Table) -> F8:
    """p5, p50, p95 f8[n, 3] of held-out rows, by a band from the other units: what coverage is counted on."""
    out = np.full((len(table.life), 3), np.nan)
    parts = np.array_split(np.unique(table.unit[table.usable]), choice.FOLDS)
    for fold in parts:
        mine = np.isin(table.unit, fold) & table.usable
        rest = ~np.isin(table.unit, fold) & table.usable
        if not mine.any() or not rest.any():
            continue
        knots = band.band(chosen.estimate[rest], table.life[rest], table.unit[rest], table.cap)
        out[mine] = np.column_stack([np.interp(chosen.estimate[mine], knots[0], row) for row in knots[1:]])
    return out


def _holdout(table: Table, chosen: Chosen, shown: F8) -> dict[str, Any]:
    ok = table.usable
    true, unit = np.minimum(table.life, table.cap), table.unit
    square = np.square(chosen.estimate - true)
    per_unit = np.array([square[ok & (unit == u)].mean() for u in np.unique(unit[ok])])
    draw = np.random.default_rng(0).integers(0, len(per_unit), (2000, len(per_unit)))
    low, high = np.quantile(np.sqrt(per_unit[draw].mean(axis=1)), [0.025, 0.975])
    inside = (shown[ok, 0] <= true[ok]) & (true[ok] <= shown[ok, 2])
    figures = {
        "rmse": np.sqrt(per_unit.mean()),
        "rmse_low": low,
        "rmse_high": high,
        "rmse_mean": chosen.errors["the mean life"],
        "coverage": inside.mean(),
        "width": (shown[ok, 2] - shown[ok, 0]).mean(),
    }
    counts = {"units": len(per_unit), "rows": int(ok.sum()), "folds": choice.FOLDS}
    return counts | {name: _rounded(float(value)) for name, value in figures.items()}


def _agrees(content: bytes, expected: F8, features: F8) -> None:
    """FitError where the file does not say what the networks say."""
    given, _ = detect.estimated(detect.load(content), features)
    worst = float(np.abs(given - expected).max()) / max(float(expected.max()), 1e-9)
    if worst > 1e-3:
        raise FitError(f"the file differs from the fit by {worst:.2g} of the largest life")


def _importance(made: network.Network, table: Table, from_new: bool, tags: tuple[str, ...]) -> dict[str, float]:
    """By how much the error grows where the features of a tag, or the age, come from other rows (Breiman 2001)."""
    rows = np.flatnonzero(table.usable)[:: max(1, int(table.usable.sum()) // MOST_SHUFFLED)]
    x, true = table.features[from_new][rows], np.minimum(table.life[rows], table.cap)
    other = np.random.default_rng(0).permutation(len(rows))
    whole, out = _rmse(made, x, true), dict[str, float]()
    blocks = {tag: slice(k, 4 * len(tags) if from_new else None, len(tags)) for k, tag in enumerate(tags)}
    for name, block in blocks.items() if not from_new else {**blocks, "age": slice(-1, None)}.items():
        shuffled = x.copy()
        shuffled[:, block] = x[other][:, block]
        out[name] = _rmse(made, shuffled, true) - whole
    return out


def _rmse(made: network.Network, features: F8, true: F8) -> float:
    return float(np.sqrt(np.mean(np.square(network.members(made, features).mean(axis=0) - true))))


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
