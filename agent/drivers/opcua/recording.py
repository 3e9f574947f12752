"""A recording of an OPC UA device: its nodes and types, and what their values did for a while. `hil` serves it again.

    namespaces   URIs in the server's order; one that nothing recorded is of is left out ("")
    types        structures by data type: form, encoding, fields; `simple`: data types that are a builtin type
    nodes        path, id, type (builtin), tag (a type for a tag list), dims, unit, writable, description
    changes      [ns since the start, row of the node, value, status, source_ns, server_ns], the first of each at 0

A value is {"type", "value", "dims"}; a ByteString and the body of a structure are hex, a DateTime is its ticks.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import anyio
from asyncua import ua

from agent.core.nouns import Found
from agent.drivers.opcua import values
from agent.drivers.opcua.binary.builtin import Extension, NodeId, T, Variant
from agent.drivers.opcua.binary.messages import Samples
from agent.drivers.opcua.binary.structures import Types
from agent.drivers.opcua.binary.typedefs import BUILTINS, ServerTypes
from agent.drivers.opcua.browsing import address, below, described, started_at
from agent.drivers.opcua.config import Config
from agent.drivers.opcua.items import Item, Wish
from agent.drivers.opcua.node import NodeRef
from agent.drivers.opcua.publishing import Publisher
from agent.drivers.opcua.services import Session
from agent.drivers.opcua.session import connected
from agent.drivers.opcua.subscription import Monitoring
from agent.runtime import clock

PUBLISHING_S = 0.1
NAMES = {int(kind): ua.VariantType(int(kind)).name for kind in T}


async def record(config: Config, start: str, depth: int, most: int, for_s: float) -> dict[str, Any]:
    """What lies below `start`, and its changes for so long. OSError; ValueError: `start` is no address there."""
    async with connected(config) as session:
        namespaces, node = await started_at(session, start)
        branches, units_at = await below(session, node, depth, most)
        nodes, types = [branch.node for branch in branches], ServerTypes(session)
        found = await described(session, branches, units_at, namespaces)
        first = await session.read(nodes)
        await types.learn([first])
        changes = [_change(0, row, first, row, namespaces) for row in range(len(nodes))]
        changes += await _changes(session, nodes, for_s, namespaces, types)
        told = {
            "nodes": [_node(one, first, row) for row, one in enumerate(found)],
            **_types(types.known, namespaces),
            "changes": changes,
        }
        used = str(told)
        return {"namespaces": [uri if f"nsu={uri};" in used else "" for uri in namespaces], **told}


def _types(known: Types, namespaces: Sequence[str]) -> dict[str, Any]:
    """The structures with the encoding that really came, and the types that are no more than a builtin one."""
    came = {data_type: encoding for encoding, data_type in known.by_encoding.items()}
    structures = {
        address(data_type, namespaces): {
            "form": int(definition.form),
            "encoding": address(came.get(data_type, definition.encoding), namespaces),
            "fields": [[f.name, address(f.data_type, namespaces), f.rank, f.flag] for f in definition.fields],
        }
        for data_type, definition in known.structures.items()
    }
    simple = {address(t, namespaces): NAMES[kind] for t, kind in known.builtins.items() if t not in BUILTINS}
    return {"types": structures, "simple": simple}


def _node(found: Found, first: Samples, row: int) -> dict[str, Any]:
    variant = values.variant_at(first, row)
    return {
        "path": list(found.path),
        "id": found.address,
        "type": NAMES[variant.type] if variant else "Double",
        "tag": found.type,
        "dims": list(variant.dims) if variant and variant.dims is not None else None,
        "unit": found.unit,
        "writable": found.writable,
        "description": found.description,
    }


async def _changes(
    session: Session, nodes: Sequence[ua.NodeId], for_s: float, namespaces: Sequence[str], types: ServerTypes
) -> list[list[Any]]:
    """What a subscription to all of them tells, after the first word on each."""
    wish = Wish(sampling_s=0.0, queue=1000)
    items = [Item(NodeRef(node.NamespaceIndex, "", node.Identifier), wish) for node in nodes]
    publisher = Publisher(session, PUBLISHING_S)
    monitoring = Monitoring(session, publisher, items, PUBLISHING_S)
    found, seen, start_ns = list[list[Any]](), set[int](), clock.now_ns()

    async def listen() -> None:
        while True:
            for notified in await publisher.next():
                for samples in notified.message.samples:
                    await types.learn([samples])
                    at_ns = notified.received_ns - start_ns
                    for row, handle in enumerate(samples.handle):
                        if int(handle) in seen:
                            found.append(_change(at_ns, int(handle), samples, row, namespaces))
                        seen.add(int(handle))

    try:
        with anyio.move_on_after(for_s):
            async with anyio.create_task_group() as group:
                group.start_soon(listen)
                for _ in range(publisher.requests):
                    group.start_soon(publisher.ask)
                await monitoring.add(dict(enumerate(nodes)), for_s)
    finally:
        publisher.close()
    return found


def _change(at_ns: int, node: int, samples: Samples, row: int, namespaces: Sequence[str]) -> list[Any]:
    variant = values.variant_at(samples, row)
    stamps = [int(column[row]) for column in (samples.status, samples.source_ns, samples.server_ns)]
    return [at_ns, node, None if variant is None else _told(variant, namespaces), *stamps]


def _told(variant: Variant, namespaces: Sequence[str]) -> dict[str, Any]:
    if variant.dims is None:
        return {"type": NAMES[variant.type], "value": _plain(variant.value, namespaces)}
    content = [_plain(value, namespaces) for value in variant.value]
    return {"type": NAMES[variant.type], "value": content, "dims": list(variant.dims)}


def _plain(value: Any, namespaces: Sequence[str]) -> Any:
    if isinstance(value, Extension):
        body = None if value.body is None else value.body.hex()
        return {"encoding": address(value.encoding, namespaces), "body": body}
    if isinstance(value, Variant):
        return _told(value, namespaces)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, NodeId):
        return address(value, namespaces)
    return str(value) if isinstance(value, uuid.UUID) else value
