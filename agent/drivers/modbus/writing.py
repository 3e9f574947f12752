"""Writes to a device: only tags marked writable, within their range, read back; each is answered, whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from agent.core.blocks import Block
from agent.core.nouns import Answer, Tag, Write
from agent.core.registers import Field, encode, field_of
from agent.core.scaling import raw_of
from agent.drivers.modbus.config import Config, why_not_writable
from agent.drivers.modbus.link import Link, Refused

UNKNOWN = "it is not known whether it was written"


async def serve(
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]], config: Config, tags: Sequence[Tag], link: Link
) -> None:
    """Carry out writes one by one, until the stream ends."""
    async for write, answer in writes:
        outcome = Answer(write.id, False, f"the driver stopped: {UNKNOWN}")
        try:
            outcome = await _carried_out(write, config, tags, link)
        finally:
            answer(outcome)


async def _carried_out(write: Write, config: Config, tags: Sequence[Tag], link: Link) -> Answer:
    try:
        tag = tags[write.tag]
        field, values = prepared(config, tag, write)
        await link.write(field.at.unit or 0, field.at.table, field.at.offset, values)
    except (ValueError, Refused) as error:
        return Answer(write.id, False, str(error))
    except ConnectionRefusedError as error:
        return Answer(write.id, False, f"{tag.id}: {error}")
    except OSError as error:
        return Answer(write.id, False, f"{tag.id}: {error}; {UNKNOWN}")
    return await _read_back(write, tag, field, values, link)


def prepared(config: Config, tag: Tag, write: Write) -> tuple[Field, list[int]]:
    """Where, and which registers (or one bit). ValueError says why a tag cannot take a value."""
    if not tag.writable:
        raise ValueError(f"{tag.id} is not marked writable")
    field = field_of(tag, config.unit_id, config.address_base)
    if why := why_not_writable(field, tag):
        raise ValueError(why)
    if field.dtype == "string":
        return field, encode(field, write.text if write.text is not None else "")
    raw = raw_of(tag, write.value)
    if field.dtype != "bool":
        return field, encode(field, raw)
    if raw not in (0.0, 1.0):
        raise ValueError(f"{tag.id}: cannot write {write.value:g} to a coil, expected 0 or 1")
    return field, [int(raw)]


async def _read_back(write: Write, tag: Tag, field: Field, values: list[int], link: Link) -> Answer:
    block = Block(field.at.unit or 0, field.at.table, field.at.offset, field.span, (0,))
    try:
        found, _ = await link.read(block)
    except (Refused, OSError) as error:
        return Answer(write.id, False, f"{tag.id}: written, but it could not be read back: {error}")
    if [int(v) for v in found] == values:
        return Answer(write.id, True, f"{tag.id} written to {field.at} and read back")
    return Answer(
        write.id, False, f"{tag.id}: {field.at} was written {values} and reads back {[int(v) for v in found]}"
    )
