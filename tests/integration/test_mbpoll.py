"""mbpoll, a client on libmodbus, and our driver read the same from the virtual PLC, over TCP and over a serial line."""

import re
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from driver_rig import running
from serial_line import SocatPair

from agent.core.nouns import Tag
from agent.drivers import modbus
from hil.bench import port_of, started

pytestmark = pytest.mark.anyio

RECORDING = "time,level,flow,pressure\n0,0.3025,0.99,0.125\n1,-1.5e-7,1234567.5,3.4e38\n"


@dataclass
class Way:
    """How the PLC is reached: by our driver, and by mbpoll."""

    options: dict
    words: list

    def read(self, kind, table, start, count):
        """What mbpoll reads at a PDU offset."""
        command = ["mbpoll", *self.words[:-1], "-a", "1", "-0", "-r", str(start), "-c", str(count), "-1", "-q"]
        command += ["-t", f"{table}{kind}", self.words[-1]]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return [float(v) for v in re.findall(r"^\[\d+\]:\s+(\S+)", done.stdout, re.MULTILINE)]


@pytest.fixture(params=["tcp", "rtu"])
def way(request):
    """Starts `hil.NAME` with its Modbus end on TCP or RTU, and gives the way to it."""
    if shutil.which("mbpoll") is None:
        pytest.skip("needs mbpoll (apt: mbpoll)")
    if request.param == "rtu" and shutil.which("socat") is None:
        pytest.skip("needs socat (apt: socat)")
    with ExitStack() as stack:

        def to(module, *arguments, listen="--listen"):
            if request.param == "tcp":
                port = port_of(_ready(stack.enter_context(started(module, *arguments, listen, "127.0.0.1:0"))))
                words = ["-m", "tcp", "-p", str(port), "127.0.0.1"]
                return Way({"host": "127.0.0.1", "port": port}, words)
            line = stack.enter_context(SocatPair())
            stack.enter_context(started(module, *arguments, "--device", line.theirs))
            words = ["-m", "rtu", "-b", "19200", "-P", "none", line.ours]
            return Way({"transport": "rtu", "device": line.ours, "parity": "N"}, words)

        to.stack = stack
        yield to


def _ready(running_):
    """The ready line as `WORD HOST:PORT ...`."""
    words = running_.ready.split()
    return " ".join([words[0], next(w for w in words if re.fullmatch(r"127\.0\.0\.1:\d+", w))])


async def ours(options, tags):
    """The value of each tag as our driver reads it."""
    async with running(modbus, modbus.Config(id="plc", type="modbus", **options), tags) as rig:
        await rig.until(lambda: rig.good, within_s=10.0)
        return rig.value.tolist()


async def test_the_numbers_of_a_recording(way, tmp_path):
    file = tmp_path / "recording.csv"
    file.write_text(RECORDING)
    plc = way("replay", file, "--start-row", "1", listen="--modbus")
    tags = [Tag(f"rig/{i}", f"input:{2 * i}", "float32", "CDAB") for i in range(3)]
    found = await ours(plc.options, tags)
    assert found == pytest.approx([-1.5e-7, 1234567.5, 3.4e38], rel=1e-6)
    assert plc.read(":float", 3, 0, 3) == pytest.approx(found, rel=1e-5)


async def test_the_plant_at_rest(way, tmp_path):
    """Set point, state of the drive, and the coils: what has no noise."""
    socket = tmp_path / "plant.sock"
    way.stack.enter_context(started("plant", "--control", socket, "--seed", "1"))
    plc = way("plc_modbus", "--plant", socket)
    tags = [Tag("rig/setpoint", "holding:0", "float32", "CDAB"), Tag("rig/state", "input:40", "uint16")]
    tags += [Tag(f"rig/coil{i}", f"coil:{i}", "bool") for i in range(3)]
    for _ in range(10):  # until the plant did nothing between the two
        setpoint, *mine = await ours(plc.options, tags)
        (seen,), *theirs = plc.read(":float", 4, 0, 1), *plc.read("", 3, 40, 1), *plc.read("", 0, 0, 3)
        if theirs == mine:
            break
    assert theirs == mine
    assert seen == pytest.approx(setpoint, rel=1e-5)
