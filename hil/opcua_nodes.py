"""The address space of the OPC UA PLC: Objects/Rig with analog items and the product, on a server to be cut off."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from asyncua import Node, Server, ua

from hil.registers import OPCUA_TAGS, Value

NAMESPACE = "urn:edgetwin:hil:two-tank"
UNECE = "http://www.opcfoundation.org/UA/units/un/cefact"


@dataclass(frozen=True, slots=True)
class Analog:
    """Unit and range of an analog item; unece is the UNECE common code."""

    unit: str
    unece: str
    lo: float
    hi: float


ANALOGS = {
    "motor/current": Analog("A", "AMP", 0.0, 2.0),
    "motor/winding_temperature": Analog("°C", "CEL", 0.0, 200.0),
    "motor/vibration": Analog("mm/s", "C16", 0.0, 20.0),
}


def unece_id(code: str) -> int:
    """EUInformation.UnitId of a UNECE code: its characters as bytes of a big-endian integer (OPC 10000-8)."""
    return int.from_bytes(code.encode("ascii"), "big")


class RigNodes:
    """The server and its nodes. Security None and anonymous: it plays a bare PLC on a machine network."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.listening = False
        self._server = Server()
        self._nodes: dict[str, Node] = {}
        self._written: dict[str, Value | None] = {}
        self._sampled = datetime.now(UTC)

    async def build(self) -> None:
        """Makes the address space; takes one to three seconds."""
        server = self._server
        await server.init()
        server.set_endpoint(f"opc.tcp://{self.host}:{self.port}")
        server.set_server_name("edgetwin bench, two-tank drive PLC")
        await server.set_application_uri(NAMESPACE + ":plc")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        index = await server.register_namespace(NAMESPACE)
        rig = await server.nodes.objects.add_object(ua.NodeId("rig", index), ua.QualifiedName("Rig", index))
        for tag in OPCUA_TAGS:
            self._nodes[tag] = await self._add(rig, index, tag)

    async def start(self) -> None:
        """Listens; port 0 takes a free one, which `port` shows."""
        await self._server.start()
        self.port = self._server.bserver.port
        self.listening = True

    async def stop(self) -> None:
        """Drops all clients; asyncua's own stop would sleep out the second of its clock task."""
        if self.listening:
            await self.cut_off()

    async def cut_off(self) -> None:
        """Drops all clients and closes the port; the address space stays."""
        await self._server.bserver.stop()
        self.listening = False

    async def listen_again(self) -> None:
        """Opens the port after a cut."""
        await self._server.bserver.start()
        self.listening = True

    async def write(self, values: Mapping[str, Value], wall_ns: int) -> None:
        """Writes the values that changed, with the sensors' time."""
        self._sampled = datetime.fromtimestamp(wall_ns / 1e9, UTC)
        for tag, node in self._nodes.items():
            if values[tag] != self._written.get(tag):
                self._written[tag] = values[tag]
                await self._put(node, _variant(values[tag]), ua.StatusCodes.Good)

    async def lose(self) -> None:
        """Marks every value BadNoCommunication: the I/O is gone."""
        for tag, node in self._nodes.items():
            if self._written.get(tag) is not None:
                self._written[tag] = None
                await self._put(node, ua.Variant(), ua.StatusCodes.BadNoCommunication)

    async def _put(self, node: Node, variant: ua.Variant, status: int) -> None:
        value = ua.DataValue(variant, ua.StatusCode(status), self._sampled, datetime.now(UTC))
        await self._server.write_attribute_value(node.nodeid, value)

    async def _add(self, rig: Node, index: int, tag: str) -> Node:
        node_id, name = ua.NodeId(tag, index), ua.QualifiedName(tag, index)
        analog = ANALOGS.get(tag)
        if analog is None:
            return await rig.add_variable(node_id, name, "", ua.VariantType.String)
        node = await rig.add_variable(node_id, name, 0.0, ua.VariantType.Double)
        base, item = ua.NodeId(ua.ObjectIds.BaseDataVariableType), ua.NodeId(ua.ObjectIds.AnalogItemType)
        await node.delete_reference(base, ua.ObjectIds.HasTypeDefinition, bidirectional=False)
        await node.add_reference(item, ua.ObjectIds.HasTypeDefinition, bidirectional=False)
        text = ua.LocalizedText(analog.unit)
        unit = ua.EUInformation(UNECE, unece_id(analog.unece), text, text)
        await node.add_property(ua.NodeId(f"{tag}/range", index), "0:EURange", ua.Range(analog.lo, analog.hi))
        await node.add_property(ua.NodeId(f"{tag}/unit", index), "0:EngineeringUnits", unit)
        return node


def _variant(value: Value) -> ua.Variant:
    if isinstance(value, str):
        return ua.Variant(value, ua.VariantType.String)
    return ua.Variant(float(value), ua.VariantType.Double)
