"""The requests that are sent, as pymodbus encodes them, and what they are called in a message."""

from __future__ import annotations

from collections.abc import Sequence

from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from agent.core.address import Table
from agent.core.blocks import Block

READS = {
    Table.COIL: ReadCoilsRequest,
    Table.DISCRETE: ReadDiscreteInputsRequest,
    Table.HOLDING: ReadHoldingRegistersRequest,
    Table.INPUT: ReadInputRegistersRequest,
}
WRITES = {5: Table.COIL, 15: Table.COIL, 6: Table.HOLDING, 16: Table.HOLDING, 22: Table.HOLDING}


def reading(block: Block) -> ModbusPDU:
    """The request that reads a block (FC 1 to 4)."""
    return READS[block.table](address=block.start, count=block.count, dev_id=block.unit)


def writing(unit: int, table: Table, start: int, values: Sequence[int], multiple: bool) -> ModbusPDU:
    """The request that writes coils or holding registers: FC 5 or 6 for one, unless `multiple`, else 15 or 16."""
    single = len(values) == 1 and not multiple
    if table is Table.COIL:
        bits = [bool(value) for value in values]
        if single:
            return WriteSingleCoilRequest(address=start, bits=bits, dev_id=unit)
        return WriteMultipleCoilsRequest(address=start, bits=bits, dev_id=unit)
    kind = WriteSingleRegisterRequest if single else WriteMultipleRegistersRequest
    return kind(address=start, registers=list(values), dev_id=unit)


def masking(unit: int, start: int, mask: int, value: int) -> ModbusPDU:
    """The request that writes the bits of `mask` in one holding register (FC 22, application protocol 6.16).

    result = (register AND and_mask) OR (or_mask AND NOT and_mask)
    """
    return MaskWriteRegisterRequest(address=start, and_mask=~mask & 0xFFFF, or_mask=value, dev_id=unit)


def named(request: ModbusPDU) -> str:
    """`unit 1 input:30+2`, or `unit 1 write holding:7`; offsets are those of the PDU."""
    function = request.function_code
    if function in WRITES:
        return f"unit {request.dev_id} write {WRITES[function].word}:{request.address}"
    return f"unit {request.dev_id} {Table(function).word}:{request.address}+{request.count}"
