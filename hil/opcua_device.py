"""A recorded OPC UA device: `python -m hil.opcua_device FILE.device.json --listen 127.0.0.1:4840 --speed 10`.

The nodes, types and values of a recording (`edgetwin browse FILE SOURCE --record`) are served as they were, and its
changes made again in their order, with the status and the stamps they had. The last of each is held.
"""

import argparse
import asyncio
import base64
import json
import re
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.common.node import Node

from hil.process import host_port, ready, run

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FORM = re.compile(r"(?:nsu=(?P<uri>[^;]+);|ns=(?P<index>\d+);)?(?P<kind>[isgb])=(?P<name>.*)", re.DOTALL)
NAMES: dict[str, Callable[[str], Any]] = {"i": int, "s": str, "g": uuid.UUID, "b": base64.b64decode}


class Device:
    """A server that is filled from a recording."""

    def __init__(self, recording: dict[str, Any]) -> None:
        self._told = recording
        self._uris: list[str] = [uri or f"urn:unused:{n}" for n, uri in enumerate(recording["namespaces"])]
        self.server = Server()
        self._made: dict[tuple[str, ...], Node] = {}
        self.nodes: list[Node] = []

    def node_id(self, text: str) -> ua.NodeId:
        """The node that a recording names."""
        found = FORM.fullmatch(text.replace("##", "#"))
        if found is None:
            raise ValueError(f"{text!r} is no node id")
        index = self._uris.index(found["uri"]) if found["uri"] else int(found["index"] or 0)
        return ua.NodeId(NAMES[found["kind"]](found["name"]), index)

    async def build(self, host: str, port: int) -> None:
        """Makes namespaces, types and nodes."""
        await self.server.init()
        self.server.set_endpoint(f"opc.tcp://{host}:{port}")
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        if len(self._uris) > 1:
            await self.server.set_application_uri(self._uris[1])
        for uri in self._uris[2:]:
            await self.server.register_namespace(uri)
        for data_type, builtin in self._told["simple"].items():
            if data_type.startswith("i="):  # of the standard: it is there already
                continue
            above = self.server.get_node(ua.NodeId(ua.VariantType[builtin].value))
            await above.add_data_type(self.node_id(data_type), ua.QualifiedName(data_type))
        for data_type, told in self._told["types"].items():
            await self._structure(data_type, told)
        first = {row: value for _, row, value, *_ in reversed(self._told["changes"])}
        for row, told in enumerate(self._told["nodes"]):
            self.nodes.append(await self._variable(told, self._variant(first.get(row))))

    async def _structure(self, data_type: str, told: dict[str, Any]) -> None:
        """A data type with its definition and its encoding; those of the standard are there already."""
        if data_type.startswith("i="):
            return
        made = await self.server.nodes.base_structure_type.add_data_type(
            self.node_id(data_type), ua.QualifiedName(data_type)
        )
        fields = [
            ua.StructureField(name, DataType=self.node_id(of), ValueRank=rank, IsOptional=flag)
            for name, of, rank, flag in told["fields"]
        ]
        encoding = self.node_id(told["encoding"])
        definition = ua.StructureDefinition(encoding, ua.NodeId(22), ua.StructureType(told["form"]), fields)
        value = ua.DataValue(ua.Variant(definition, ua.VariantType.ExtensionObject))
        await made.write_attribute(ua.AttributeIds.DataTypeDefinition, value)
        stands = await made.add_object(encoding, ua.QualifiedName("Default Binary"))
        await stands.add_reference(made, ua.ObjectIds.HasEncoding, forward=False)

    async def _variable(self, told: dict[str, Any], first: ua.Variant) -> Node:
        node_id, path = self.node_id(told["id"]), tuple(told["path"])
        parent = await self._parent(path[:-1], node_id.NamespaceIndex)
        kind = ua.VariantType[told["type"]]
        name = ua.QualifiedName(path[-1], node_id.NamespaceIndex)
        made = await parent.add_variable(node_id, name, first, datatype=ua.NodeId(min(kind.value, 24)))
        await made.write_attribute(
            ua.AttributeIds.Description, ua.DataValue(ua.LocalizedText(told["description"] or None))
        )
        if told["writable"]:
            await made.set_writable()
        self._made[path] = made
        return made

    async def _parent(self, path: tuple[str, ...], index: int) -> Node:
        if not path:
            return self.server.nodes.objects
        if path not in self._made:
            above = await self._parent(path[:-1], index)
            self._made[path] = await above.add_object(
                ua.NodeId("folder:" + "/".join(path), index), ua.QualifiedName(path[-1], index)
            )
        return self._made[path]

    async def play(self, speed: float) -> None:
        """Makes all changes in the time they took, divided by `speed`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for at_ns, row, value, status, source_ns, server_ns in self._told["changes"]:
            await asyncio.sleep(max(0.0, began + at_ns * 1e-9 / speed - loop.time()))
            changed = ua.DataValue(self._variant(value), ua.StatusCode(status), _stamp(source_ns), _stamp(server_ns))
            # The service would refuse a value of another type than before: what a device did is not ours to judge.
            await self.server.iserver.aspace.write_attribute_value(
                self.nodes[row].nodeid, ua.AttributeIds.Value, changed
            )

    def _variant(self, told: dict[str, Any] | None) -> ua.Variant:
        if told is None:
            return ua.Variant()
        kind, dims = ua.VariantType[told["type"]], told.get("dims")
        if dims is None:
            return ua.Variant(self._value(told["value"], kind), kind)
        values = [self._value(value, kind) for value in told["value"]]
        return ua.Variant(values, kind, dims if len(dims) > 1 else None, is_array=True)

    def _value(self, told: Any, kind: ua.VariantType) -> Any:
        if kind is ua.VariantType.ExtensionObject:
            body = None if told["body"] is None else bytes.fromhex(told["body"])
            return ua.ExtensionObject(self.node_id(told["encoding"]), body)
        if kind in (ua.VariantType.NodeId, ua.VariantType.ExpandedNodeId):
            return self.node_id(told)
        if kind is ua.VariantType.QualifiedName:
            index, colon, name = told.rpartition(":")
            return ua.QualifiedName(name, int(index) if colon else 0)
        if kind is ua.VariantType.Variant:
            return self._variant(told)
        make = MAKE.get(kind)
        return told if make is None or told is None else make(told)


MAKE: dict[ua.VariantType, Callable[[Any], Any]] = {
    ua.VariantType.DateTime: ua.win_epoch_to_datetime,
    ua.VariantType.Guid: uuid.UUID,
    ua.VariantType.ByteString: bytes.fromhex,
    ua.VariantType.LocalizedText: ua.LocalizedText,
    ua.VariantType.StatusCode: ua.StatusCode,
}


def _stamp(unix_ns: int) -> datetime | None:
    return EPOCH + timedelta(microseconds=unix_ns // 1000) if unix_ns else None


async def serve(args: argparse.Namespace) -> None:
    """Serves the device until cancelled."""
    device = Device(json.loads(args.file.read_text()))
    host, port = args.listen
    await device.build(host, port)
    async with device.server:
        ready(f"device opc.tcp://{host}:{port} {len(device.nodes)} values")
        await device.play(args.speed)
        await asyncio.Event().wait()


def main(argv: list[str] | None = None) -> int:
    """Entry of the process."""
    parser = argparse.ArgumentParser(prog="python -m hil.opcua_device", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE.device.json")
    parser.add_argument("--listen", type=host_port, default=("127.0.0.1", 4840), metavar="HOST:PORT")
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="times faster than recorded")
    args = parser.parse_args(argv)
    if args.speed <= 0.0:
        parser.error(f"--speed {args.speed:g} must be above 0")
    return run(partial(serve, args))


if __name__ == "__main__":
    sys.exit(main())
