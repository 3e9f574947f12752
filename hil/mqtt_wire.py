"""A small MQTT 3.1.1 subscriber straight on TCP, so that the receiving end shares no code with the sending one."""

import asyncio
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ, DISCONNECT = 1, 2, 3, 4, 8, 9, 12, 14
PACKET_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """One received publication."""

    topic: str
    payload: bytes
    qos: int
    retained: bool
    duplicate: bool


def packet(kind: int, flags: int, body: bytes) -> bytes:
    """A control packet: kind and flags, remaining length in groups of 7 bits, body."""
    length, left = bytearray(), len(body)
    while True:
        left, group = divmod(left, 128)
        length.append(group | (0x80 if left else 0))
        if not left:
            return bytes([kind << 4 | flags]) + bytes(length) + body


def text(value: str) -> bytes:
    """A string with its length in front."""
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


async def read_packet(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    """Kind, flags and body of the next packet; ConnectionError for what MQTT does not allow."""
    head = (await reader.readexactly(1))[0]
    length = shift = 0
    while True:
        group = (await reader.readexactly(1))[0]
        length |= (group & 0x7F) << shift
        shift += 7
        if not group & 0x80:
            break
        if shift > 21:
            raise ConnectionError("remaining length longer than 4 bytes")
    if length > PACKET_LIMIT:
        raise ConnectionError(f"packet of {length} bytes")
    return head >> 4, head & 0x0F, await reader.readexactly(length)


def parse_publish(flags: int, body: bytes) -> tuple[Message, int | None]:
    """The message, and the packet id to acknowledge at QoS 1."""
    (size,) = struct.unpack_from(">H", body)
    topic, at = body[2 : 2 + size].decode(), 2 + size
    qos, packet_id = (flags >> 1) & 3, None
    if qos:
        (packet_id,) = struct.unpack_from(">H", body, at)
        at += 2
    return Message(topic, body[at:], qos, bool(flags & 1), bool(flags & 8)), packet_id


class Subscription:
    """One connection with one topic filter; a ping goes out at half of the keep-alive time the broker is told."""

    def __init__(self, host: str, port: int, topic: str, client_id: str, keep_alive_s: int = 20) -> None:
        self._address = (host, port)
        self._topic = topic
        self._client_id = client_id
        self._keep_alive_s = keep_alive_s

    async def messages(self, timeout_s: float = 5.0) -> AsyncIterator[Message | None]:
        """None once the filter is accepted, then each message; ConnectionError, EOFError or TimeoutError at its end."""
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(*self._address)
        ping = asyncio.create_task(self._ping(writer))
        try:
            async with asyncio.timeout(timeout_s):
                await self._open(reader, writer)
            yield None
            while True:
                async with asyncio.timeout(1.5 * self._keep_alive_s):
                    kind, flags, body = await read_packet(reader)
                if kind == PUBLISH:
                    message, packet_id = parse_publish(flags, body)
                    if packet_id is not None:
                        writer.write(packet(PUBACK, 0, struct.pack(">H", packet_id)))
                    yield message
        finally:
            ping.cancel()
            writer.write(packet(DISCONNECT, 0, b""))
            writer.close()

    async def _open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clean_session = 0x02
        head = text("MQTT") + bytes([4, clean_session]) + struct.pack(">H", self._keep_alive_s)
        writer.write(packet(CONNECT, 0, head + text(self._client_id)))
        kind, _, body = await read_packet(reader)
        if kind != CONNACK or body[1]:
            raise ConnectionError(f"the broker refused the connection: packet {kind}, code {body[-1:].hex()}")
        writer.write(packet(SUBSCRIBE, 2, struct.pack(">H", 1) + text(self._topic) + bytes([1])))
        kind, _, body = await read_packet(reader)
        if kind != SUBACK or body[2] & 0x80:
            raise ConnectionError(f"the broker refused the topic filter {self._topic!r}")

    async def _ping(self, writer: asyncio.StreamWriter) -> None:
        while True:
            await asyncio.sleep(self._keep_alive_s / 2)
            writer.write(packet(PINGREQ, 0, b""))
