"""A Modbus RTU server on pymodbus: `modbus_serial.py DEVICE`, says `ready`. Holding register i of unit 1 holds 7 i."""

import asyncio
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice


async def main(device):
    registers = SimData(0, values=[7 * i for i in range(500)], datatype=DataType.REGISTERS)
    server = ModbusSerialServer(
        SimDevice(1, simdata=[registers]), framer=FramerType.RTU, port=device, baudrate=19200, parity="N"
    )
    await server.serve_forever(background=True)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
