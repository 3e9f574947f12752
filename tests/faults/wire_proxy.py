"""A TCP wire between a client and a real server, which can be made bad while both run.

Requests pass as they come. Each answer of the server, a whole MBAP frame or a whole chunk of OPC UA TCP, goes through
`wire.fault`, an async function of the conversation and the frame; `wire.fault = clean` heals the wire.
"""

import struct
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketAttribute

HEADER = 6  # transaction, protocol, length; then unit, function, byte count
GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.IncompleteRead, OSError)


class Conversation:
    """One connection through the wire, as a fault sees it."""

    def __init__(self, wire, client):
        self.wire, self.client = wire, client

    async def send(self, data):
        """Give bytes to the client."""
        await self.client.send(data)

    async def cut(self):
        """Close the connection to the client."""
        await self.client.aclose()


async def clean(to, frame):
    """Pass the answer on as it is."""
    await to.send(frame)


def mbap(buffer):
    """The length of the Modbus TCP frame that begins here; more than there is where it is not known yet."""
    return HEADER + struct.unpack(">H", buffer[4:6])[0] if len(buffer) >= HEADER else HEADER


def opcua_chunk(buffer):
    """The length of the OPC UA TCP chunk that begins here (OPC 10000-6 §7.1.2.2); the same."""
    return struct.unpack("<I", buffer[4:8])[0] if len(buffer) >= 8 else 8


class Wire:
    """Listens on `port`, connects to `server_port` for each client; counts `connections` and `answers`."""

    def __init__(self, server_port, listener, size_of):
        self._size_of = size_of
        self.fault, self.greeting, self.connections, self.answers = clean, b"", 0, 0
        self.held = []
        self._server_port, self.listener = server_port, listener
        self.port = listener.extra(SocketAttribute.local_port)

    async def serve(self):
        """Until cancelled."""
        await self.listener.serve(self._talk)

    async def _talk(self, client):
        self.connections += 1
        try:
            async with client, await anyio.connect_tcp("127.0.0.1", self._server_port) as server:
                if self.greeting:
                    await client.send(self.greeting)
                async with anyio.create_task_group() as group:
                    group.start_soon(self._pass_requests, client, server, group.cancel_scope)
                    await self._pass_answers(Conversation(self, client), server)
                    group.cancel_scope.cancel()
        except GONE:
            return

    async def _pass_requests(self, client, server, scope):
        try:
            async for data in client:
                await server.send(data)
        except GONE:
            pass
        scope.cancel()

    async def _pass_answers(self, conversation, server):
        buffer = b""
        try:
            async for data in server:
                buffer += data
                while buffer and len(buffer) >= (size := self._size_of(buffer)):
                    frame, buffer = buffer[:size], buffer[size:]
                    self.answers += 1
                    await self.fault(conversation, frame)
        except GONE:
            return


@asynccontextmanager
async def wire_to(server_port, size_of=mbap):
    """A wire to a server on this machine, served while the block runs."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as group:
        wire = Wire(server_port, listener, size_of)
        group.start_soon(wire.serve)
        yield wire
        group.cancel_scope.cancel()


def changed(change):
    """A fault that sends `change(frame)` in the place of the frame."""

    async def fault(to, frame):
        await to.send(change(frame))

    return fault


def delayed(delay_s):
    """A fault that sends the answer late."""

    async def fault(to, frame):
        await anyio.sleep(delay_s)
        await to.send(frame)

    return fault


async def frozen(to, frame):
    """Connected, silent."""


async def cut(to, frame):
    """The connection is closed in the place of an answer."""
    await to.cut()


async def cut_within(to, frame):
    """The connection is closed in the middle of an answer."""
    await to.send(frame[: len(frame) // 2])
    await to.cut()


def trickled(pause_s):
    """A fault that sends one byte at a time."""

    async def fault(to, frame):
        for i in range(len(frame)):
            await to.send(frame[i : i + 1])
            await anyio.sleep(pause_s)

    return fault


async def held_until_next(to, frame):
    """An answer is held until the next one, on whatever connection, and then goes before it in a segment of its own."""
    held, to.wire.held = to.wire.held, [frame]
    for late in held:
        await to.send(late)
        await anyio.sleep(0.002)
    if held:
        await to.send(frame)
        to.wire.held = []


async def merged(to, frame):
    """As `held_until_next`, both in one segment."""
    held, to.wire.held = to.wire.held, [frame]
    if held:
        await to.send(b"".join([*held, frame]))
        to.wire.held = []


async def twice(to, frame):
    """Each answer comes twice in one segment."""
    await to.send(frame + frame)


async def with_the_last(to, frame):
    """Each answer comes with the one before it in one segment."""
    held, to.wire.held = to.wire.held, [frame]
    await to.send(b"".join([*held, frame]))


def replaced(at, *new):
    """A change that puts bytes at a place of the frame."""
    return lambda frame: frame[:at] + bytes(new) + frame[at + len(new) :]


def flipped(at, bits=0xFF):
    """A change that flips bits of the byte at a place of the frame."""
    return lambda frame: frame[:at] + bytes([frame[at] ^ bits]) + frame[at + 1 :]


def resized(frame, count):
    """The frame with `count` bytes more (zeros) or fewer, and a length that tells so; the byte count stays."""
    body = frame[HEADER:] + bytes(count) if count > 0 else frame[HEADER:count]
    return frame[:4] + struct.pack(">H", len(body)) + body
