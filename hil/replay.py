"""A recording as a Modbus PLC: `python -m hil.replay FILE.csv --modbus 127.0.0.1:5020 --speed 20`.

Each numeric column k is a float32 (CDAB) at input registers 2k and 2k + 1 of unit 1. With `--trace bus.trace` it is a
recorded bus instead (hil/trace.py).
"""

import argparse
import asyncio
import bisect
import sys
import time
from functools import partial
from pathlib import Path

from hil import trace
from hil.csv_table import Table, load
from hil.modbus_server import ModbusPlc, Tables, Words
from hil.process import host_port, ready, run
from hil.registers import float_words

GRACE_S = 2.0  # the last row is served this long before --once ends


class Replay:
    """Which row is served now; all times in s."""

    def __init__(self, table: Table, start_row: int, speed: float, loop: bool) -> None:
        self._table = table
        self._first = start_row
        self.speed = speed
        self._loop = loop
        self._started_s: float | None = None
        self.read = asyncio.Event()

    def start(self) -> None:
        """Sets the recording moving."""
        if self._started_s is None:
            self._started_s = time.monotonic()

    @property
    def length_s(self) -> float:
        """Recorded time from the start row to the end of the last row."""
        times = self._table.time_s
        last_row_s = times[-1] - times[-2] if len(times) > 1 else 1.0
        return times[-1] - times[self._first] + last_row_s

    @property
    def played_s(self) -> float:
        """Recorded time since the start."""
        return 0.0 if self._started_s is None else (time.monotonic() - self._started_s) * self.speed

    def row(self) -> int:
        """Number of the row that is served now."""
        played_s = self.played_s % self.length_s if self._loop else self.played_s
        at_s = self._table.time_s[self._first] + played_s
        return max(self._first, bisect.bisect_right(self._table.time_s, at_s) - 1)

    def words(self) -> Words:
        """Input registers of that row."""
        self.read.set()
        words: dict[int, int] = {}
        for k, value in enumerate(self._table.rows[self.row()]):
            words[2 * k], words[2 * k + 1] = float_words(value)
        return words


def print_map(table: Table) -> None:
    """Prints the register map and what was left out."""
    for name in table.skipped:
        print(f"skipped: column {name!r} is not numeric")
    for k, name in enumerate(table.names):
        print(f"input {2 * k} float32 CDAB: {name}")


async def play(replay: Replay, wait: bool, once: bool) -> None:
    """Starts the replay and, with --once, ends a grace time after its end."""
    if wait:
        await replay.read.wait()
    replay.start()
    if not once:
        await asyncio.Event().wait()
    await asyncio.sleep(replay.length_s / replay.speed + GRACE_S)


async def serve(table: Table, args: argparse.Namespace) -> None:
    """Serves the table until cancelled or, with --once, played."""
    replay = Replay(table, args.start_row, args.speed, args.loop)
    host, port = args.modbus
    plc = ModbusPlc(host, port, Tables(range(2 * len(table.names)), replay.words), device=args.device)
    print_map(table)
    await plc.start()
    ready(f"replay {args.file.name} {plc.where} {len(table.rows) - args.start_row} rows")
    try:
        await play(replay, args.wait, args.once)
    finally:
        await plc.stop()


def arguments(argv: list[str] | None = None) -> tuple[Table, argparse.Namespace]:
    """The command line and the file it names."""
    parser = argparse.ArgumentParser(prog="python -m hil.replay", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE.csv")
    parser.add_argument("--modbus", type=host_port, default=("127.0.0.1", 5020), metavar="HOST:PORT")
    parser.add_argument("--device", default="", help="serve RTU on this serial port instead, 19200 baud 8N1")
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="times faster than recorded")
    parser.add_argument("--start-row", type=int, default=0, metavar="N", help="first row served, 0-based")
    parser.add_argument("--wait", action="store_true", help="start at the first read of a client")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--once", action="store_true", help="end after the last row; else it is held")
    end.add_argument("--loop", action="store_true", help="begin again after the last row")
    args = parser.parse_args(argv)
    if args.speed <= 0.0:
        parser.error(f"--speed {args.speed:g} must be above 0")
    try:
        table = load(args.file)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not 0 <= args.start_row < len(table.rows):
        parser.error(f"--start-row {args.start_row} is outside 0 to {len(table.rows) - 1}")
    return table, args


def main(argv: list[str] | None = None) -> int:
    """Entry of the process."""
    given = sys.argv[1:] if argv is None else argv
    if any(word.partition("=")[0] == "--trace" for word in given):
        return trace.main(given)
    table, args = arguments(argv)
    return run(partial(serve, table, args))


if __name__ == "__main__":
    sys.exit(main())
