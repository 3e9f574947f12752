"""Writes to a device: only tags marked writable, within their range, read back; each is answered, whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

from agent.core.blocks import Block
from agent.core.nouns import Answer, Tag, Write
from agent.drivers.modbus.config import Config
from agent.drivers.modbus.wire.errors import Refused, UnreachableError
from agent.drivers.modbus.wire.link import Link
from agent.drivers.modbus.writable import Change, change_of

UNKNOWN = "it is not known whether it was written"
NO_MASK_WRITE = (
    "the device has no mask write (function 22), and a part of a register cannot be written otherwise without risk to "
    "the rest of it; expected mask_write: emulate where nothing else writes this register"
)


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
    """One try: a write that was not answered may have been carried out, and is not sent a second time."""
    tag = tags[write.tag]
    try:
        change = change_of(tag, write, config.unit_id, config.address_base)
        await _written(change, config, link)
    except (ValueError, Refused) as error:
        return Answer(write.id, False, str(error))
    except UnreachableError as error:
        return Answer(write.id, False, f"{tag.id}: {error}; nothing was written")
    except OSError as error:
        return Answer(write.id, False, f"{tag.id}: {error}; {UNKNOWN}")
    return await _read_back(write, tag, change, link)


async def _written(change: Change, config: Config, link: Link) -> None:
    if change.mask is None:
        await link.write(change.unit, change.table, change.start, change.values)
        return
    try:
        await link.mask(change.unit, change.start, change.mask, change.values[0])
    except Refused as refused:
        if refused.code != 1:
            raise
        if config.mask_write != "emulate":
            raise ValueError(f"{change.table.word}:{change.start}: {NO_MASK_WRITE}") from refused
        found, _ = await link.read(_block(change), stay=True)
        value = (int(found[0]) & ~change.mask & 0xFFFF) | change.values[0]
        await link.write(change.unit, change.table, change.start, (value,))


async def _read_back(write: Write, tag: Tag, change: Change, link: Link) -> Answer:
    where = f"{change.unit}/{change.table.word}:{change.start}"
    try:
        found, _ = await link.read(_block(change), stay=True)
    except (Refused, OSError) as error:
        return Answer(write.id, False, f"{tag.id}: written, but it could not be read back: {error}")
    read = [int(value) for value in found]
    if change.done(read):
        return Answer(write.id, True, f"{tag.id} written to {where} and read back")
    return Answer(write.id, False, f"{tag.id}: {where} was written {list(change.values)} and reads back {read}")


def _block(change: Change) -> Block:
    return Block(change.unit, change.table, change.start, len(change.values), (0,))
