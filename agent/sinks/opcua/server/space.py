"""The nodes: Objects / gateway / asset / group / point, each with an explicit string NodeId that is its path.

    /                   the gateway
    asset, asset/group  folders
    asset/group/name    a variable, the point's id; what belongs to a measured point hangs beside it
    <point>.EURange     its properties

The namespace is the server's own, `urn:edgetwin:<gateway>`, which OPC 10000-5 §6.3.1 puts at index 1. Ids depend on
nothing but the configuration's words: not on its order, not on what was there before.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from asyncua import Server, ua

from agent.core import units
from agent.core.nouns import Catalogue, Kind, Point

log = logging.getLogger(__name__)

NAMESPACE = 1
ROOT = "/"
SLICE = 50  # nodes made before others get their turn
DENSEST = 256  # words: an enumeration with larger or negative numbers lists number and word instead


@dataclass(frozen=True, slots=True)
class Variable:
    """One point as a node. `words` is the node of its ValueAsText, where the type asks for one."""

    node: ua.NodeId
    point: Point
    variant: ua.VariantType
    words: ua.NodeId | None


@dataclass(frozen=True, slots=True)
class Shape:
    """What sort of node a point becomes; points of one shape can take over from each other."""

    type_definition: int
    data_type: int
    variant: ua.VariantType
    properties: tuple[str, ...]
    is_array: bool = False


def shape(point: Point) -> Shape:
    """The variable type of OPC 10000-8 that fits: only what is known of a point becomes a property."""
    if point.kind is Kind.TEXT:
        return Shape(ua.ObjectIds.BaseDataVariableType, ua.ObjectIds.String, ua.VariantType.String, ())
    if point.kind is Kind.ENUMERATION and point.enum:
        if min(point.enum) >= 0 and max(point.enum) < DENSEST:
            names: tuple[str, ...] = ("EnumStrings",)
            return Shape(ua.ObjectIds.MultiStateDiscreteType, ua.ObjectIds.UInt32, ua.VariantType.UInt32, names)
        names = ("EnumValues", "ValueAsText")
        return Shape(ua.ObjectIds.MultiStateValueDiscreteType, ua.ObjectIds.Int64, ua.VariantType.Int64, names)
    ranged = math.isfinite(point.eu_lo) and math.isfinite(point.eu_hi)
    kinds = {
        (True, True): ua.ObjectIds.AnalogUnitRangeType,
        (True, False): ua.ObjectIds.AnalogItemType,
        (False, True): ua.ObjectIds.AnalogUnitType,
        (False, False): ua.ObjectIds.BaseAnalogType,
    }
    names = (*(("EURange",) if ranged else ()), *(("EngineeringUnits",) if point.unit else ()))
    definition, is_array = kinds[ranged, bool(point.unit)], point.kind is Kind.ARRAY
    return Shape(definition, ua.ObjectIds.Double, ua.VariantType.Double, names, is_array)


def property_value(point: Point, name: str) -> tuple[ua.Variant, int]:
    """(value, data type) of a property of a point."""
    if name == "EURange":
        return ua.Variant(ua.Range(point.eu_lo, point.eu_hi), ua.VariantType.ExtensionObject), ua.ObjectIds.Range
    if name == "EngineeringUnits":
        namespace, number, shown, full = units.described(point.unit)
        information = ua.EUInformation(namespace, number, ua.LocalizedText(shown), ua.LocalizedText(full))
        return ua.Variant(information, ua.VariantType.ExtensionObject), ua.ObjectIds.EUInformation
    if name == "EnumStrings":
        texts = [ua.LocalizedText(point.enum.get(i, "")) for i in range(max(point.enum) + 1)]
        return ua.Variant(texts, ua.VariantType.LocalizedText), ua.ObjectIds.LocalizedText
    if name == "EnumValues":
        values = [ua.EnumValueType(i, ua.LocalizedText(w), ua.LocalizedText(w)) for i, w in sorted(point.enum.items())]
        return ua.Variant(values, ua.VariantType.ExtensionObject), ua.ObjectIds.EnumValueType
    return ua.Variant(ua.LocalizedText(""), ua.VariantType.LocalizedText), ua.ObjectIds.LocalizedText


class Space:
    """The nodes of one Catalogue; `show` turns them into those of the next by what differs."""

    def __init__(self, server: Server, gateway: str) -> None:
        """Only the gateway's own folder at first."""
        self._server = server
        self._folders: set[str] = set()
        self.variables: dict[str, Variable] = {}
        self._add_folder(ROOT, ua.NodeId(ua.ObjectIds.ObjectsFolder), gateway, "")

    async def show(self, catalogue: Catalogue) -> None:
        """Remove what is gone, make what is new, describe anew what changed; the rest is not touched."""
        wanted = {point.id: point for point in catalogue.points}
        for name in [n for n, v in self.variables.items() if n not in wanted or shape(wanted[n]) != shape(v.point)]:
            await self._remove(name)
        self._prune(wanted)
        titles = {part.asset: part.title or part.asset for part in catalogue.parts}
        for number, point in enumerate(catalogue.points):
            if point.id in self.variables:
                await self._describe(point)
            else:
                self._add_point(point, titles)
            if number % SLICE == 0:
                await asyncio.sleep(0)

    def _add_point(self, point: Point, titles: dict[str, str]) -> None:
        parent = ROOT
        *above, name = point.id.split("/")
        for depth in range(len(above)):
            path = "/".join(above[: depth + 1])
            if path not in self._folders:
                self._add_folder(path, node_id(parent), above[depth], titles.get(path, ""))
            parent = path
        form = shape(point)
        node = node_id(point.id)
        waiting = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadWaitingForInitialData))
        variable = _item(node, node_id(parent), name, ua.ObjectIds.Organizes, form.type_definition)
        variable.NodeAttributes = _variable(name, point.description, form.data_type, ua.Variant(), form.is_array)
        self._add(variable)
        for label in form.properties:
            self._add_property(point, label)
        words = node_id(f"{point.id}.ValueAsText") if "ValueAsText" in form.properties else None
        self.variables[point.id] = Variable(node, point, form.variant, words)
        self._server.iserver.aspace[node].attributes[ua.AttributeIds.Value].value = waiting

    def _add_property(self, point: Point, label: str) -> None:
        value, data_type = property_value(point, label)
        node = node_id(f"{point.id}.{label}")
        item = _item(node, node_id(point.id), label, ua.ObjectIds.HasProperty, ua.ObjectIds.PropertyType, NS0)
        item.NodeAttributes = _variable(label, "", data_type, value, value.is_array)
        self._add(item)

    def _add_folder(self, path: str, parent: ua.NodeId, name: str, title: str) -> None:
        item = _item(node_id(path), parent, name, ua.ObjectIds.Organizes, ua.ObjectIds.FolderType)
        item.NodeClass = ua.NodeClass.Object
        item.NodeAttributes = ua.ObjectAttributes(
            DisplayName=ua.LocalizedText(title or name), Description=ua.LocalizedText(title), EventNotifier=0
        )
        self._add(item)
        self._folders.add(path)

    def _add(self, item: Any) -> None:
        (result,) = self._server.iserver.node_mgt_service.add_nodes([item])
        if not result.StatusCode.is_good():
            log.error("opcua: node %s cannot be made: %s", item.RequestedNewNodeId.Identifier, result.StatusCode.name)

    async def _describe(self, point: Point) -> None:
        old = self.variables[point.id]
        self.variables[point.id] = Variable(old.node, point, old.variant, old.words)
        for label in shape(point).properties:
            value, _ = property_value(point, label)
            if label != "ValueAsText" and value != property_value(old.point, label)[0]:
                await self._write(node_id(f"{point.id}.{label}"), ua.AttributeIds.Value, value)
        if point.description != old.point.description:
            text = ua.Variant(ua.LocalizedText(point.description), ua.VariantType.LocalizedText)
            await self._write(old.node, ua.AttributeIds.Description, text)

    async def _write(self, node: ua.NodeId, attribute: ua.AttributeIds, value: ua.Variant) -> None:
        status = await self._server.iserver.aspace.write_attribute_value(node, attribute, ua.DataValue(value))
        if not status.is_good():
            log.error("opcua: %s cannot be described anew: %s", node.Identifier, status.name)

    async def _remove(self, name: str) -> None:
        """Those who watch the node are told that it is gone; then it goes, with its properties."""
        gone = self.variables.pop(name)
        space = self._server.iserver.aspace
        unknown = ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadNodeIdUnknown))
        await space.write_attribute_value(gone.node, ua.AttributeIds.Value, unknown)
        properties = [node_id(f"{name}.{label}") for label in shape(gone.point).properties]
        self._delete([gone.node, *properties], parent=name.rpartition("/")[0] or ROOT)

    def _prune(self, wanted: Iterable[str]) -> None:
        needed = {ROOT, *("/".join(n.split("/")[:depth]) for n in wanted for depth in range(1, n.count("/") + 1))}
        for path in sorted(self._folders - needed, key=len, reverse=True):
            self._folders.remove(path)
            self._delete([node_id(path)], parent=path.rpartition("/")[0] or ROOT)

    def _delete(self, nodes: list[ua.NodeId], parent: str) -> None:
        # The library looks for references in the whole space; only the parent has one.
        space = self._server.iserver.aspace
        above = space[node_id(parent)]
        above.references = [r for r in above.references if r.NodeId not in nodes]
        for node in nodes:
            for handle in [h for a in space[node].attributes.values() for h in a.datachange_callbacks]:
                space.delete_datachange_callback(handle)
            del space[node]


NS0 = 0


def node_id(path: str) -> ua.NodeId:
    """The NodeId of a path in our namespace."""
    return ua.NodeId(path, NAMESPACE)


def _item(
    node: ua.NodeId, parent: ua.NodeId, name: str, reference: int, definition: int, namespace: int = NAMESPACE
) -> Any:
    item = ua.AddNodesItem()
    item.RequestedNewNodeId = node
    item.ParentNodeId = parent
    item.ReferenceTypeId = ua.NodeId(reference)
    item.BrowseName = ua.QualifiedName(name, namespace)
    item.NodeClass = ua.NodeClass.Variable
    item.TypeDefinition = ua.NodeId(definition)
    return item


def _variable(name: str, description: str, data_type: int, value: ua.Variant, is_array: bool) -> Any:
    """Read-only for every client: what is to be written goes through the daemon's gate."""
    return ua.VariableAttributes(
        DisplayName=ua.LocalizedText(name),
        Description=ua.LocalizedText(description),
        Value=value,
        DataType=ua.NodeId(data_type),
        ValueRank=ua.ValueRank.OneDimension if is_array else ua.ValueRank.Scalar,
        ArrayDimensions=[0] if is_array else None,
        AccessLevel=ua.AccessLevel.CurrentRead.mask,
        UserAccessLevel=ua.AccessLevel.CurrentRead.mask,
    )
