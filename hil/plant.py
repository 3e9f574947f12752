"""The plant as a process: `python -m hil.plant --control SOCKET` runs the rig in real time or N times faster."""

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from hil.control_socket import Answer, ControlSocket
from hil.faults import KINDS
from hil.plc_program import DEMANDS, State
from hil.process import ready, run
from hil.rig import SCAN_S, varied
from hil.simulation import Choices, Simulation

LATE_LIMIT_S = 1.0  # further behind than this, the lost time is let go


class Plant:
    """A simulation and what can be asked of it over the control socket."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation

    def do(self, request: Mapping[str, object]) -> Answer:
        """Carries out one request; ValueError says what is wrong with it."""
        name = str(request["do"])
        if name in KINDS:
            size = self.simulation.faults.put(name, _number(request, "size"), _number(request, "onset_s") or 0.0)
            return {"size": size, "unit": KINDS[name].unit}
        orders: dict[str, Callable[[Mapping[str, object]], Answer]] = {
            "cut": self._cut,
            "repair": self._repair,
            "truth": lambda _: self.simulation.truth(),
            "status": self._status,
            "start": partial(self._demand, "run"),
            "stop": partial(self._demand, "off"),
            "demand": self._demand_of,
            "reset": self._reset,
            "setpoint": self._setpoint,
        }
        if name not in orders:
            raise ValueError(f"cannot do {name!r}; there are subscribe, {', '.join((*KINDS, *orders))}")
        return orders[name](request)

    def message(self) -> Answer:
        """One scan for the subscribers: plant time s, wall time ns, values, PLCs cut off."""
        return {
            "plant_time_s": self.simulation.time_s,
            "wall_ns": time.time_ns(),
            "values": self.simulation.image(),
            "cut": sorted(self.simulation.faults.cut),
        }

    def _cut(self, request: Mapping[str, object]) -> Answer:
        self.simulation.faults.cut_off(str(request.get("of")))
        return {"cut": sorted(self.simulation.faults.cut)}

    def _repair(self, _: Mapping[str, object]) -> Answer:
        self.simulation.faults.repair()
        return {"faults": {}, "cut": []}

    def _demand(self, what: str, _: Mapping[str, object]) -> Answer:
        if what not in DEMANDS:
            raise ValueError(f"no demand {what!r}; there are {', '.join(DEMANDS)}")
        self.simulation.program.demand = DEMANDS[what]
        return {"demand": what}

    def _demand_of(self, request: Mapping[str, object]) -> Answer:
        return self._demand(str(request.get("of")), request)

    def _reset(self, _: Mapping[str, object]) -> Answer:
        self.simulation.program.reset()
        return {}

    def _setpoint(self, request: Mapping[str, object]) -> Answer:
        value_m = _number(request, "value")
        if value_m is None:
            raise ValueError("setpoint needs a value in m")
        return {"value": self.simulation.program.write_setpoint(value_m)}

    def _status(self, _: Mapping[str, object]) -> Answer:
        plant = self.simulation
        return {
            "time_s": plant.time_s,
            "state": State(plant.program.state).name.lower(),
            "demand": next(name for name, state in DEMANDS.items() if state is plant.program.demand),
            "product": plant.program.order.product,
            "setpoint_m": plant.program.setpoint_m,
            "tripped": plant.program.interlocks.tripped,
            "faults": plant.faults.sizes(),
            "cut": sorted(plant.faults.cut),
        }


def _number(request: Mapping[str, object], key: str) -> float | None:
    value = request.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{key} is {value!r}, expected a number")
    return float(value)


async def turn(plant: Plant, socket: ControlSocket, speed: float, fault_at_s: float, fault: str | None) -> None:
    """Scans for ever, phase-kept: scan k stands at start + k period."""
    period_s = SCAN_S / speed
    due_s = time.monotonic()
    while True:
        due_s += period_s
        left_s = due_s - time.monotonic()
        if left_s < -LATE_LIMIT_S:
            due_s -= left_s
        await asyncio.sleep(max(left_s, 0.0))
        plant.simulation.scan()
        if fault is not None and plant.simulation.time_s >= fault_at_s:
            plant.simulation.faults.put(fault)
            fault = None
        socket.publish(plant.message())


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m hil.plant", description=__doc__)
    parser.add_argument("--control", type=Path, required=True, metavar="SOCKET", help="Unix socket to listen on")
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="times faster than real time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vary", action="store_true", help="a rig of the seed's own dimensions, each up to 15 % off")
    parser.add_argument("--fault", choices=sorted(KINDS), help="fault to put in by itself")
    parser.add_argument("--fault-at", type=float, default=60.0, metavar="S", help="plant time of that fault")
    parser.add_argument("--schedule", action="store_true", help="with stops, standby, cleaning, maintenance")
    parser.add_argument("--volume", type=int, default=120_000, metavar="L", help="first reading of the litre counter")
    args = parser.parse_args(argv)
    if not 0.01 <= args.speed <= 1000.0:
        parser.error(f"--speed {args.speed:g} is outside 0.01 to 1000")
    return args


async def serve(args: argparse.Namespace) -> None:
    """Runs the plant until cancelled."""
    rig = varied(args.seed) if args.vary else None
    plant = Plant(Simulation(Choices(args.seed, args.schedule, args.volume), rig))
    socket = ControlSocket(args.control, plant.do)
    await socket.start()
    ready(f"plant {args.control}")
    try:
        await turn(plant, socket, args.speed, args.fault_at, args.fault)
    finally:
        await socket.stop()


def main(argv: list[str] | None = None) -> int:
    """Entry of the process."""
    args = arguments(argv)
    return run(partial(serve, args))


if __name__ == "__main__":
    sys.exit(main())
