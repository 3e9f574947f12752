"""OPC 10000-4 §5.7.3 and its neighbours, each rule by its name: what a client must not be able to do, tried."""

import asyncio
import logging
import struct
from contextlib import asynccontextmanager

import pytest
from asyncua import ua
from feed_taps import catalogue, snapshot
from opcua_rig import PASSWORD, USER, Rig, connected, make_certificate, running, until

from agent.sinks.opcua import users

pytestmark = pytest.mark.anyio
LEVEL = "ns=1;s=tank/a/level"
OTHER_USER = "bert"


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("guard")


@pytest.fixture(scope="module")
def identity(folder):
    return make_certificate(folder, "scada")


@pytest.fixture(scope="module")
def other(folder):
    return make_certificate(folder, "other")


@pytest.fixture(scope="module")
async def rig(folder, identity, other):
    rig = Rig(folder, sessions=8)
    users.add(folder / "users", OTHER_USER, PASSWORD)
    rig.trust(identity[0])
    rig.trust(other[0])
    async with running(rig, catalogue(["tank/a/level"]), snapshot([1.0])):
        yield rig


@asynccontextmanager
async def channel(rig, identity):
    """A client with a secure channel and no session."""
    client = rig.client(identity)
    policy, (certificate, key) = client.rig_security
    await client.set_security(policy, str(certificate), str(key), mode=ua.MessageSecurityMode.SignAndEncrypt)
    await client.connect_socket()
    try:
        await client.send_hello()
        await client.open_secure_channel()
        yield client
    finally:
        client.disconnect_socket()
        await asyncio.sleep(0)


def adopt(thief, owner):
    """The thief knows all there is to know of a session: its token and its nonce."""
    thief.uaclient.session.restore_authentication_token(owner.uaclient.session.authentication_token)
    thief._server_nonce = owner._server_nonce
    thief._policy_ids = owner._policy_ids


async def read(client):
    return await client.uaclient.read(
        ua.ReadParameters(NodesToRead=[ua.ReadValueId(ua.NodeId("tank/a/level", 1), ua.AttributeIds.Value)])
    )


async def test_rule_a_a_session_is_used_only_over_its_own_secure_channel(rig, identity):
    async with connected(rig.client(identity)) as owner, channel(rig, identity) as thief:
        adopt(thief, owner)
        with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
            await read(thief)
        assert (await read(owner))[0].Value.Value == 1.0


async def test_rule_a_on_a_channel_with_its_own_session_another_sessions_token_is_refused(rig, identity):
    async with connected(rig.client(identity)) as owner, connected(rig.client(identity)) as thief:
        own = thief.uaclient.session.authentication_token
        adopt(thief, owner)
        with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
            await read(thief)
        thief.uaclient.session.restore_authentication_token(own)


async def test_rule_b_the_certificate_of_create_session_is_the_channels_own(rig, identity, other):
    async with channel(rig, identity) as client:
        create = client.uaclient.create_session

        async def with_another(params):
            params.ClientCertificate = other[0].read_bytes()
            return await create(params)

        client.uaclient.create_session = with_another
        with pytest.raises(ua.uaerrors.BadSecurityChecksFailed):
            await client.create_session()


async def test_rule_c_another_certificate_does_not_take_over_a_session(rig, identity, other):
    async with connected(rig.client(identity)) as owner, channel(rig, other) as thief:
        adopt(thief, owner)
        with pytest.raises(ua.uaerrors.BadSecurityChecksFailed):
            await thief.activate_session(USER, PASSWORD)
        assert (await read(owner))[0].Value.Value == 1.0


async def test_rule_c_another_user_does_not_take_over_a_session(rig, identity):
    async with connected(rig.client(identity)) as owner, channel(rig, identity) as thief:
        adopt(thief, owner)
        with pytest.raises(ua.uaerrors.BadIdentityChangeNotSupported):
            await thief.activate_session(OTHER_USER, PASSWORD)
        assert (await read(owner))[0].Value.Value == 1.0


async def test_rule_c_without_the_key_that_signs_the_nonce_nothing_moves(rig, identity):
    async with connected(rig.client(identity)) as owner, channel(rig, identity) as thief:
        adopt(thief, owner)
        thief._server_nonce = bytes(32)
        with pytest.raises(ua.uaerrors.BadApplicationSignatureInvalid):
            await thief.activate_session(USER, PASSWORD)
        assert (await read(owner))[0].Value.Value == 1.0


async def test_rule_c_the_same_client_moves_its_session_and_the_old_channel_loses_it(rig, identity):
    async with channel(rig, identity) as old, channel(rig, identity) as new:
        await old.create_session()
        await old.activate_session(USER, PASSWORD)
        adopt(new, old)
        await new.activate_session(USER, PASSWORD)
        assert (await read(new))[0].Value.Value == 1.0
        with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
            await read(old)


async def test_rule_d_tokens_are_long_and_random(rig, identity):
    tokens = set()
    for _ in range(3):
        async with connected(rig.client(identity)) as client:
            tokens.add(client.uaclient.session.authentication_token.Identifier)
    assert len(tokens) == 3
    assert all(isinstance(token, bytes) and len(token) == 32 for token in tokens)


async def test_a_session_that_is_not_activated_does_nothing(rig, identity):
    async with channel(rig, identity) as client:
        await client.create_session()
        with pytest.raises(ua.uaerrors.BadSessionNotActivated):
            await read(client)


async def log_in(rig, identity, clients):
    client = rig.client(identity)
    policy, (certificate, key) = client.rig_security
    await client.set_security(policy, str(certificate), str(key), mode=ua.MessageSecurityMode.SignAndEncrypt)
    await client.connect()
    clients.append(client)


async def test_one_more_session_than_the_cap_is_refused(rig, identity):
    clients = []
    try:
        for _ in range(8):
            await log_in(rig, identity, clients)
        with pytest.raises(ua.uaerrors.BadTooManySessions):
            await log_in(rig, identity, clients)
    finally:
        for client in clients:
            await client.disconnect()


class Heard:
    def __init__(self):
        self.values = []

    def datachange_notification(self, node, value, data):
        self.values.append(value)


async def test_a_subscription_is_its_owners(rig, identity):
    async with connected(rig.client(identity)) as owner, connected(rig.client(identity, user=OTHER_USER)) as thief:
        heard = Heard()
        subscription = await owner.create_subscription(100, heard)
        await subscription.subscribe_data_change(owner.get_node(LEVEL))
        number = subscription.subscription_id
        assert [s.name for s in await thief.uaclient.delete_subscriptions([number])] == ["BadSubscriptionIdInvalid"]
        with pytest.raises(ua.uaerrors.BadSubscriptionIdInvalid):
            await thief.uaclient.modify_subscription(ua.ModifySubscriptionParameters(SubscriptionId=number))
        with pytest.raises(ua.uaerrors.BadSubscriptionIdInvalid):
            await thief.uaclient.create_monitored_items(ua.CreateMonitoredItemsParameters(SubscriptionId=number))
        moved = await thief.uaclient.transfer_subscriptions(ua.TransferSubscriptionsParameters([number], False))
        assert [result.StatusCode.name for result in moved] == ["BadUserAccessDenied"]
        await until(lambda: heard.values)


async def test_publishing_intervals_are_clamped(rig, identity):
    async with connected(rig.client(identity)) as client:
        for wanted, given in ((0.5, 100.0), (250.0, 250.0), (1e12, 3_600_000.0)):
            asked = ua.CreateSubscriptionParameters(RequestedPublishingInterval=wanted, RequestedLifetimeCount=10)
            result = await client.uaclient.create_subscription(asked, lambda _: None)
            assert result.RevisedPublishingInterval == given


async def test_a_message_that_is_not_kept_is_said_to_be_gone(rig, identity):
    """OPC 10000-4 §5.14.6: node-opcua asks for the next one until it is told so; without that it never comes back."""
    async with connected(rig.client(identity)) as client:
        subscription = await client.create_subscription(100, Heard())
        asked = ua.RepublishRequest(
            Parameters=ua.RepublishParameters(SubscriptionId=subscription.subscription_id, RetransmitSequenceNumber=999)
        )
        with pytest.raises(ua.uaerrors.BadMessageNotAvailable):
            await client.uaclient._send_request(asked)


async def raw(rig, sent):
    """What the server says to bytes, up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(65536), 3)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


HELLO = b"HELF" + struct.pack("<6I", 32, 0, 65535, 65535, 0, 0) + struct.pack("<i", 0)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"MSGF" + struct.pack("<I", 0xFFFF_FFF0) + b"x" * 64,
        b"OPNF" + struct.pack("<I", 80_000_000) + b"x" * 64,
        b"HELF" + struct.pack("<I", 8),
        b"OPNF" + struct.pack("<II", 60, 1) + b"\xff" * 48,
        b"MSGF" + struct.pack("<II", 32, 7) + b"\x00" * 20,
        bytes(200),
    ],
    ids=["http", "4 GB chunk", "80 MB chunk", "empty hello", "no certificate", "no channel", "zeros"],
)
async def test_malformed_bytes_end_their_connection_and_nothing_else(rig, identity, sent):
    async with connected(rig.client(identity)) as client:
        answer = await raw(rig, sent)
        assert answer == b"" or answer.startswith(b"ERR")
        assert (await read(client))[0].Value.Value == 1.0


async def test_a_hello_is_acknowledged_with_our_limits(rig):
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    writer.write(HELLO)
    kind, _, _, _, _, message_limit, chunks = struct.unpack("<4s6I", await asyncio.wait_for(reader.readexactly(28), 3))
    writer.close()
    assert kind == b"ACKF"
    assert (message_limit, chunks) == (4 * 1024 * 1024, 66)
