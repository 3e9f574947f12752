"""Modbus frames as bytes: cutting them out of a stream of requests, and putting them together again.

TCP: Modbus messaging on TCP/IP 1.0b, 3.1.3. RTU and ASCII: Modbus over serial line 1.02, 2.5.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

TCP = ("tcp", "tls", "udp")
READS = (1, 2, 3, 4)
BITS = (1, 2)
SINGLE = (5, 6)
MULTIPLE = (15, 16)
MASK = 22


@dataclass(frozen=True, slots=True)
class Frame:
    """What is said to or by a unit; `number` is the transaction of TCP, 0 elsewhere."""

    unit: int
    pdu: bytes
    number: int = 0


def crc(content: bytes) -> bytes:
    """The checksum of RTU (6.2.2), low byte first."""
    value = 0xFFFF
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


def lrc(content: bytes) -> int:
    """The checksum of ASCII (6.2.1)."""
    return -sum(content) & 0xFF


def built(transport: str, frame: Frame) -> bytes:
    """A frame as it goes over the wire."""
    body = bytes([frame.unit]) + frame.pdu
    if transport in TCP:
        return struct.pack(">HHH", frame.number, 0, len(body)) + body
    if transport == "ascii":
        return b":" + (body + bytes([lrc(body)])).hex().upper().encode() + b"\r\n"
    return body + crc(body)


def whole(transport: str, content: bytes) -> Frame | None:
    """The frame that these bytes are, None where they are not exactly one sound frame."""
    if transport in TCP:
        if len(content) < 8 or content[2:4] != b"\0\0" or len(content) != 6 + struct.unpack(">H", content[4:6])[0]:
            return None
        return Frame(content[6], content[7:], struct.unpack(">H", content[:2])[0])
    if transport == "ascii":
        return _whole_ascii(content)
    if len(content) < 4 or crc(content[:-2]) != content[-2:]:
        return None
    return Frame(content[0], content[1:-2])


def _whole_ascii(content: bytes) -> Frame | None:
    if not (content.startswith(b":") and content.endswith(b"\r\n")):
        return None
    try:
        body = bytes.fromhex(content[1:-2].decode("ascii"))
    except ValueError:
        return None
    if len(body) < 3 or lrc(body[:-1]) != body[-1]:
        return None
    return Frame(body[0], body[1:-1])


def request_size(transport: str, content: bytes) -> int:
    """How many bytes the request has that these begin; 0 while that cannot be told."""
    if transport in TCP:
        return 6 + struct.unpack(">H", content[4:6])[0] if len(content) >= 6 else 0
    if transport == "ascii":
        return content.find(b"\r\n") + 2 if b"\r\n" in content else 0
    function = content[1] if len(content) > 1 else 0
    if function in MULTIPLE:
        return 9 + content[6] if len(content) > 6 else 0
    return 0 if not function else 10 if function == MASK else 8


class Requests:
    """The requests in a stream of bytes."""

    def __init__(self, transport: str) -> None:
        self._transport, self._rest = transport, b""

    def take(self, content: bytes) -> Iterator[Frame]:
        """The requests that are complete with these bytes; what is no frame is left out."""
        self._rest += content
        while 0 < (size := request_size(self._transport, self._rest)) <= len(self._rest):
            frame, self._rest = whole(self._transport, self._rest[:size]), self._rest[size:]
            if frame is not None:
                yield frame


def key(request: Frame) -> tuple[int, bytes]:
    """What makes two requests the same: unit, function, address, and how many; the values of a write do not count."""
    return request.unit, request.pdu[: 3 if request.pdu[0] in (*SINGLE, MASK) else 5]


def read_values(pdu: bytes, count: int) -> list[int]:
    """The registers or bits in the answer to a read of `count` (FC 1 to 4)."""
    content = pdu[2:]
    if pdu[0] in BITS:
        return [content[i // 8] >> i % 8 & 1 for i in range(min(count, 8 * len(content)))]
    return [int.from_bytes(content[i : i + 2], "big") for i in range(0, len(content) - 1, 2)]


def read_answer(function: int, values: list[int]) -> bytes:
    """The answer to a read that brings these registers or bits."""
    if function in BITS:
        packed = sum(value << i for i, value in enumerate(values)).to_bytes(-(-len(values) // 8), "little")
    else:
        packed = struct.pack(f">{len(values)}H", *values)
    return bytes([function, len(packed)]) + packed
