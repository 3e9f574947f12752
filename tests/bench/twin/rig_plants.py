"""Recordings of many varied rigs for the bench of the twin: simulated side by side, kept on disk.

Of each seed, all of the same rig (`hil.rig.varied`), each with noise, recipes and stops of its own:

    fit       healthy pieces of PIECE_H hours with stops, from which the twin is made
    healthy   more such pieces, never seen by the fit
    faults    one run for each fault and size: ONSET_S healthy, then faulty
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import hil
from hil.faults import KINDS
from hil.fleet import COLUMNS, Fleet, recorded
from hil.rig import varied

SIZES = (0.25, 0.5, 1.0)
ONSET_S = 300
FAULT_S = 1200
PIECE_H = 3.0
CASES = tuple((name, share * kind.default) for name, kind in KINDS.items() for share in SIZES)


@dataclass(frozen=True)
class Wanted:
    """Pieces of each seed."""

    fit: int = 2
    healthy: int = 12


@dataclass(frozen=True)
class Recorded:
    """Of one seed, over `hil.fleet.COLUMNS`, a row a second: fit, healthy f8[pieces,rows,c]; faults
    f8[CASES,rows,c]."""

    fit: np.ndarray
    healthy: np.ndarray
    faults: np.ndarray


def recordings(cache: Path, seeds: list[int], wanted: Wanted) -> None:
    """Makes what is missing of these seeds."""
    missing = [seed for seed in seeds if not _path(cache, seed, wanted).exists()]
    if not missing:
        return
    cache.mkdir(parents=True, exist_ok=True)
    healthy = _healthy(missing, wanted.fit + wanted.healthy)
    faults = _faulty(missing)
    for at, seed in enumerate(missing):
        partial = cache / f"{seed}.partial.npz"
        np.savez(partial, fit=healthy[at, : wanted.fit], healthy=healthy[at, wanted.fit :], faults=faults[at])
        partial.rename(_path(cache, seed, wanted))


def load(cache: Path, seed: int, wanted: Wanted) -> Recorded:
    """What was recorded of a seed."""
    with np.load(_path(cache, seed, wanted)) as file:
        return Recorded(*(np.round(file[name].astype(np.float64), 6) for name in ("fit", "healthy", "faults")))


def write_csv(path: Path, pieces: np.ndarray) -> None:
    """Pieces as one recording for `edgetwin fit twin`, an hour's gap between two."""
    rows = pieces.shape[1]
    time_s = np.concatenate([at * (rows + 3600) + np.arange(rows) for at in range(len(pieces))])
    table = np.column_stack([time_s, pieces.reshape(-1, pieces.shape[2])])
    np.savetxt(path, table, fmt="%.10g", delimiter=",", header="time," + ",".join(COLUMNS), comments="")


def _healthy(seeds: list[int], pieces: int) -> np.ndarray:
    """All side by side: f4[seeds, pieces, rows, columns]."""
    streams = [1000 * seed + piece for seed in seeds for piece in range(pieces)]
    rigs = [varied(seed) for seed in seeds for _ in range(pieces)]
    out = _run(Fleet(streams, rigs, scheduled=True), round(3600 * PIECE_H))
    return out.reshape(len(seeds), pieces, *out.shape[1:])


def _faulty(seeds: list[int]) -> np.ndarray:
    """f4[seeds, CASES, rows, columns]."""
    streams = [1000 * seed + 500 + at for seed in seeds for at in range(len(CASES))]
    rigs = [varied(seed) for seed in seeds for _ in CASES]
    names = [case for _ in seeds for case in CASES]
    puts = [(float(ONSET_S), plant, name, size) for plant, (name, size) in enumerate(names)]
    out = _run(Fleet(streams, rigs), ONSET_S + FAULT_S, puts)
    return out.reshape(len(seeds), len(CASES), *out.shape[1:])


def _run(fleet: Fleet, rows: int, puts: list = ()) -> np.ndarray:
    out = np.empty((len(fleet.drift_m), rows, len(COLUMNS)), np.float32)
    for row, now in enumerate(recorded(fleet, rows, puts)):
        out[:, row] = now
    return out


def _path(cache: Path, seed: int, wanted: Wanted) -> Path:
    return cache / f"rig-{_plant_hash()}-{seed}-{wanted.fit}+{wanted.healthy}.npz"


def _plant_hash() -> str:
    """Of the plant's source: another plant is another recording."""
    folder = Path(hil.__file__).parent
    sources = [p for p in sorted(folder.glob("*.py")) if p.stem in _OF_THE_PLANT]
    content = b"".join(p.read_bytes() for p in (*sources, Path(__file__)))
    return hashlib.sha256(content).hexdigest()[:8]


_OF_THE_PLANT = {
    "faults",
    "fleet",
    "fleet_noise",
    "fleet_physics",
    "fleet_program",
    "interlocks",
    "physics",
    "pi_control",
    "plc_program",
    "pump",
    "recipes",
    "rig",
    "sensors",
    "steady",
    "valve",
}
