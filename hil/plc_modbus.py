"""The Modbus PLC: `python -m hil.plc_modbus --plant SOCKET --listen 127.0.0.1:5020` serves the plant as unit 1."""

import argparse
import asyncio
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from pymodbus.constants import ExcCodes

from hil.modbus_server import ModbusPlc, Tables, Words
from hil.plant_link import Image, PlantLink
from hil.process import host_port, ready, run, say
from hil.registers import COILS, HOLDING_REGISTERS, INPUT_REGISTERS, RESET_COIL, Register, block_words, words_float


class PlcModbus:
    """The PLC's tables over the newest image, and what its writes ask of the plant."""

    def __init__(self, link: PlantLink) -> None:
        self._link = link

    def tables(self) -> Tables:
        """The register map."""
        return Tables(
            input_addresses=addresses(INPUT_REGISTERS),
            inputs=partial(self._words, INPUT_REGISTERS),
            holding_addresses=addresses(HOLDING_REGISTERS),
            holdings=partial(self._words, HOLDING_REGISTERS),
            coil_count=len(COILS),
            coils=self._coils,
            write_holdings=self._write_setpoint,
            write_coils=self._write_coil,
        )

    def _words(self, registers: tuple[Register, ...]) -> Words | None:
        image = self._link.image
        return None if image is None else block_words(registers, image.values)

    def _coils(self) -> Words | None:
        image = self._link.image
        if image is None:
            return None
        return {coil: int(bool(image.values.get(tag, False))) for coil, tag in enumerate(COILS)}

    async def _write_setpoint(self, address: int, values: list[int]) -> ExcCodes | None:
        # A float32 is written whole: half of one is no set point.
        if address != 0 or len(values) != 2:
            return ExcCodes.ILLEGAL_ADDRESS
        answer = await self._ask({"do": "setpoint", "value": words_float(values)})
        if answer is None:
            return ExcCodes.DEVICE_FAILURE
        kept = answer.get("value")
        if not isinstance(kept, float):
            return ExcCodes.ILLEGAL_VALUE
        self._keep("control/setpoint_base", kept)
        return None

    async def _write_coil(self, address: int, values: list[int]) -> ExcCodes | None:
        if address != RESET_COIL:
            return ExcCodes.ILLEGAL_ADDRESS
        if values[0] and await self._ask({"do": "reset"}) is None:
            return ExcCodes.DEVICE_FAILURE
        return None

    async def _ask(self, request: Mapping[str, object]) -> dict[str, object] | None:
        try:
            return await self._link.ask(request)
        except (OSError, asyncio.CancelledError):
            return None

    def _keep(self, tag: str, value: float) -> None:
        image = self._link.image
        if image is not None:  # a reader right behind the writer sees the new value before the next scan
            self._link.image = replace(image, values={**image.values, tag: value})


def addresses(registers: tuple[Register, ...]) -> list[int]:
    """All PDU addresses that these registers take."""
    return [r.address + offset for r in registers for offset in range(r.words)]


async def follow_cut(plc: ModbusPlc, cut: asyncio.Event, changed: asyncio.Event) -> None:
    """Stops and starts the server as the plant says."""
    while True:
        await changed.wait()
        changed.clear()
        if cut.is_set() and plc.listening:
            await plc.stop()
            say("plc_modbus: cut off")
        elif not cut.is_set() and not plc.listening:
            await plc.start()
            say("plc_modbus: back")


async def serve(args: argparse.Namespace) -> None:
    """Runs the PLC until cancelled."""
    cut, changed = asyncio.Event(), asyncio.Event()

    def on_image(image: Image) -> None:
        if ("modbus" in image.cut) != cut.is_set():
            (cut.set if "modbus" in image.cut else cut.clear)()
            changed.set()

    link = PlantLink(args.plant, on_image)
    host, port = args.listen
    plc = ModbusPlc(host, port, PlcModbus(link).tables(), device=args.device)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(link.run())
            await link.first.wait()
            if not cut.is_set():
                await plc.start()
            ready(f"modbus {plc.where}")
            tasks.create_task(follow_cut(plc, cut, changed))
    finally:
        await plc.stop()


def main(argv: list[str] | None = None) -> int:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="python -m hil.plc_modbus", description=__doc__)
    parser.add_argument("--plant", type=Path, required=True, metavar="SOCKET", help="the plant's control socket")
    parser.add_argument("--listen", type=host_port, default=("127.0.0.1", 5020), metavar="HOST:PORT")
    parser.add_argument("--device", default="", help="serve RTU on this serial port instead, 19200 baud 8N1")
    return run(partial(serve, parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
