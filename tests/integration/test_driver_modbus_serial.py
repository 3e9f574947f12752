"""The Modbus driver on a serial line: a socat pair of pseudo terminals, a pymodbus server at the other end."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from driver_rig import SLACK_S, running
from peers import HERE

from agent.core.nouns import Tag, Write
from agent.drivers import modbus

pytestmark = pytest.mark.anyio


class Line:
    """Two ends of a serial line, and the server at one of them."""

    def __init__(self, folder, transport):
        self.transport = transport
        self.ours, self.theirs = str(Path(folder) / "ours"), str(Path(folder) / "theirs")
        self._socat = subprocess.Popen(
            ["socat", "-d", "-d", f"pty,raw,echo=0,link={self.ours}", f"pty,raw,echo=0,link={self.theirs}"],
            stderr=subprocess.PIPE,
            text=True,
        )
        while "starting data transfer" not in self._socat.stderr.readline():
            assert self._socat.poll() is None
        command = [sys.executable, "-W", "ignore", str(HERE / "pymodbus_server.py"), transport, self.theirs]
        self._server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._server.stdout.readline().startswith("ready")

    def freeze(self):
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self):
        self._server.send_signal(signal.SIGCONT)

    def close(self):
        for process, pipe in ((self._server, self._server.stdout), (self._socat, self._socat.stderr)):
            process.kill()
            process.wait()
            pipe.close()


@pytest.fixture(params=["rtu", "ascii"])
def line(request, tmp_path):
    if shutil.which("socat") is None:
        pytest.skip("needs socat (apt: socat)")
    made = Line(tmp_path, request.param)
    yield made
    made.close()


async def test_reads_writes_and_survives_a_silent_device(line):
    config = modbus.Config(id="plc3", type="modbus", transport=line.transport, device=line.ours, parity="N")
    tags = [Tag(f"rig/a/{i}", f"holding:{i}", "uint16", scan_s=0.5, writable=True) for i in (1, 2, 200)]
    async with running(modbus, config, tags) as rig:
        await rig.until(lambda: rig.good)
        assert rig.value.tolist() == [7.0, 14.0, 1400.0]
        answer = await rig.write(Write("w", 1, 99.0))
        assert answer.ok, answer
        await rig.until(lambda: rig.value[1] == 99.0)
        for _ in range(3):
            line.freeze()  # what was asked is answered late, when it wakes
            await rig.until(lambda: rig.bad, within_s=1.1 + SLACK_S)
            line.thaw()
            await rig.until(lambda: rig.good)
        assert "no answer" in rig.downs[-1][1]
        seen = {(int(t), float(v)) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True)}
        assert seen == {(0, 7.0), (1, 14.0), (1, 99.0), (2, 1400.0)}


async def test_a_port_that_is_not_there_says_so(tmp_path):
    config = modbus.Config(id="plc3", type="modbus", transport="rtu", device=str(tmp_path / "gone"))
    async with running(modbus, config, [Tag("rig/a/b", "holding:1", "uint16")]) as rig:
        await rig.until(lambda: len(rig.downs) >= 2)
        assert "gone" in rig.downs[0][1]
