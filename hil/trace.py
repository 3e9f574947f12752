"""A recorded bus as a device: `python -m hil.replay --trace bus.trace --port 5020`, or `--device /dev/ttyUSB0`.

Each request is answered as it was recorded: after the same time, by the same answer, exception, bytes that are none,
silence, or end of the connection; in the order of the recording, the last one again and again.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import serial

from hil.bus_trace import Outcome, Recording, load
from hil.frames import TCP, Frame, Requests, built
from hil.process import ready, run, say

NETWORK = (*TCP, "rtu-over-tcp")


class Replayed:
    """The recorded device at the end of one connection."""

    def __init__(self, recording: Recording, transport: str, send: Callable[[bytes], None]) -> None:
        self._recording, self._transport, self._send = recording, transport, send
        self._requests = Requests(transport)

    async def hear(self, content: bytes) -> bool:
        """Answer what is asked; False where the recorded device closed the connection then."""
        for request in self._requests.take(content):
            outcome = self._recording.outcome(request)
            await asyncio.sleep(outcome.delay_s)
            if data := self._bytes(request, outcome):
                self._send(data)
            if outcome.closed:
                return False
        return True

    def _bytes(self, request: Frame, outcome: Outcome) -> bytes:
        if outcome.answer is not None:
            return built(self._transport, outcome.answer)
        same = self._transport in TCP and self._recording.transport in TCP
        return request.number.to_bytes(2, "big") + outcome.raw[2:] if same and outcome.raw else outcome.raw


async def serve_network(recording: Recording, transport: str, host: str, port: int) -> None:
    """Until cancelled."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device = Replayed(recording, transport, writer.write)
        try:
            while (content := await reader.read(300)) and await device.hear(content):
                await writer.drain()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, host, port)
    ready(f"trace {host}:{server.sockets[0].getsockname()[1]} {transport}")
    try:
        await asyncio.Event().wait()
    finally:
        server.close()


async def serve_port(recording: Recording, transport: str, port: serial.Serial) -> None:
    """Until cancelled."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_reader(port.fileno(), lambda: heard.put_nowait(port.read(300)))
    device = Replayed(recording, transport, port.write)
    ready(f"trace {port.port} {transport}")
    try:
        while True:
            await device.hear(await heard.get())
    finally:
        loop.remove_reader(port.fileno())
        port.close()


async def serve(recording: Recording, args: argparse.Namespace) -> None:
    """Serve the recording as the command line says."""
    transport = args.transport or _default(recording.transport, bool(args.device))
    say(f"trace: {len(recording.outcomes)} different requests, recorded over {recording.transport}")
    if args.device:
        port = serial.Serial(args.device, args.baudrate, parity=args.parity, stopbits=args.stopbits, timeout=0)
        await serve_port(recording, transport, port)
    else:
        await serve_network(recording, transport, args.host, args.port)


def _default(recorded: str, on_device: bool) -> str:
    """The recorded transport where it can be, else the usual one."""
    if on_device:
        return "ascii" if recorded == "ascii" else "rtu"
    return "rtu-over-tcp" if recorded == "rtu-over-tcp" else "tcp"


def main(argv: list[str] | None = None) -> int:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="python -m hil.replay", description=__doc__)
    parser.add_argument("--trace", type=Path, required=True, metavar="FILE.trace")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5020, help="0: any free one")
    parser.add_argument("--device", help="serve on a serial port or pseudo terminal instead")
    parser.add_argument("--baudrate", type=int, default=19200)
    parser.add_argument("--parity", default="N", choices=["N", "E", "O"])
    parser.add_argument("--stopbits", type=float, default=1, choices=[1, 1.5, 2])
    parser.add_argument("--transport", choices=["tcp", "rtu-over-tcp", "rtu", "ascii"], help="unset: as recorded")
    args = parser.parse_args(argv)
    if args.transport and (args.transport in NETWORK) == bool(args.device):
        parser.error(f"--transport {args.transport} does not go with {'--device' if args.device else '--port'}")
    try:
        recording = load(args.trace)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    return run(partial(serve, recording, args))


if __name__ == "__main__":
    sys.exit(main())
