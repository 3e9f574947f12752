"""The OPC UA PLC: `python -m hil.plc_opcua --plant SOCKET --listen 127.0.0.1:4841` serves the drive's values."""

import argparse
import asyncio
import sys
from functools import partial
from pathlib import Path

from hil.opcua_nodes import NAMESPACE, RigNodes
from hil.plant_link import Image, PlantLink
from hil.process import host_port, ready, run, say

LOST_PLANT_S = 1.0  # I/O without an image for so long is bad


class Wake:
    """The newest image, for one waiter."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def on_image(self, _: Image) -> None:
        """Wakes the waiter."""
        self._event.set()

    async def wait(self, timeout_s: float) -> bool:
        """True when an image came within the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


async def mirror(link: PlantLink, nodes: RigNodes, wake: Wake) -> None:
    """Writes each image into the nodes, follows the cut, and marks all values bad without a plant."""
    while True:
        came = await wake.wait(LOST_PLANT_S)
        image = link.image
        if not came or image is None:
            await nodes.lose()
            continue
        await nodes.write(image.values, image.wall_ns)
        cut = "opcua" in image.cut
        if cut == nodes.listening:
            await (nodes.cut_off() if cut else nodes.listen_again())
            say("plc_opcua: " + ("cut off" if cut else "back"))


async def serve(args: argparse.Namespace) -> None:
    """Runs the PLC until cancelled."""
    host, port = args.listen
    wake = Wake()
    link = PlantLink(args.plant, wake.on_image)
    nodes = RigNodes(host, port)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(link.run())
        await nodes.build()
        await link.first.wait()
        if link.image is not None:
            await nodes.write(link.image.values, link.image.wall_ns)
        try:
            await nodes.start()
            ready(f"opcua opc.tcp://{host}:{nodes.port} {NAMESPACE}")
            await mirror(link, nodes, wake)
        finally:
            await nodes.stop()


def main(argv: list[str] | None = None) -> int:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="python -m hil.plc_opcua", description=__doc__)
    parser.add_argument("--plant", type=Path, required=True, metavar="SOCKET", help="the plant's control socket")
    parser.add_argument("--listen", type=host_port, default=("127.0.0.1", 4841), metavar="HOST:PORT")
    return run(partial(serve, parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
