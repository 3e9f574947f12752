"""The twin on rigs that it does not know: found faults, their names, false alarms, bands. One command, one table.

    python tests/bench/twin/rig.py                            # results: seeds 100 to 119
    python tests/bench/twin/rig.py --seeds 0-19               # where limits and settings were chosen
    python tests/bench/twin/rig.py --seeds 0-3 --days 2       # a look

Each seed is another rig (`hil.rig.varied`: each dimension up to 15 % off, outflow and wear laws of its own). It is
recorded for 6 healthy hours, a twin is fitted by the code of `edgetwin fit twin`, and run over fresh rows: healthy
ones with stops, and runs with one fault at three sizes. Recordings, twins and results are kept in --cache: a second
call goes on where the first was stopped. --plain: without the signatures learned from cases on seeds 0 to 19.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import rig_plants
import rig_runs
import rig_table

import agent
from agent.fit.judging.signatures import Case, taught
from agent.fit.recording import FitError
from agent.twin import twin as twins

LEARNING = range(20)
UNITS = {"leak": "mm2", "wear": "share", "friction": "share", "drift": "mm/s"}
TAUGHT = {"leak": "lower tank", "wear": "pump"}


def main() -> int:
    args = arguments()
    seeds, _ = args.seeds, _code_hash()  # before there are processes: the source may change while they run
    wanted = rig_plants.Wanted(2, max(1, round(args.days * 24.0 / len(seeds) / rig_plants.PIECE_H)))
    begin = time.monotonic()
    halves = [part for k in range(args.processes) if (part := seeds[k :: args.processes])]
    pool = multiprocessing.get_context("fork").Pool(args.processes)
    with pool:
        pool.starmap(rig_plants.recordings, [(args.cache, part, wanted) for part in halves])
        print(f"recorded after {time.monotonic() - begin:.0f} s", flush=True)
        cases = None if args.plain else args.cache / f"cases-{_code_hash()}-{_kind(args)}.npz"
        if cases is not None and not cases.exists():
            _teach(pool, args, cases, wanted)
        work = [(args, seed, wanted, cases) for seed in seeds]
        results = []
        for result in pool.imap(_one, work):
            results.append(result)
            said = f": no twin: {result['error']}" if "error" in result else ""
            print(f"seed {result['seed']} after {time.monotonic() - begin:.0f} s{said}", flush=True)
    print()
    fitted = [r for r in results if "error" not in r]
    print(f"no twin could be made of {len(results) - len(fitted)} of {len(results)} rigs")
    if fitted:
        print(rig_table.table(fitted, f"two-tank rig, --kind {args.kind}"))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=_seeds, default=list(range(100, 120)), metavar="A-B")
    parser.add_argument("--days", type=float, default=30.0, help="healthy plant-days over all seeds")
    parser.add_argument("--only", choices=("healthy", "faults"))
    parser.add_argument("--kind", default="auto", help="as of `edgetwin fit twin`")
    parser.add_argument("--plain", action="store_true", help="no signatures from labelled cases")
    parser.add_argument("--teachers", type=int, default=6, help="of seeds 0 to 19, rigs whose faults are the cases")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/edgetwin-bench/rig")
    return parser.parse_args()


def _seeds(text: str) -> list[int]:
    first, _, last = text.partition("-")
    return list(range(int(first), int(last or first) + 1))


def _teach(pool, args: argparse.Namespace, cases: Path, wanted: rig_plants.Wanted) -> None:
    """Residuals of labelled cases on rigs of seeds 0 to 19."""
    few = replace(wanted, healthy=1)
    teachers = list(LEARNING)[: args.teachers]
    pool.starmap(rig_plants.recordings, [(args.cache, teachers[k :: args.processes], few) for k in range(2)])
    found = pool.starmap(_cases, [(args, seed, few) for seed in teachers])
    np.savez(cases, **{f"{name}-{k}": z for k, named in enumerate(found) for name, z in named.items()})


def _cases(args: argparse.Namespace, seed: int, wanted: rig_plants.Wanted) -> dict[str, np.ndarray]:
    """Residuals in units, f8[rows,p]."""
    try:
        twin, _ = _twin(args, seed, wanted)
    except FitError:
        return {}
    faults = rig_plants.load(args.cache, seed, wanted).faults
    return {name: z * twin.spread[: z.shape[1]] for name, z in rig_runs.cases(twin, faults).items() if name in TAUGHT}


def _one(work: tuple) -> dict:
    """The result of a seed, from the cache where it is there."""
    args, seed, wanted, cases = work
    key = f"{_code_hash()}-{_kind(args)}-{seed}-{wanted.healthy}-{args.only}-{cases is not None}"
    path = args.cache / f"result-{key}.json"
    if path.exists():
        return json.loads(path.read_text())
    try:
        twin, fit_s = _twin(args, seed, wanted)
    except FitError as error:
        return {"seed": seed, "error": str(error)}
    if cases is not None:
        twin = _taught(twin, cases)
    recorded = rig_plants.load(args.cache, seed, wanted)
    known = twin.isolation.faults if twin.isolation else ()
    result = {
        "seed": seed,
        "fit_s": fit_s,
        "outputs": list(rig_runs.OUTPUTS),
        "components": {f.name: _component(f.component) for f in known},
    }
    if args.only != "faults":
        result["healthy"] = rig_runs.healthy(twin, recorded.healthy)
    if args.only != "healthy":
        result["faults"] = rig_runs.faulty(twin, recorded.faults)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(result))
    partial.rename(path)
    return result


def _component(name: str) -> str:
    """A wrong speed and a worn pump are one part of the machine to look at."""
    return "pump" if name == "pump/speed" else name


def _twin(args: argparse.Namespace, seed: int, wanted: rig_plants.Wanted) -> tuple[twins.Twin, float]:
    """The twin of a seed and the processor seconds of its fit."""
    path = args.cache / f"twin-{_code_hash()}-{_kind(args)}-{seed}.json"
    took = path.with_suffix(".seconds")
    if not took.exists():
        table = args.cache / f"fit-{os.getpid()}.csv"
        rig_plants.write_csv(table, rig_plants.load(args.cache, seed, wanted).fit)
        begin = time.process_time()
        rig_runs.fitted(table, path, args.kind)
        took.write_text(f"{time.process_time() - begin:.3f}")
        table.unlink()
    return twins.load(path.read_bytes()), float(took.read_text())


def _taught(twin: twins.Twin, cases: Path) -> twins.Twin:
    """The twin with the signatures of labelled cases, whose residuals are in units."""
    sd = twin.spread[: len(rig_runs.OUTPUTS)]
    sizes = dict(rig_plants.CASES)  # the largest of each
    with np.load(cases) as file:
        found = [
            Case(name, TAUGHT[name], UNITS[name], sizes[name], file[key] / sd)
            for key in file.files
            if (name := key.partition("-")[0]) in TAUGHT
        ]
    return replace(twin, isolation=taught(twin.isolation, found)) if twin.isolation else twin


def _kind(args: argparse.Namespace) -> str:
    return args.kind.replace("/", "_").replace(":", "_")


@cache
def _code_hash() -> str:
    """Of everything that a fit or a cycle is made of: other code is another result."""
    folder = Path(agent.__file__).parent
    sources = [p for part in ("twin", "fit") for p in sorted((folder / part).rglob("*.py"))]
    content = b"".join(p.read_bytes() for p in (*sources, Path(__file__), Path(rig_runs.__file__)))
    return hashlib.sha256(content).hexdigest()[:8]


if __name__ == "__main__":
    sys.exit(main())
