"""Which bytes are an answer at all, kept as bytes: pymodbus decodes what is too long, odd, or of a function that nobody
asked for, and makes a Python number of each register."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pymodbus.pdu import DecodePDU, ModbusPDU

from agent.drivers.modbus.wire.errors import MalformedError

Values = npt.NDArray[Any]

COUNTED = {1: 1, 2: 1, 3: 2, 4: 2}  # reads, whose data have a byte count: bytes of the smallest datum
BITS = (1, 2)
ECHOED = {5: 5, 6: 5, 15: 5, 16: 5, 22: 7}  # writes, whose answer repeats the beginning of the request: its length


def why_malformed(pdu: bytes) -> str:
    """What is wrong with a PDU as an answer to any request of ours, empty if nothing (application protocol 6, 7)."""
    function = pdu[0]
    if function & 0x80:
        return "" if len(pdu) == 2 else f"an exception of {len(pdu)} bytes, expected 2"
    if function in ECHOED:
        return "" if len(pdu) == ECHOED[function] else f"{len(pdu)} bytes, expected {ECHOED[function]}"
    if function not in COUNTED:
        return f"function {function}, which is never asked"
    count = pdu[1] if len(pdu) > 1 else 0
    if len(pdu) != 2 + count or count % COUNTED[function]:
        return f"a byte count of {count} in {len(pdu)} bytes"
    return ""


class Reply(ModbusPDU):
    """An answer as it came: its function, the bytes that follow it, and the exception code if it is one."""

    def __init__(self, pdu: bytes) -> None:
        """Keep a PDU; ModbusPDU would make a dozen attributes that no answer of ours has."""
        self.function_code = pdu[0]
        self.data = pdu[1:]
        self.exception_code = pdu[1] if pdu[0] & 0x80 else 0
        self.dev_id = self.transaction_id = self.retries = 0

    def __str__(self) -> str:
        """The answer in hexadecimal."""
        return f"Reply({self.function_code}, {self.data.hex()})"


class Answers(DecodePDU):
    """What pymodbus' framers hand their PDUs to: answers alone are taken, and kept as they came."""

    def __init__(self) -> None:
        """Decode as a client does."""
        super().__init__(is_server=False)

    def decode(self, frame: bytes) -> Reply:
        """The answer in a PDU. MalformedError says why it is none."""
        if why := why_malformed(frame):
            raise MalformedError(why)
        return Reply(frame)


def check_ours(reply: Reply, request: ModbusPDU) -> None:
    """MalformedError unless it answers this request: pymodbus lets transaction 0, and any unit where 0 was asked, pass.

    A read must bring what was asked for, a write must repeat what was written.
    """
    expected = (request.transaction_id, request.dev_id, request.function_code)
    found = (reply.transaction_id, reply.dev_id, reply.function_code & 0x7F)
    if found != expected:
        form = "the answer is to transaction {}, unit {}, function {}, expected {}, {}, {}"
        raise MalformedError(form.format(*found, *expected))
    if reply.exception_code:
        return
    if request.function_code in ECHOED:
        if reply.data != request.encode()[: len(reply.data)]:
            raise MalformedError(f"the answer repeats {reply.data.hex()} of a write of {request.encode().hex()}")
        return
    asked = -(-request.count // 8) if request.function_code in BITS else 2 * request.count
    if len(reply.data) - 1 != asked:
        raise MalformedError(f"{len(reply.data) - 1} bytes of values came where {asked} were asked")


def values_of(reply: Reply, count: int) -> Values:
    """The `count` values of a read: registers u2[count] (big-endian, as they came) or bits bool[count]."""
    if reply.function_code in BITS:
        content = np.frombuffer(reply.data, np.uint8, offset=1)
        return np.unpackbits(content, count=count, bitorder="little").view(np.bool_)
    return np.frombuffer(reply.data, ">u2", offset=1)
