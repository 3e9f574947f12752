"""Writes to a server: only tags marked writable, within their range, read back; each is answered, whatever happens.

An element of an array is written by its IndexRange. A structure is not written: a member alone cannot be, and to write
all of it back would undo what the PLC did in between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from asyncua import ua

from agent.core import quality
from agent.core.nouns import Answer, Tag, Write
from agent.drivers.opcua import members
from agent.drivers.opcua.binary.builtin import T, Variant
from agent.drivers.opcua.binary.encoding import variant
from agent.drivers.opcua.binary.messages import Samples
from agent.drivers.opcua.binary.structures import nested
from agent.drivers.opcua.errors import name_of
from agent.drivers.opcua.members import Member
from agent.drivers.opcua.node import address_of
from agent.drivers.opcua.services import Session, is_other
from agent.drivers.opcua.values import variant_at

UNKNOWN = "it is not known whether it was written"
CURRENT_WRITE = 2


@dataclass(frozen=True, slots=True)
class Target:
    """The node of a tag as it is before a write: the type of its value, its dimensions (None: a scalar)."""

    node: ua.NodeId
    kind: int
    dims: tuple[int, ...] | None
    member: Member

    @property
    def index_range(self) -> str | None:
        """The element that is written; None for all of the value (OPC 10000-4 §7.27)."""
        return ",".join(str(i) for i in self.member) or None


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
        target = await _target(session, tag, node)
        value = variant(tag, write, target.kind, target.dims, bool(target.member))
    except (ValueError, OSError) as error:
        return Answer(write.id, False, f"{error} (nothing was written)")
    try:
        verdict = await session.write(node, value, target.index_range)
    except OSError as error:
        return Answer(write.id, False, f"{tag.id}: {error}; {UNKNOWN}")
    if not quality.is_good(verdict):
        return Answer(write.id, False, f"{tag.id}: the server refused {value.Value}: {name_of(verdict)}")
    return await _read_back(write, session, tag, target, value)


async def _target(session: Session, tag: Tag, node: ua.NodeId) -> Target:
    """What is there to be written to. ValueError says why it cannot be."""
    member = address_of(tag.address).member
    if any(isinstance(part, str) for part in member):
        raise ValueError(f"{tag.id}: {members.shown(member)} is a member of a structure, which cannot be written alone")
    before, access = await session.read([node]), await session.read([node], ua.AttributeIds.UserAccessLevel)
    if access.kind[0] == T.BYTE and not int(access.number[0]) & CURRENT_WRITE:
        raise ValueError(f"{tag.id}: the server lets us read {tag.address}, not write it (UserAccessLevel)")
    found = variant_at(before, 0) or Variant(await _declared(session, node), None)
    if found.type == T.EXTENSION:
        raise ValueError(f"{tag.id}: {tag.address} holds a structure, which cannot be written, expected a simple value")
    if len(member) > len(found.dims or ()):
        raise ValueError(f"{tag.id}: {tag.address} holds no such array")
    return Target(node, found.type, found.dims, member)


async def _declared(session: Session, node: ua.NodeId) -> int:
    """The builtin type of a node that has no value yet; NULL where it is of none."""
    found: Samples = await session.read([node], ua.AttributeIds.DataType)
    if not is_other(found, 0, T.NODEID):
        return T.NULL
    data_type = found.others[0].value
    simple = data_type.index == 0 and isinstance(data_type.identifier, int) and 0 < data_type.identifier < T.DATAVALUE
    return int(data_type.identifier) if simple else T.NULL


async def _read_back(write: Write, session: Session, tag: Tag, target: Target, value: ua.Variant) -> Answer:
    try:
        found = variant_at(await session.read([target.node]), 0)
        after = members.pick(_content(found), target.member)
    except OSError as error:
        return Answer(write.id, False, f"{tag.id}: written, but it could not be read back: {error}")
    except LookupError:
        after = None
    if _same(after, value):
        return Answer(write.id, True, f"{tag.id} written to {tag.address} and read back")
    wanted = value.Value
    return Answer(write.id, False, f"{tag.id}: {tag.address} was written {wanted} and reads back {after}")


def _content(found: Variant | None) -> Any:
    if found is None:
        return None
    return found.value if found.dims is None else nested(found.value, found.dims)


def _same(after: Any, value: ua.Variant) -> bool:
    """Whether what was read back is what was written."""
    wanted = value.Value
    if isinstance(wanted, ua.LocalizedText):
        return bool(after == wanted.Text)
    if value.VariantType is ua.VariantType.DateTime:
        return isinstance(after, int) and abs(after - ua.datetime_to_win_epoch(wanted)) < 10
    if isinstance(wanted, list):
        flat = wanted if isinstance(after, list) else wanted[0]
        return bool(np.array_equal(np.ravel(np.asarray(after)), np.ravel(np.asarray(flat))))
    return bool(after == wanted)
