"""What a server offers below a node: its variables with type, value, unit and access. For a person, not for the daemon.

Level by level, many nodes a call, each node once however many ways lead to it (a cycle ends there).
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import anyio
from asyncua import ua

from agent.core import units
from agent.core.nouns import Found
from agent.drivers.opcua import resolving, values
from agent.drivers.opcua.binary.builtin import Extension, MalformedError, NodeId, T
from agent.drivers.opcua.binary.cursor import Cursor
from agent.drivers.opcua.binary.messages import Samples
from agent.drivers.opcua.binary.structures import Types, UnknownTypeError, opened
from agent.drivers.opcua.binary.typedefs import ServerTypes
from agent.drivers.opcua.config import Config
from agent.drivers.opcua.errors import translated
from agent.drivers.opcua.node import OBJECTS, address_of
from agent.drivers.opcua.services import Session, is_other, ours
from agent.drivers.opcua.session import connected

# A level of so many nodes takes this long at worst; a server that is slower is not browsed.
LEVEL_S = 300.0
SERVER, PROPERTY, EU_INFORMATION = NodeId(0, 2253), NodeId(0, 46), NodeId(0, 889)
OBJECT, VARIABLE = 1, 2
CURRENT_WRITE = 2
NAMES: dict[int, str] = {
    T.BOOLEAN: "bool",
    T.SBYTE: "int8",
    T.BYTE: "uint8",
    T.INT16: "int16",
    T.UINT16: "uint16",
    T.INT32: "int32",
    T.UINT32: "uint32",
    T.INT64: "int64",
    T.UINT64: "uint64",
    T.FLOAT: "float32",
    T.DOUBLE: "float64",
    T.STATUSCODE: "uint32",
}


@dataclass(frozen=True, slots=True)
class Branch:
    """A node on the way: how it was reached, and what the library needs to go on."""

    path: tuple[str, ...]
    node: ua.NodeId
    variable: bool


async def browse(config: Config, start: str, depth: int, most: int) -> list[Found]:
    """The variables below `start` (empty: the Objects folder, without the server's own), at most so many. OSError.

    ValueError: `start` is no address, or not on this server.
    """
    async with connected(config) as session:
        with translated(config.endpoint), anyio.fail_after(LEVEL_S):
            namespaces, node = await started_at(session, start)
            found, units_at = await below(session, node, depth, most)
            return await described(session, found, units_at, namespaces)


async def started_at(session: Session, start: str) -> tuple[list[str], ua.NodeId]:
    """(the server's namespaces, the node to begin at). ValueError: it is no address, or not on this server. OSError."""
    namespaces = await session.namespaces()
    (node,) = await resolving.resolve(session, [address_of(start).node if start else OBJECTS], namespaces)
    if node is None:
        raise ValueError(f"the server has no node {start}")
    return namespaces, node


async def below(
    session: Session, start: ua.NodeId, depth: int, most: int
) -> tuple[list[Branch], dict[NodeId, ua.NodeId]]:
    """(the variables, the EngineeringUnits property of those that have one)."""
    like = ua.BrowseDescription(
        ReferenceTypeId=ua.NodeId(int(ua.ObjectIds.HierarchicalReferences)),
        NodeClassMask=OBJECT | VARIABLE,
        ResultMask=int(ua.BrowseResultMask.All),
    )
    level, seen = [Branch((), start, False)], {ours(start), SERVER}
    variables, units_at = list[Branch](), dict[NodeId, ua.NodeId]()
    for _ in range(depth):
        below = list[Branch]()
        references = await session.browse([branch.node for branch in level], like)
        for branch, some in zip(level, references, strict=True):
            for reference in some:
                if ours(reference.ReferenceTypeId) == PROPERTY:
                    if reference.BrowseName.Name == "EngineeringUnits":
                        units_at[ours(branch.node)] = _plain(reference.NodeId)
                elif ours(reference.NodeId) not in seen:
                    seen.add(ours(reference.NodeId))
                    variable = int(reference.NodeClass) == VARIABLE
                    below.append(Branch((*branch.path, reference.BrowseName.Name), _plain(reference.NodeId), variable))
        variables += [branch for branch in below if branch.variable]
        level = below
        if not level or len(variables) >= most:
            break
    return variables[:most], units_at


def _plain(node: ua.NodeId) -> ua.NodeId:
    return ua.NodeId(node.Identifier, node.NamespaceIndex)


async def described(
    session: Session, branches: Sequence[Branch], units_at: dict[NodeId, ua.NodeId], namespaces: Sequence[str]
) -> list[Found]:
    """What a person wants to know of each of these variables. OSError."""
    nodes = [branch.node for branch in branches]
    types = ServerTypes(session)
    content = await session.read(nodes)
    await types.learn([content])
    access = await session.read(nodes, ua.AttributeIds.UserAccessLevel)
    declared = await session.read(nodes, ua.AttributeIds.DataType)
    told = await session.read(nodes, ua.AttributeIds.Description)
    measured = [branch for branch in branches if ours(branch.node) in units_at]
    properties = await session.read([units_at[ours(branch.node)] for branch in measured])
    unit = {ours(b.node): _unit(properties, row) for row, b in enumerate(measured)}
    return [
        Found(
            branch.path,
            address(ours(branch.node), namespaces),
            _type(content, declared, row),
            _value(content, row, types.known),
            unit.get(ours(branch.node), ""),
            bool(int(access.number[row]) & CURRENT_WRITE) if access.kind[row] == T.BYTE else False,
            (told.others[row].value or "") if is_other(told, row, T.LOCALIZED_TEXT) else "",
        )
        for row, branch in enumerate(branches)
    ]


def address(node: NodeId, namespaces: Sequence[str]) -> str:
    """How a node is written in a tag list: by the URI of its namespace, which does not change when indices do."""
    uri = namespaces[node.index] if 0 < node.index < len(namespaces) else ""
    shown = str(NodeId(0, node.identifier, uri)) if uri else str(node)
    if isinstance(node.identifier, bytes):
        shown = shown.rpartition("b=")[0] + "b=" + base64.b64encode(node.identifier).decode()
    return shown.replace("#", "##")


def _type(content: Samples, declared: Samples, row: int) -> str:
    """The type of a tag for a value; where there is none now, for the builtin type that the node says it has."""
    variant = values.variant_at(content, row)
    if variant is None:
        number = declared.others[row].value.identifier if is_other(declared, row, T.NODEID) else T.DOUBLE
        return NAMES.get(number, "string") if isinstance(number, int) else "string"
    name = NAMES.get(variant.type, "string")
    return f"{name}[{len(variant.value)}]" if variant.dims is not None and name != "string" else name


def _value(content: Samples, row: int, types: Types) -> str:
    variant = values.variant_at(content, row)
    if variant is None:
        return ""
    try:
        return values.text_of(opened(variant, types))
    except (UnknownTypeError, MalformedError):
        return "(a structure that cannot be decoded)"


def _unit(properties: Samples, row: int) -> str:
    """Our name of a unit (EUInformation, OPC 10000-8 §5.6.4.3); empty where we have none."""
    if not is_other(properties, row, T.EXTENSION):
        return ""
    found: Extension = properties.others[row].value
    if found.encoding != EU_INFORMATION or found.body is None:
        return ""
    cursor = Cursor(found.body)
    try:
        cursor.text()
        code, symbol = cursor.i4(), cursor.localized() or ""
    except MalformedError:
        return ""
    by_code = [name for name, unit in units.UNITS.items() if unit.unit_id == code and code > 0]
    try:
        return by_code[0] if by_code else units.named(symbol)
    except ValueError:
        return ""
