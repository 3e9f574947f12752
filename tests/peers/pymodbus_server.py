"""A Modbus server on pymodbus: `pymodbus_server.py TRANSPORT WHERE` (a serial device or a port), says `ready WHERE`.

Holding register i of unit 1 holds 7 i.
"""

import asyncio
import sys

from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusUdpServer
from pymodbus.simulator import DataType, SimData, SimDevice


def server(transport, where, device):
    framer = {"ascii": FramerType.ASCII, "udp": FramerType.SOCKET}.get(transport, FramerType.RTU)
    if transport in ("rtu", "ascii"):
        return ModbusSerialServer(device, framer=framer, port=where, baudrate=19200, parity="N")
    kind = ModbusUdpServer if transport == "udp" else ModbusTcpServer
    return kind(device, framer=framer, address=("127.0.0.1", int(where)))


async def main(transport, where):
    registers = SimData(0, values=[7 * i for i in range(500)], datatype=DataType.REGISTERS)
    await server(transport, where, SimDevice(1, simdata=[registers])).serve_forever(background=True)
    print("ready", where, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
