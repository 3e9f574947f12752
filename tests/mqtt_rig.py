"""A mosquitto of our own on a free port, a mosquitto_sub that listens to it, and a door between a client and it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import zlib
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.streams.text import TextReceiveStream


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def program(name, package):
    """The path of a program; the test skips, naming the package, where it is not installed."""
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed (Debian package {package})")
    return found


class Mosquitto:
    """Started and killed at will; keeps what it has stored between starts."""

    def __init__(self, folder, *lines, first=()):
        self.port = free_port()
        self.folder = folder
        self.binary = program("mosquitto", "mosquitto")
        self.process = None
        plain = ["allow_anonymous true"] if not any("allow_anonymous" in line for line in lines) else []
        listener, stored = f"listener {self.port} 127.0.0.1", f"persistence_location {folder}/"
        config = [*first, listener, *plain, "persistence true", stored, "log_type warning", "user root", *lines]
        (folder / "mosquitto.conf").write_text("\n".join(config) + "\n")

    async def start(self):
        with (self.folder / "mosquitto.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        with anyio.fail_after(10):
            while True:
                try:
                    await (await anyio.connect_tcp("127.0.0.1", self.port)).aclose()
                    return
                except OSError:
                    assert self.process.poll() is None, (self.folder / "mosquitto.log").read_text()
                    await anyio.sleep(0.02)

    def kill(self, how=signal.SIGKILL):
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(10)
            self.process = None

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *error):
        self.kill()


def said(content):
    """The JSON of a payload, compressed or not."""
    return json.loads(content if content[:1] == b"{" else zlib.decompress(content))


class Listener:
    """What mosquitto_sub has received: (topic, retained, payload as JSON); `sizes` in bytes as they came."""

    def __init__(self):
        self.messages = []
        self.sizes = []
        self.news = anyio.Event()

    async def read(self, stream):
        rest = ""
        async for text in stream:
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                topic, retained, payload = line.rsplit(" ", 2)
                if topic.endswith(("/request", "/stored", "/desired")):
                    continue  # what a test says to the gateway need not make sense
                content = bytes.fromhex(payload)
                self.sizes.append((topic, len(content)))
                self.messages.append((topic, retained == "1", said(content)))
            self.news.set()
            self.news = anyio.Event()

    def of(self, topic):
        return [payload for t, _, payload in self.messages if topic in t]

    async def until(self, enough, seconds=20):
        try:
            with anyio.fail_after(seconds):
                while not enough(self):
                    await self.news.wait()
        except TimeoutError:
            topics = [(t, r) for t, r, _ in self.messages]
            raise AssertionError(f"waited {seconds} s in vain, {len(topics)} messages: {topics[-5:]}") from None


@asynccontextmanager
async def listening(port, *options):
    """A mosquitto_sub on everything; it is subscribed when this is entered."""
    command = [program("mosquitto_sub", "mosquitto-clients"), "-p", str(port), "-t", "#", "-q", "1", "-F", "%t %r %x"]
    listener = Listener()
    async with (
        await anyio.open_process([*command, *options], stderr=None) as process,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.read, TextReceiveStream(process.stdout))
        try:
            await subscribed(port, listener)
            yield listener
        finally:
            process.kill()
            group.cancel_scope.cancel()


async def subscribed(port, listener):
    """Until a message published now arrives."""
    pub = program("mosquitto_pub", "mosquitto-clients")
    before = len(listener.of("probe"))
    with anyio.fail_after(10):
        while len(listener.of("probe")) == before:
            await anyio.run_process([pub, "-p", str(port), "-t", "probe", "-q", "1", "-m", "{}"], check=False)
            await anyio.sleep(0.05)


class Door:
    """A TCP port that leads to another one while it is open; closing it cuts what goes through."""

    def __init__(self, to):
        self.port, self.to = free_port(), to
        self.open = True
        self.frozen = False
        self._cut = anyio.Event()

    async def run(self):
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port) as server:
            await server.serve(self._lead)

    def shut(self):
        self.open = False
        cut, self._cut = self._cut, anyio.Event()
        cut.set()

    async def _lead(self, near):
        async with near:
            if not self.open:
                return
            cut = self._cut
            try:
                far = await anyio.connect_tcp("127.0.0.1", self.to)
            except OSError:
                return
            async with far, anyio.create_task_group() as group:
                group.start_soon(self._copy, near, far, group)
                group.start_soon(self._copy, far, near, group)
                await cut.wait()
                group.cancel_scope.cancel()

    async def _copy(self, source, sink, group):
        try:
            async for chunk in source:
                while self.frozen:
                    await anyio.sleep(0.05)
                await sink.send(chunk)
        except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        group.cancel_scope.cancel()
