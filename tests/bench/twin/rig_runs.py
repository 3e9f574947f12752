"""One seed of the bench: a twin fitted from its recording, run over fresh rows as the daemon runs it, and judged.

The model runs in its own modes only and is silent while it settles, as in `agent.engine.models`; alerts are raised by
`agent.core.conditions` with the engine's defaults for residuals. What is written down is counts and times, no opinion.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rig_plants

from agent.config.schema import Cusum, Residuals
from agent.core import conditions, quality
from agent.core.conditions import Rule
from agent.core.nouns import Names
from agent.fit.judging.tracked import frame
from agent.twin import cycle
from agent.twin.accuracy import BAND
from agent.twin.twin import Twin
from hil.fleet import COLUMNS

INPUTS = ("pump/speed", "valve/position")
OUTPUTS = ("upper/level", "lower/level", "pump/flow", "pump/pressure", "motor/current")
SETTLE_S = 30.0
RUNNING = 2
FIRST_WORD_S, LAST_WORD_S = 30, 300
BAND_EVERY_S = 300


@dataclass(frozen=True)
class Run:
    """Over rows: deviation, cusum, inside (residual within the 90 % band; NaN where nothing is said) f8[rows,p];
    said: (row, text, suspects by name) where the finding changed."""

    deviation: np.ndarray
    cusum: np.ndarray
    inside: np.ndarray
    z: np.ndarray
    said: list


def run(twin: Twin, rows: np.ndarray) -> Run:
    """The model over a recording, f8[rows, COLUMNS]."""
    at = [COLUMNS.index(tag) for tag in twin.tags]
    running = rows[:, COLUMNS.index("drive/state")] == RUNNING
    p, names = len(twin.plant.outputs), Names(twin.tags)
    shown = np.full((len(rows), p, cycle.PER_OUTPUT), np.nan)
    z, said, state = np.full((len(rows), p), np.nan), [], cycle.init(twin)
    entered = -1
    for k, row in enumerate(rows[:, at]):
        if not running[k]:
            entered = -1
            continue
        if entered < 0:
            entered, state = k, cycle.resume(twin, state)
        state, values = cycle.step(twin, state, frame(names, row, k, twin.plant.period_s), {})
        if (k - entered) * twin.plant.period_s >= twin.settle_s:
            good = ~quality.bad_mask(values.status)
            shown[k] = np.where(good, values.value, np.nan)[: p * cycle.PER_OUTPUT].reshape(p, -1)
            z[k] = np.where(state.settling, np.nan, state.judging.z)
            said += _said(twin, state, said, k)
    inside = np.where(np.isfinite(shown[:, :, 1]), np.abs(shown[:, :, 1]) <= BAND * shown[:, :, 2], np.nan)
    return Run(shown[:, :, 3], shown[:, :, 4], inside, z, said)


def _said(twin: Twin, state: cycle.State, before: list, k: int) -> list:
    """What is new in the finding; it is asked only where a chart is beyond its limit, as the cycle does."""
    finding = state.judging.found
    text = finding.text or finding.reason
    if before and before[-1][1] == text:
        return []
    return [(k, text, {s.name: round(s.probability, 3) for s in finding.suspects})]


def alerts(tracks: dict[str, np.ndarray]) -> list[tuple[int, str]]:
    """(row, point) at which an alert is raised, by the engine's rules with their defaults; tracks: f8[rows,p]."""
    raised = []
    for kind, track in tracks.items():
        for j, tag in enumerate(OUTPUTS):
            if np.nanmax(np.abs(track[:, j]), initial=0.0) > 1.0:
                raised += [(row, f"{tag}.{kind}") for row in _raised(track[:, j], RULES[kind])]
    return sorted(raised)


RULES = {"deviation": Residuals(), "cusum": Cusum()}


def _raised(track: np.ndarray, given: Residuals | Cusum) -> list[int]:
    rule = Rule(
        id="x",
        point="x",
        kind="residual",
        side="both",
        limit=1.0,
        hysteresis=given.hysteresis,
        on_delay_s=given.on_delay_s,
        off_delay_s=given.off_delay_s,
    )
    condition, pending, rows = conditions.initial(rule, "rig"), 0, []
    for row, value in enumerate(track):
        now_ns = (row + 1) * 1_000_000_000
        condition, pending, change = conditions.fold(rule, condition, pending, float(value), rule.limit, now_ns)
        rows += [row] * (change == "raised")
    return rows


def healthy(twin: Twin, pieces: np.ndarray) -> dict:
    """Alerts and coverage over healthy pieces. An alert while another stands open is the same case."""
    found, inside, counted, judged = [], np.zeros(len(OUTPUTS)), 0, 0
    sparse = np.zeros((2, len(OUTPUTS)))
    for piece, rows in enumerate(pieces):
        r = run(twin, rows)
        found += [(piece, *alert) for alert in alerts({"deviation": r.deviation, "cusum": r.cusum})]
        good = np.isfinite(r.inside).all(axis=1)
        inside += r.inside[good].sum(axis=0)
        counted += int(good.sum())
        judged += int(np.isfinite(r.deviation).any(axis=1).sum())
        some = r.inside[::BAND_EVERY_S]
        some = some[np.isfinite(some).all(axis=1)]
        sparse += np.array([some.sum(axis=0), np.full(len(OUTPUTS), len(some))])
    return {
        "rows": int(pieces.shape[0] * pieces.shape[1]),
        "judged_rows": judged,
        "alerts": found,
        "inside": (inside / max(counted, 1)).tolist(),
        "inside_sparse": sparse[0].tolist(),
        "sparse_rows": int(sparse[1, 0]),
    }


def faulty(twin: Twin, runs: np.ndarray) -> list[dict]:
    """Each fault: when it was found, what was said of it FIRST_WORD_S and LAST_WORD_S after that, or until then."""
    out = []
    for (name, size), rows in zip(rig_plants.CASES, runs, strict=True):
        r = run(twin, rows)
        found = alerts({"deviation": r.deviation, "cusum": r.cusum})
        early = [a for a in found if a[0] < rig_plants.ONSET_S]
        after = [a for a in found if a[0] >= rig_plants.ONSET_S]
        at = after[0][0] if after else None
        out.append(
            {
                "fault": name,
                "size": size,
                "early": bool(early),
                "delay_s": None if at is None else at - rig_plants.ONSET_S,
                "by": after[0][1] if after else "",
                "first": None if at is None else _word(r.said, at, FIRST_WORD_S),
                "last": None if at is None else _word(r.said, at, LAST_WORD_S),
            }
        )
    return out


def _word(said: list, at: int, after_s: int) -> list:
    """(text, suspects) of the newest finding that named something, from the alert until `after_s` later."""
    named = [entry for entry in said if entry[0] <= at + after_s and entry[2]]
    until = [entry for entry in said if entry[0] <= at + after_s]
    entry = named[-1] if named else until[-1] if until else (0, "", {})
    return [entry[1], entry[2]]


def cases(twin: Twin, runs: np.ndarray) -> dict[str, np.ndarray]:
    """Residuals in units from the onset on, of each fault at its largest size: what a labelled case leaves behind."""
    out = {}
    for (name, size), rows in zip(rig_plants.CASES, runs, strict=True):
        if size == max(s for n, s in rig_plants.CASES if n == name):
            out[name] = run(twin, rows).z[rig_plants.ONSET_S :]
    return out


def fitted(path: Path, out: Path, kind: str) -> None:
    """The shipping command's own code."""
    from agent.fit.twin import fit

    fit(
        path,
        inputs=INPUTS,
        outputs=OUTPUTS,
        where={"drive/state": RUNNING},
        settle_s=SETTLE_S,
        out=out,
        kind=kind,
        page=False,
    )
