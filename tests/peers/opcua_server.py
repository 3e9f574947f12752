"""An OPC UA server for tests: `opcua_server.py [options] PORT`, says `ready PORT`.

Options before the port: `permuted` (another namespace comes first), `late` (node late appears after 1 s),
`secure DIR` (only signed and encrypted, user tester with password secret, its certificate made in DIR).
Node `control` takes words: `silence` stops all subscriptions though the sessions live, `remove` deletes node fixed1,
`restore` makes it again, `retype` makes node changing a text, `flood` changes node burst 200 times at once.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname

from asyncua import Server, ua
from asyncua.common.structures104 import new_enum, new_struct, new_struct_field
from asyncua.crypto.cert_gen import setup_self_signed_certificate
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from cryptography.x509.oid import ExtendedKeyUsageOID

URI = "http://edgetwin.test/plc"


class OneUser(UserManager):
    """Knows tester."""

    def get_user(self, iserver, username=None, password=None, certificate=None):
        if username == "tester" and password in ("secret", b"secret"):
            return User(role=UserRole.User, name=username)
        return None


async def secured(server, folder):
    folder = Path(folder)
    server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    server.set_identity_tokens([ua.UserNameIdentityToken])
    await server.set_application_uri("urn:edgetwin:test:server")
    key, certificate = folder / "server-key.pem", folder / "server.der"
    use = [ExtendedKeyUsageOID.SERVER_AUTH]
    await setup_self_signed_certificate(key, certificate, "urn:edgetwin:test:server", gethostname(), use, {})
    await server.load_certificate(str(certificate))
    await server.load_private_key(str(key))


async def nodes(server, index):
    folder = await server.nodes.objects.add_folder(ua.NodeId("Plant", index), ua.QualifiedName("Plant", index))
    made = {}
    kinds = {
        "ramp": (0.0, ua.VariantType.Double),
        "text": ("first", ua.VariantType.String),
        "flag": (True, ua.VariantType.Boolean),
        "word": (5, ua.VariantType.Int16),
        "float": (1.5, ua.VariantType.Float),
        "large": (2**60 + 1, ua.VariantType.Int64),
        "sick": (3.0, ua.VariantType.Double),
        "array": ([1.0, 2.0], ua.VariantType.Double),
        "control": ("", ua.VariantType.String),
    } | {f"fixed{i}": (float(i), ua.VariantType.Double) for i in range(20)}
    for name, (value, kind) in kinds.items():
        made[name] = await folder.add_variable(ua.NodeId(name, index), ua.QualifiedName(name, index), value, kind)
    for name in ("flag", "word", "float", "text", "control"):
        await made[name].set_writable()
    await made["sick"].write_value(
        ua.DataValue(
            ua.Variant(7.0, ua.VariantType.Double), StatusCode=ua.StatusCode(ua.StatusCodes.UncertainLastUsableValue)
        )
    )
    return folder, made


async def structures(server, index, folder, made):
    """Types of this server's own: an enumeration, a nested structure, optional fields, a union; arrays of all sorts."""
    state = await new_enum(server, index, "State", ["Off", "Starting", "Running"])
    axis, _ = await new_struct(
        server,
        index,
        "Axis",
        [new_struct_field("Position", ua.VariantType.Double), new_struct_field("Name", ua.VariantType.String)],
    )
    motor, _ = await new_struct(
        server,
        index,
        "Motor",
        [
            new_struct_field("Speed", ua.VariantType.Float),
            new_struct_field("State", state),
            new_struct_field("Axes", axis, array=True),
            new_struct_field("Loads", ua.VariantType.Int16, array=True),
            new_struct_field("Since", ua.NodeId(294)),  # UtcTime, a subtype of DateTime
            new_struct_field("Note", ua.VariantType.String, optional=True),
            new_struct_field("Limit", ua.VariantType.Double, optional=True),
        ],
    )
    either, _ = await new_struct(
        server,
        index,
        "Either",
        [new_struct_field("Number", ua.VariantType.Double), new_struct_field("Text", ua.VariantType.String)],
        is_union=True,
    )
    types = await server.load_data_type_definitions()
    one = types["Motor"]()
    one.Speed, one.State, one.Loads, one.Limit = 1480.5, types["State"].Running, [7, -8], 2.5
    one.Axes = [types["Axis"](Position=1.25, Name="x"), types["Axis"](Position=-2.5, Name="y")]
    one.Since = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    either_value = types["Either"]()
    either_value.Text = "both"
    for name, value, kind, data_type in (
        ("motor", one, ua.VariantType.ExtensionObject, motor.nodeid),
        ("motors", [one, one], ua.VariantType.ExtensionObject, motor.nodeid),
        ("either", either_value, ua.VariantType.ExtensionObject, either.nodeid),
        ("unknown", ua.ExtensionObject(ua.NodeId(9999, index), b"abc"), ua.VariantType.ExtensionObject, ua.NodeId(22)),
        ("state", 2, ua.VariantType.Int32, state.nodeid),
        ("matrix", [[1, 2, 3], [4, 5, 6]], ua.VariantType.Int16, None),
        ("names", ["a", "b"], ua.VariantType.String, None),
        ("when", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), ua.VariantType.DateTime, None),
        ("octets", b"\x01\xff", ua.VariantType.ByteString, None),
        ("changing", 1.0, ua.VariantType.Double, ua.NodeId(24)),
        ("burst", 0.0, ua.VariantType.Double, None),
    ):
        name_there = ua.QualifiedName(name, index)
        made[name] = await folder.add_variable(ua.NodeId(name, index), name_there, value, kind, data_type)
        await made[name].set_writable()


async def made_for_browsing(server, folder, index):
    """A value with a unit, and a way that leads in a circle."""
    pressure = await folder.add_variable(ua.NodeId("pressure", index), ua.QualifiedName("pressure", index), 1.5)
    bar = ua.EUInformation("http://www.opcfoundation.org/UA/units/un/cefact", 4342098, ua.LocalizedText("bar"))
    await pressure.add_property(ua.NodeId("pressure.unit", index), "0:EngineeringUnits", bar)
    loop = await folder.add_folder(ua.NodeId("Loop", index), ua.QualifiedName("Loop", index))
    space = server.iserver.aspace  # the service would refuse it
    here = next(r for r in space[server.nodes.objects.nodeid].references if r.NodeId == folder.nodeid)
    space[loop.nodeid].references.append(here)


async def obey(server, made, word):
    if word == "silence":
        for subscription in server.iserver.subscription_service.subscriptions.values():
            await subscription.stop()
    if word == "remove":
        await server.delete_nodes([made["fixed1"]])
    if word == "restore":
        folder = server.get_node(ua.NodeId("Plant", made["fixed1"].nodeid.NamespaceIndex))
        made["fixed1"] = await folder.add_variable(made["fixed1"].nodeid, "fixed1", 11.0)
    if word == "retype":
        space = server.iserver.aspace  # a write of another type would be refused
        space[made["changing"].nodeid].attributes[ua.AttributeIds.Value].value = ua.DataValue("text")
    if word == "flood":
        for value in range(1, 201):
            await made["burst"].write_value(float(value), ua.VariantType.Double)
    if word.startswith("sick "):
        await made["sick"].write_value(
            ua.DataValue(ua.Variant(8.0, ua.VariantType.Double), StatusCode=ua.StatusCode(int(word[5:], 0)))
        )


async def main(options, port):
    server = Server(user_manager=OneUser() if "secure" in options else None)
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/plc")
    if "secure" in options:
        await secured(server, options[options.index("secure") + 1])
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    if "permuted" in options:
        await server.register_namespace("http://edgetwin.test/first")
    index = await server.register_namespace(URI)
    folder, made = await nodes(server, index)
    await structures(server, index, folder, made)
    await made_for_browsing(server, folder, index)
    async with server:
        print("ready", port, flush=True)
        count = 0
        while True:
            await asyncio.sleep(0.05)
            count += 1
            await made["ramp"].write_value(float(count), ua.VariantType.Double)
            word = await made["control"].read_value()
            if word:
                await made["control"].write_value("", ua.VariantType.String)
                await obey(server, made, word)
            if count == 20 and "late" in options:
                await folder.add_variable(ua.NodeId("late", index), ua.QualifiedName("late", index), 4.0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:-1], sys.argv[-1]))
