"""Records the plant as fast as it can: `python -m hil.record --out healthy.csv --hours 2`, one row a period."""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from hil.faults import KINDS
from hil.registers import cell, decoded, read_columns
from hil.rig import SCAN_S, varied
from hil.sensors import REFERENCE_SENSOR
from hil.simulation import Choices, Simulation


def rows(simulation: Simulation, args: argparse.Namespace) -> Iterator[list[str]]:
    """The rows without the header: time in s from 0, then what a client of both PLCs would have decoded."""
    scans_a_row = round(args.period / SCAN_S)
    fault = args.fault
    for row in range(round(args.hours * 3600.0 / args.period)):
        for _ in range(scans_a_row if row else 0):
            if fault is not None and simulation.time_s >= args.fault_at:
                simulation.faults.put(fault, args.size, args.onset)
                fault = None
            simulation.scan()
        cells = [cell(value) for value in decoded(simulation.image()).values()]
        if args.reference:
            cells.append(cell(simulation.reference_m3h))
        yield [f"{row * args.period:.6g}" if row * args.period < 1e5 else f"{row * args.period:.1f}", *cells]


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m hil.record", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vary", action="store_true", help="a rig of the seed's own dimensions, each up to 15 % off")
    parser.add_argument("--period", type=float, default=1.0, metavar="S", help="seconds a row, a multiple of 0.1")
    parser.add_argument("--schedule", action="store_true", help="with stops, standby, cleaning, maintenance")
    parser.add_argument("--reference", action="store_true", help="with the clamp-on meter upper/transfer_flow, m3/h")
    parser.add_argument("--fault", choices=sorted(KINDS))
    parser.add_argument("--fault-at", type=float, default=60.0, metavar="S")
    parser.add_argument("--size", type=float, help="; ".join(f"{n}: {k.unit}" for n, k in KINDS.items()))
    parser.add_argument("--onset", type=float, default=0.0, metavar="S", help="time over which the fault grows")
    args = parser.parse_args(argv)
    scans = args.period / SCAN_S
    if scans < 1.0 or abs(scans - round(scans)) > 1e-6:
        parser.error(f"--period {args.period:g} is not a multiple of {SCAN_S:g} s")
    return args


def main(argv: list[str] | None = None) -> int:
    """Entry of the command."""
    args = arguments(argv)
    header = ["time", *read_columns(), *([REFERENCE_SENSOR.tag] if args.reference else [])]
    simulation = Simulation(Choices(args.seed, args.schedule), varied(args.seed) if args.vary else None)
    try:
        with args.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(rows(simulation, args))
    except (OSError, ValueError) as error:
        print(f"hil.record: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
