"""Writes to a server: only tags marked writable, within their range, read back; each is answered, whatever happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import numpy as np
from asyncua import ua

from agent.core.nouns import Answer, Kind, Tag, Write
from agent.core.scaling import raw_of
from agent.drivers.opcua.services import Session

UNKNOWN = "it is not known whether it was written"
V = ua.VariantType
INTEGERS = {
    V.SByte: (-(2**7), 2**7 - 1),
    V.Byte: (0, 2**8 - 1),
    V.Int16: (-(2**15), 2**15 - 1),
    V.UInt16: (0, 2**16 - 1),
    V.Int32: (-(2**31), 2**31 - 1),
    V.UInt32: (0, 2**32 - 1),
    V.Int64: (-(2**63), 2**63 - 1),
    V.UInt64: (0, 2**64 - 1),
}


async def serve(
    writes: AsyncIterator[tuple[Write, Callable[[Answer], None]]],
    session: Session,
    tags: Sequence[Tag],
    node_of: Callable[[int], ua.NodeId | None],
) -> None:
    """Carry out writes one by one, until the stream ends."""
    async for write, answer in writes:
        outcome = Answer(write.id, False, f"the driver stopped: {UNKNOWN}")
        try:
            outcome = await _carried_out(write, session, tags[write.tag], node_of(write.tag))
        finally:
            answer(outcome)


async def _carried_out(write: Write, session: Session, tag: Tag, node: ua.NodeId | None) -> Answer:
    try:
        if not tag.writable:
            raise ValueError(f"{tag.id} is not marked writable")
        if node is None:
            raise ValueError(f"{tag.id}: the server has no node {tag.address}")
        (before,) = await session.read([node])
        value = variant(tag, write, before.Value.VariantType if before.Value is not None else V.Null)
    except (ValueError, OSError) as error:
        return Answer(write.id, False, f"{error} (nothing was written)")
    try:
        verdict = await session.write(node, value)
    except OSError as error:
        return Answer(write.id, False, f"{tag.id}: {error}; {UNKNOWN}")
    if not verdict.is_good():
        return Answer(write.id, False, f"{tag.id}: the server refused {value.Value}: {verdict.name}")
    return await _read_back(write, session, tag, node, value)


def variant(tag: Tag, write: Write, kind: ua.VariantType) -> ua.Variant:
    """The value in the type that the node has now. ValueError says what does not fit, and what would."""
    if tag.kind is Kind.TEXT:
        text = write.text or ""
        return ua.Variant(
            ua.LocalizedText(text) if kind is V.LocalizedText else text, kind if kind in TEXTS else V.String
        )
    raw = raw_of(tag, write.value)
    if kind is V.Boolean:
        if raw not in (0.0, 1.0):
            raise ValueError(f"{tag.id}: cannot write {write.value:g} to a boolean, expected 0 or 1")
        return ua.Variant(bool(raw), kind)
    if kind in INTEGERS:
        lo, hi = INTEGERS[kind]
        if not lo <= round(raw) <= hi:
            raise ValueError(f"{tag.id}: {write.value:g} does not fit {kind.name}, expected {lo} to {hi}")
        return ua.Variant(round(raw), kind)
    if kind in (V.Float, V.Double):
        return ua.Variant(float(np.float32(raw)) if kind is V.Float else raw, kind)
    raise ValueError(f"{tag.id}: the node holds {kind.name}, expected a number or boolean")


TEXTS = (V.String, V.LocalizedText)


async def _read_back(write: Write, session: Session, tag: Tag, node: ua.NodeId, value: ua.Variant) -> Answer:
    try:
        (found,) = await session.read([node])
    except OSError as error:
        return Answer(write.id, False, f"{tag.id}: written, but it could not be read back: {error}")
    after = found.Value.Value if found.Value is not None else None
    if after == value.Value:
        return Answer(write.id, True, f"{tag.id} written to {tag.address} and read back")
    return Answer(write.id, False, f"{tag.id}: {tag.address} was written {value.Value} and reads back {after}")
