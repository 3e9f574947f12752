"""Modbus RTU devices on a pseudo terminal, answered in the test's own loop: slow, silent, echoing, garbled as wanted.

Register i of each unit holds 7 i (holding and input alike); writes of single registers are kept.
"""

import asyncio
import os
import struct
import tty
from contextlib import contextmanager


def crc(data):
    """CRC-16 of Modbus over serial line 6.2.2, low byte first."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xA001 if value & 1 else value >> 1
    return struct.pack("<H", value)


def framed(unit, pdu):
    body = bytes([unit]) + pdu
    return body + crc(body)


class Bus:
    """The devices at one end. `delay_s` by unit, None for a silent one; `asked` has (time, unit, start) of requests."""

    def __init__(self, master, port):
        self.port, self.delay_s, self.asked, self.echo = port, {}, [], b""
        self.registers = {i: 7 * i & 0xFFFF for i in range(1000)}
        self.echoes = False
        self.noise, self.next_delays_s = {}, []
        self.spoil = lambda frame: frame
        self._stalled = None
        self._master, self._buffer = master, b""

    def heard(self):
        self._buffer += os.read(self._master, 4096)
        while len(self._buffer) >= 8:
            request, self._buffer = self._buffer[:8], self._buffer[8:]
            self._take(request)

    def _take(self, request):
        if self.echoes:
            os.write(self._master, request)
        unit, function, start, count = struct.unpack(">BBHH", request[:6])
        assert request[6:] == crc(request[:6])
        loop = asyncio.get_running_loop()
        self.asked.append((loop.time(), unit, start))
        delay_s = self.next_delays_s.pop(0) if self.next_delays_s else self.delay_s.get(unit, 0.0)
        if delay_s is not None:
            loop.call_later(delay_s, self._say, self._answer(unit, function, start, count, request))

    def _say(self, frame):
        if self._stalled is not None:
            self._stalled.append(frame)
        elif data := self.spoil(frame):
            os.write(self._master, data)

    def stall(self):
        """Keep all answers back, as a device that is busy or a converter that is frozen."""
        self._stalled = []

    def go_on(self):
        """Give the answers that were kept back, one right after the other."""
        held, self._stalled = self._stalled, None
        for frame in held:
            self._say(frame)

    def _answer(self, unit, function, start, count, request):
        if unit in self.noise:
            return self.noise[unit]
        if function == 6:
            self.registers[start] = count
            return request
        values = [self.registers[start + i] for i in range(count)]
        return framed(unit, struct.pack(f">BB{count}H", function, 2 * count, *values))


@contextmanager
def bus():
    """A bus of devices, read by the running loop."""
    master, slave = os.openpty()
    tty.setraw(slave)
    made, loop = Bus(master, os.ttyname(slave)), asyncio.get_running_loop()
    loop.add_reader(master, made.heard)
    try:
        yield made
    finally:
        loop.remove_reader(master)
        os.close(master)
        os.close(slave)
