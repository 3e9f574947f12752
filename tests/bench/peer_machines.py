"""Machines to poll: libmodbus servers in C, whose holding registers get new values each second.

From register WORDS on: a sensor of 16 bit each (a walk of some counts). From register FLOATS on: a float32 each
in two registers, low word first (CDAB), with noise in all digits. Nothing stands still: constant values would cost
a compressing journal next to nothing.
"""

import socket
import struct
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from peers import libmodbus

WORDS, FLOATS = 1000, 4000
MOST_IN_A_WRITE = 123
PERIOD_S = 1.0
REQUESTS = 500  # the input register in which the server counts


class Machine:
    """One server and the connection over which its values move; `words` and `floats` say how many there are."""

    def __init__(self, port, words, floats, seed):
        self.port = port
        self._random = np.random.default_rng(seed)
        self._words = self._random.integers(5000, 50000, words)
        self._floats = self._random.uniform(10, 1000, floats).astype(np.float32)
        self._link = socket.create_connection(("127.0.0.1", port))
        self.written = 0
        self.move()

    def move(self):
        """One step of every value."""
        noise = self._random.normal(0, 1, len(self._floats)).astype(np.float32)
        self._words += self._random.integers(-3, 4, len(self._words))
        self._put(WORDS, self._words.astype(">u2"))
        swapped = (self._floats + noise).astype(">f4").view(">u2").reshape(-1, 2)[:, ::-1]
        self._put(FLOATS, swapped.reshape(-1))

    def _put(self, start, registers):
        for at in range(0, len(registers), MOST_IN_A_WRITE):
            part = registers[at : at + MOST_IN_A_WRITE]
            body = struct.pack(">BBHHB", 1, 16, start + at, len(part), 2 * len(part)) + part.tobytes()
            self._ask(body)

    def requests(self):
        """Requests of others so far, modulo 65536."""
        (count,) = struct.unpack(">H", self._ask(struct.pack(">BBHH", 1, 4, REQUESTS, 1))[-2:])
        return (count - self.written) % 65536

    def _ask(self, body):
        self.written += 1
        self._link.sendall(struct.pack(">HHH", 1, 0, len(body)) + body)
        head = self._link.recv(6, socket.MSG_WAITALL)
        return self._link.recv(struct.unpack(">HHH", head)[2], socket.MSG_WAITALL)

    def close(self):
        self._link.close()


class Machines(list):
    """Machines whose values move until `stop`."""

    def __init__(self, machines):
        super().__init__(machines)
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        # In the middle of the second: polls come at whole seconds of the boot clock.
        while not self._stopped.wait(PERIOD_S - (time.clock_gettime(time.CLOCK_BOOTTIME) - 0.5) % PERIOD_S):
            with self._lock:
                for machine in self:
                    machine.move()

    def requests(self):
        """Requests of others so far, modulo 65536, of all machines."""
        with self._lock:
            return sum(machine.requests() for machine in self)

    def stop(self):
        self._stopped.set()
        self._thread.join()
        for machine in self:
            machine.close()


@contextmanager
def machines(n, words=0, floats=0):
    """`n` machines on free ports."""
    with ExitStack() as stack:
        ports = [stack.enter_context(libmodbus()).port for _ in range(n)]
        them = Machines([Machine(port, words, floats, seed) for seed, port in enumerate(ports)])
        stack.callback(them.stop)
        yield them
