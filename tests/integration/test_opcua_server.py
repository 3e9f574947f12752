"""The OPC UA server as SCADA sees it: values, units, qualities and times, over secure channels, and what breaks."""

import datetime
import os
import signal
import time

import anyio
import numpy as np
import pytest
from asyncua import ua
from feed_taps import catalogue, snapshot
from opcua_rig import PASSWORD, USER, Rig, connected, make_certificate, running, until

from agent.core import quality
from agent.core.nouns import Kind, Point, Role
from agent.runtime import meters
from agent.sinks.opcua import child

pytestmark = pytest.mark.anyio

LEVEL, EXPECTED, MODE, RECIPE, CODE, SCORE = (
    f"tank/{name}"
    for name in ("lower/level", "lower/level.expected", "state/mode", "state/recipe", "state/code", "model/score")
)
POINTS = [
    Point(LEVEL, Role.MEASURED, unit="m", eu_lo=0.0, eu_hi=2.5, description="level of the lower tank"),
    Point(EXPECTED, Role.EXPECTED, of=LEVEL, unit="m"),
    Point(MODE, Role.MODE, kind=Kind.ENUMERATION, enum={0: "off", 2: "running", 3: "idle"}),
    Point(RECIPE, Role.CONTEXT, kind=Kind.TEXT),
    Point(CODE, Role.STATUS, kind=Kind.ENUMERATION, enum={-1: "lost", 5000: "ok"}),
    Point(SCORE, Role.SCORE, unit="furlong"),
]
CATALOGUE = catalogue(POINTS)
VALUES = [1.25, 1.2, 2.0, np.nan, -1.0, 0.5]


def shown(**over):
    over.setdefault("texts", {3: "R7"})
    return snapshot(over.pop("values", VALUES), **over)


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("client"), "scada")


@pytest.fixture(scope="module")
async def shared(tmp_path_factory, identity):
    """One server for the tests that only look."""
    rig = Rig(tmp_path_factory.mktemp("shared"))
    rig.trust(identity[0])
    async with running(rig, CATALOGUE, shown()):
        yield rig


@pytest.fixture
def rig(tmp_path, identity):
    """A server of one's own, for the tests that break it."""
    rig = Rig(tmp_path)
    rig.trust(identity[0])
    return rig


def node(client, name):
    return client.get_node(f"ns=1;s={name}")


async def read(client, name):
    return await node(client, name).read_data_value(raise_on_bad_status=False)


async def value_is(client, name, value):
    return (await read(client, name)).Value.Value == value


async def refused(client, status):
    with pytest.raises(getattr(ua.uaerrors, status)):
        async with connected(client):
            pass


@pytest.mark.parametrize("policy", ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"])
async def test_value_unit_range_and_status_over_each_policy(shared, identity, policy):
    async with connected(shared.client(identity, policy)) as client:
        got = await until(lambda: good(client, LEVEL))
        assert (got.Value.Value, got.Value.VariantType) == (1.25, ua.VariantType.Double)
        unit = await node(client, f"{LEVEL}.EngineeringUnits").read_value()
        assert (unit.UnitId, unit.DisplayName.Text) == (5067858, "m")  # 'MTR'
        assert unit.NamespaceUri == "http://www.opcfoundation.org/UA/units/un/cefact"
        assert await node(client, f"{LEVEL}.EURange").read_value() == ua.Range(0.0, 2.5)


async def good(client, name):
    got = await read(client, name)
    return got if got.StatusCode.is_good() else None


async def test_only_the_three_secure_policies_are_offered_and_only_user_names(shared):
    client = shared.client()
    endpoints = await client.connect_and_get_server_endpoints()
    assert {e.SecurityMode for e in endpoints} == {ua.MessageSecurityMode.SignAndEncrypt}
    assert {e.SecurityPolicyUri.rsplit("#")[-1] for e in endpoints} == {
        "Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256",
    }  # fmt: skip
    assert {t.TokenType for e in endpoints for t in e.UserIdentityTokens} == {ua.UserTokenType.UserName}
    assert {e.Server.ApplicationUri for e in endpoints} == {"urn:edgetwin:gw1"}


async def test_without_security_nothing_but_discovery_is_answered(shared):
    await refused(shared.client(None), "BadSecurityModeInsufficient")


async def test_anonymous_is_refused(shared, identity):
    await refused(shared.client(identity, user=None), "BadIdentityTokenRejected")


@pytest.mark.parametrize(("user", "password"), [(USER, PASSWORD + "x"), ("nobody", PASSWORD), (USER, "")])
async def test_a_wrong_name_or_password_is_refused(shared, identity, user, password):
    await refused(shared.client(identity, user=user, password=password), "BadUserAccessDenied")


async def test_an_unknown_certificate_is_refused_kept_and_can_be_trusted(shared, tmp_path):
    stranger = make_certificate(tmp_path, "stranger")
    with pytest.raises((ConnectionError, ua.UaError)):
        async with connected(shared.client(stranger)):
            pass
    (kept,) = (shared.folder / "pki" / "rejected").glob("stranger-*.der")
    assert kept.read_bytes() == stranger[0].read_bytes()
    kept.rename(shared.folder / "pki" / "trusted" / kept.name)
    async with connected(shared.client(stranger)):
        pass


async def test_an_expired_certificate_is_refused_though_trusted(shared, tmp_path):
    old = make_certificate(tmp_path, "old", days=-1)
    shared.trust(old[0])
    with pytest.raises((ConnectionError, ua.UaError)):
        async with connected(shared.client(old)):
            pass


async def test_a_certificate_of_another_application_is_refused(shared, tmp_path):
    other = make_certificate(tmp_path, "other", uri="urn:somebody:else")
    shared.trust(other[0])
    await refused(shared.client(other), "BadCertificateUriInvalid")


async def test_clients_cannot_write(shared, identity):
    async with connected(shared.client(identity)) as client:
        for name in (LEVEL, MODE, f"{LEVEL}.EURange"):
            current = (await read(client, name)).Value
            with pytest.raises((ua.uaerrors.BadNotWritable, ua.uaerrors.BadUserAccessDenied)):
                await node(client, name).write_value(current)
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await client.nodes.objects.add_object(ua.NodeId("mine", 1), ua.QualifiedName("mine", 1))


async def test_every_node_of_ours_has_its_path_as_id(shared, identity):
    async with connected(shared.client(identity)) as client:
        assert (await client.get_namespace_array())[1] == "urn:edgetwin:gw1"
        root = node(client, "/")
        assert root.nodeid in [n.nodeid for n in await client.nodes.objects.get_children()]
        seen = set()
        todo = [root]
        while todo:
            for one in await todo.pop().get_children():
                assert one.nodeid.NamespaceIndex == 1
                seen.add(one.nodeid.Identifier)
                todo.append(one)
        folders = {"tank", "tank/lower", "tank/state", "tank/model"}
        assert {p.id for p in POINTS} | folders <= seen
        assert seen - {p.id for p in POINTS} - folders == {
            f"{LEVEL}.EURange", f"{LEVEL}.EngineeringUnits", f"{EXPECTED}.EngineeringUnits", f"{MODE}.EnumStrings",
            f"{CODE}.EnumValues", f"{CODE}.ValueAsText", f"{SCORE}.EngineeringUnits",
        }  # fmt: skip
        assert (await node(client, LEVEL).read_browse_name()).Name == "level"


async def test_enumerations_texts_and_units_we_do_not_know(shared, identity):
    async with connected(shared.client(identity)) as client:
        assert await until(lambda: good(client, MODE))
        assert (await read(client, MODE)).Value.Value == 2
        words = await node(client, f"{MODE}.EnumStrings").read_value()
        assert [w.Text for w in words] == ["off", "", "running", "idle"]
        assert (await read(client, CODE)).Value.Value == -1
        assert (await node(client, f"{CODE}.ValueAsText").read_value()).Text == "lost"
        assert [v.Value for v in await node(client, f"{CODE}.EnumValues").read_value()] == [-1, 5000]
        assert (await read(client, RECIPE)).Value.Value == "R7"
        unit = await node(client, f"{SCORE}.EngineeringUnits").read_value()
        assert (unit.UnitId, unit.DisplayName.Text) == (-1, "furlong")


async def test_the_server_says_who_it_is(shared, identity):
    async with connected(shared.client(identity)) as client:
        built = await client.get_node(ua.ObjectIds.Server_ServerStatus_BuildInfo).read_value()
        assert (built.ProductUri, built.ManufacturerName) == ("urn:edgetwin", "edgetwin")
        assert await client.get_node(ua.ObjectIds.Server_ServerStatus_State).read_value() == ua.ServerState.Running


async def test_status_value_and_times_are_the_sources_own(rig, identity):
    stamped = datetime.datetime(2026, 3, 1, 12, 0, 0, 250_000, datetime.UTC)
    async with running(rig, CATALOGUE, shown()), connected(rig.client(identity)) as client:
        await until(lambda: good(client, LEVEL))
        before = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        rig.taps.put(
            shown(
                seq=2,
                values=[1.5, 1.0, 2.0, np.nan, -1.0, 0.5],
                status=np.array(
                    [quality.GOOD, quality.UNCERTAIN_SUBSTITUTE_VALUE, quality.BAD_NO_COMMUNICATION, 0, 0, 0], np.uint32
                ),
                time_ns=np.full(6, before, np.int64),
                source_ns=np.array([int(stamped.timestamp()) * 10**9 + 250_000_000, 0, 0, 0, 0, 0], np.int64),
            )
        )
        await until(lambda: value_is(client, LEVEL, 1.5))
        level, expected, mode = [await read(client, n) for n in (LEVEL, EXPECTED, MODE)]
        assert level.SourceTimestamp == stamped
        assert (expected.Value.Value, expected.StatusCode.value) == (1.0, quality.UNCERTAIN_SUBSTITUTE_VALUE)
        ours = datetime.datetime.fromtimestamp(
            (before + time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) / 1e9, datetime.UTC
        )
        assert abs(expected.SourceTimestamp - ours) < datetime.timedelta(milliseconds=5)
        assert (mode.Value.Value, mode.StatusCode.value) == (None, quality.BAD_NO_COMMUNICATION)
        assert all(abs((v.ServerTimestamp - ours).total_seconds()) < 5 for v in (level, expected, mode))


class Notified:
    def __init__(self):
        self.got = []

    def datachange_notification(self, node, value, data):
        self.got.append((node.nodeid.Identifier, value))

    def status_change_notification(self, status):
        pass


async def test_what_did_not_change_is_not_written(rig, identity):
    async with running(rig, CATALOGUE, shown()), connected(rig.client(identity)) as client:
        heard = Notified()
        subscription = await client.create_subscription(100, heard)
        await subscription.subscribe_data_change([node(client, LEVEL), node(client, EXPECTED)])
        await until(lambda: rig.meters.read("opcua/values_written") == 7)  # six points and one ValueAsText
        for seq in range(2, 6):
            rig.taps.put(shown(seq=seq, values=[1.0 + seq, *VALUES[1:]], t_ns=seq))
            await until(lambda seq=seq: value_is(client, LEVEL, 1.0 + seq))
        await until(lambda: rig.meters.read("opcua/values_written") == 7 + 4)
        await until(lambda: (LEVEL, 6.0) in heard.got)
        assert [name for name, _ in heard.got].count(EXPECTED) <= 2  # waiting for data, then once
        assert rig.meters.read("opcua/notifications") >= 4
        assert rig.meters.read("opcua/errors") == 0


async def test_after_a_kill_the_child_comes_back_with_the_same_nodes_and_nothing_else_stops(rig, identity):
    async with running(rig, CATALOGUE, shown()):
        async with connected(rig.client(identity)) as client:
            await until(lambda: good(client, LEVEL))
            (first,) = rig.children()
            os.kill(first, signal.SIGKILL)
            await until(lambda: rig.children() not in ([first], []))
        rig.taps.put(shown(seq=2, values=[2.0, *VALUES[1:]]))
        await rig.listening()
        async with connected(rig.client(identity)) as client:
            await until(lambda: value_is(client, LEVEL, 2.0))
            assert await node(client, f"{LEVEL}.EURange").read_value() == ua.Range(0.0, 2.5)
        assert rig.meters.read("opcua/restarts") == 1.0


async def test_a_child_that_hangs_is_killed_and_restarted(rig, monkeypatch):
    monkeypatch.setattr(child, "SILENCE_S", 1.5)
    async with running(rig, CATALOGUE, shown()):
        await until(lambda: rig.meters.read("opcua/up"))
        (first,) = rig.children()
        os.kill(first, signal.SIGSTOP)
        await until(lambda: rig.children() not in ([first], []))
        await rig.listening()


async def test_when_the_feed_goes_every_value_says_so_and_comes_back_with_it(rig, identity, monkeypatch):
    from agent.sinks import feed, opcua

    async with anyio.create_task_group() as tasks:
        meters.install(rig.meters)
        tasks.start_soon(opcua.run, rig.config, rig.taps, None)
        rig.taps.put(CATALOGUE, shown())
        async with anyio.create_task_group() as daemon:
            daemon.start_soon(feed.run, rig.feed_config, rig.taps, None)
            await rig.listening()
            client = rig.client(identity)
            await client_security(client)
            await client.connect()
            await until(lambda: good(client, LEVEL))
            level = client.get_node(ua.ObjectIds.Server_ServiceLevel)
            daemon.cancel_scope.cancel()
        try:
            lost = await until(lambda: bad(client, EXPECTED))
            assert (lost.StatusCode.value, lost.Value.Value) == (quality.BAD_NO_COMMUNICATION, None)
            await until(lambda: service_level_is(level, 1))
            (process,) = rig.children()
            tasks.start_soon(feed.run, rig.feed_config, rig.taps, None)
            assert (await until(lambda: good(client, EXPECTED))).Value.Value == 1.2
            assert rig.children() == [process]
        finally:
            await client.disconnect()
        tasks.cancel_scope.cancel()


async def client_security(client):
    policy, (certificate, key) = client.rig_security
    await client.set_security(policy, str(certificate), str(key), mode=ua.MessageSecurityMode.SignAndEncrypt)


async def bad(client, name):
    got = await read(client, name)
    return None if got.StatusCode.is_good() else got


async def service_level_is(node, level):
    return await node.read_value() == level


async def test_the_service_level_follows_the_share_of_fresh_inputs(rig, identity):
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    inputs = catalogue([f"tank/a/x{i}" for i in range(10)])
    async with running(rig, inputs, snapshot([1.0] * 10, t_ns=now)), connected(rig.client(identity)) as client:
        level = client.get_node(ua.ObjectIds.Server_ServiceLevel)
        await until(lambda: service_level_is(level, 255))
        half = np.array([0] * 5 + [quality.BAD_NO_COMMUNICATION] * 5, np.uint32)
        rig.taps.put(snapshot([1.0] * 10, seq=2, t_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME), status=half))
        await until(lambda: service_level_is(level, 2 + int(197 * 0.5 / 0.9)))


async def test_a_new_catalogue_adds_and_removes_and_leaves_the_rest_alone(rig, identity):
    async with running(rig, CATALOGUE, shown()), connected(rig.client(identity)) as client:
        heard = Notified()
        subscription = await client.create_subscription(100, heard)
        await subscription.subscribe_data_change(node(client, LEVEL))
        await until(lambda: good(client, LEVEL))
        changed = Point(LEVEL, Role.MEASURED, unit="mm", eu_lo=0.0, eu_hi=2500.0)
        rig.taps.put(
            catalogue([Point("tank/upper/level", Role.MEASURED), changed, *POINTS[2:5]], epoch=2),
            snapshot([9.0, 1250.0, 2.0, np.nan, -1.0], epoch=2, texts={3: "R7"}),
        )
        await until(lambda: value_is(client, LEVEL, 1250.0))
        await until(lambda: (LEVEL, 1250.0) in heard.got)  # the subscription of before lives on
        assert (await read(client, "tank/upper/level")).Value.Value == 9.0
        assert (await node(client, f"{LEVEL}.EngineeringUnits").read_value()).DisplayName.Text == "mm"
        assert await node(client, f"{LEVEL}.EURange").read_value() == ua.Range(0.0, 2500.0)
        for gone in (EXPECTED, f"{EXPECTED}.EngineeringUnits", SCORE, "tank/model"):
            assert (await read(client, gone)).StatusCode.name == "BadNodeIdUnknown"


async def test_a_stop_tells_clients_and_leaves_no_process(rig, identity):
    async with anyio.create_task_group() as tasks:
        heard = Notified()
        async with running(rig, CATALOGUE, shown()):
            client = rig.client(identity)
            await client_security(client)
            await client.connect()
            subscription = await client.create_subscription(100, heard)
            await subscription.subscribe_data_change(client.get_node(ua.ObjectIds.Server_ServerStatus_State))
            await until(lambda: heard.got)
            start = time.monotonic()
        assert time.monotonic() - start < 4
        assert rig.children() == []
        await until(lambda: any(value == ua.ServerState.Shutdown for _, value in heard.got))
        with pytest.raises((ConnectionError, ua.UaError, TimeoutError)):
            await client.connect()
        await client.disconnect()
        tasks.cancel_scope.cancel()


async def test_a_port_that_is_taken_is_said_and_tried_again(rig, caplog):
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", rig.port))
        other.listen()
        async with running(rig), anyio.create_task_group() as tasks:
            rig.taps.put(CATALOGUE)
            await until(lambda: "address already in use" in caplog.text, 20)
            other.close()
            await rig.listening()
            tasks.cancel_scope.cancel()


async def test_trust_on_first_use_lets_in_whom_it_does_not_know_and_says_so(tmp_path, caplog):
    rig = Rig(tmp_path, trust_on_first_use=True)
    stranger = make_certificate(tmp_path, "stranger")
    async with running(rig, CATALOGUE, shown()):
        async with connected(rig.client(stranger)):
            pass
        await until(lambda: "trust on first use" in caplog.text)
        assert list((tmp_path / "pki" / "trusted").glob("stranger-*.der"))


async def test_the_certificate_stays_over_a_restart_and_its_key_is_private(rig):
    async with running(rig, CATALOGUE):
        pass
    certificate = (rig.folder / "pki" / "own.der").read_bytes()
    assert (rig.folder / "pki" / "own.pem").stat().st_mode & 0o777 == 0o600
    async with running(rig):
        await rig.listening()
    assert (rig.folder / "pki" / "own.der").read_bytes() == certificate
