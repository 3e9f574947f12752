"""The security of the OPC UA client against an asyncua server: every policy, every login, and servers that cheat."""

import logging
from functools import partial

import anyio
import pytest
from driver_rig import running
from opcua_pki import NOW, authority, certificate, der, key, put_pair, revocations
from peers import secure_opcua_server

from agent.core.nouns import Tag
from agent.drivers import opcua
from agent.drivers.opcua import session as sessions
from agent.runtime.pki.folders import REJECTED, TRUSTED, Folders

pytestmark = pytest.mark.anyio

URI = "http://edgetwin.test/plc"
PLC = certificate("server", hosts=("localhost",))
POLICIES = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256", "Basic256", "Basic128Rsa15")


def tag(name, **more):
    return Tag(f"rig/plc/{name}", f"nsu={URI};s={name}", **{"scan_s": 0.2, **more})


TAGS = (tag("ramp"), tag("sessions"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("server")
    put_pair(made, "server", PLC, key("server"))
    put_pair(made, "other", certificate("other"), key("other"))
    put_pair(made, "user-anna", certificate("anna", uri="", hosts=(), extended=()), key("anna"))
    put_pair(made, "stranger", certificate("stranger", uri="", hosts=(), extended=()), key("stranger"))
    (made / "password").write_text("secret\n")
    return made


@pytest.fixture(scope="module")
def peer(folder):
    with secure_opcua_server(folder) as running_peer:
        yield running_peer


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Our folders with the server trusted; our own certificate is made once for all tests."""
    made = Folders(tmp_path_factory.mktemp("client") / "pki")
    made.move(str(made.reject(PLC)), TRUSTED)
    return made


@pytest.fixture
def config(peer, pki):
    def with_options(path="", **more):
        more = {"security": "auto", "pki_dir": pki.root, **more}
        return opcua.Config(id="plc", type="opcua", endpoint=f"opc.tcp://127.0.0.1:{peer.port}{path}", **more)

    return with_options


async def works(config, tags=TAGS):
    async with running(opcua, config, tags) as rig:
        await rig.until(lambda: rig.good, within_s=15)
        assert not rig.downs
        return rig


async def refused(config):
    """Why there is no session."""
    async with running(opcua, config, TAGS) as rig:
        await rig.until(lambda: rig.downs, within_s=15)
        assert not rig.good
        return rig.downs[0][1]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
async def test_every_policy_in_both_modes(config, policy, mode):
    await works(config(security=policy, mode=mode))


async def test_auto_takes_the_best_and_old_policies_are_told_loudly(config, caplog):
    async with sessions.connected(config()) as session:
        assert session.client.security_policy.URI.endswith("Aes256_Sha256_RsaPss")
        assert session.client.security_policy.Mode.name == "SignAndEncrypt"
    with caplog.at_level(logging.WARNING):
        await works(config(security="Basic128Rsa15"))
    assert "Basic128Rsa15 IS BROKEN AND DEPRECATED" in caplog.text


@pytest.mark.parametrize("security", ["none", "auto", "Basic256"])
async def test_a_user_by_name_with_and_without_a_secured_channel(config, folder, security):
    await works(config(security=security, user="tester", password_file=folder / "password"))


async def test_a_wrong_password_is_told_in_words(config, folder, tmp_path):
    (tmp_path / "wrong").write_text("guess")
    reason = await refused(config(user="tester", password_file=tmp_path / "wrong"))
    assert "wrong name or password" in reason
    assert "trying again in" in reason  # a PLC that counts wrong logins locks the user out
    sessions.pasts._known.clear()
    (tmp_path / "long").write_text("x" * 500)
    reason = await refused(config(user="tester", password_file=tmp_path / "long", mode="Sign"))
    assert "is the password too long" in reason


@pytest.mark.parametrize("security", ["none", "auto"])
async def test_a_user_by_certificate(config, folder, security):
    by = {"security": security, "user_certificate": folder / "user-anna.der", "user_key": folder / "user-anna.pem"}
    await works(config(**by))
    by |= {"user_certificate": folder / "stranger.der", "user_key": folder / "stranger.pem"}
    assert "BadIdentityTokenRejected" in await refused(config(**by))


@pytest.mark.parametrize("given", [{"security": "none"}, {"mode": "Sign"}])
async def test_a_password_never_goes_in_the_clear_unless_allowed(config, folder, given):
    plain = partial(config, "/plain-token", **given, user="tester", password_file=folder / "password")
    assert "allow_plain_password: true" in await refused(plain())
    await works(plain(allow_plain_password=True))


async def test_a_password_is_encrypted_only_for_a_server_that_is_trusted(config, folder, tmp_path):
    """Without security anybody may answer: the certificate that a password is encrypted for is judged all the same."""
    alone = {"security": "none", "user": "tester", "password_file": folder / "password", "pki_dir": tmp_path / "pki"}
    assert "BadCertificateUntrusted" in await refused(config(**alone))


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/short-nonce", "BadNonceInvalid"),
        ("/old-nonce", "BadNonceInvalid"),
        ("/bad-signature", "BadApplicationSignatureInvalid"),
        ("/other-certificate", "certificate mismatch"),
        ("/fewer-endpoints", "Aes256_Sha256_RsaPss SignAndEncrypt of urn:edgetwin.test:server only in the session"),
        ("/refuse/BadSecurityChecksFailed", "from the rejected to the trusted certificates"),
        ("/refuse-login/BadUserAccessDenied", "no right to log in"),
        ("/refuse-login/BadIdentityTokenRejected", "does not take this kind of login"),
    ],
)
async def test_a_server_that_cheats_or_refuses_is_found_and_told(config, path, says):
    assert says in await refused(config(path))


async def test_endpoints_that_differ_may_be_ignored(config):
    await works(config("/fewer-endpoints", ignore=("endpoints",)))


async def test_a_refused_session_is_not_left_behind(config):
    for path in ("/bad-signature", "/old-nonce", "/fewer-endpoints", "/refuse-login/BadUserAccessDenied"):
        await refused(config(path))
    async with running(opcua, config(), TAGS) as rig:
        await rig.until(lambda: rig.value[1] == 1.0, within_s=15)  # ours


async def test_a_stranger_is_rejected_then_trusted_and_let_in_without_a_restart_of_ours(config, tmp_path):
    mine = Folders(tmp_path / "pki")
    async with running(opcua, config(pki_dir=mine.root), TAGS) as rig:
        await rig.until(lambda: rig.downs, within_s=15)
        assert "edgetwin certs trust" in rig.downs[0][1]
        (rejected,) = mine.kept(REJECTED)
        mine.move(str(rejected.path), TRUSTED)
        await rig.until(lambda: rig.good, within_s=15)


async def test_a_server_that_is_rejected_or_revoked_later_is_left(config, tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "WATCH_S", 0.2)
    mine = Folders(tmp_path / "pki")
    mine.move(str(mine.reject(PLC)), TRUSTED)
    async with running(opcua, config(pki_dir=mine.root), TAGS) as rig:
        await rig.until(lambda: rig.good, within_s=15)
        mine.move(str(next(mine.kept(TRUSTED)).path), REJECTED)
        await rig.until(lambda: rig.downs, within_s=15)
        assert "not accepted any more" in rig.downs[0][1]


@pytest.mark.parametrize("pin", ["server_certificate", "server_fingerprint"])
async def test_a_pin_stands_in_for_the_trust_list(config, folder, tmp_path, pin):
    fingerprints = {"server": PLC, "other": certificate("other")}

    def pinned(name):
        value = folder / f"{name}.der" if pin == "server_certificate" else sha256(fingerprints[name])
        return config(pki_dir=tmp_path / "pki", **{pin: value})

    await works(pinned("server"))
    assert "expected sha256:" in await refused(pinned("other"))


def sha256(one):
    from agent.runtime.pki import certificates

    return certificates.sha256(one)


async def test_trust_none_takes_anybody_and_says_so_at_each_connect(config, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        await works(config(pki_dir=tmp_path / "pki", trust="none"))
    assert "trust none" in caplog.text


async def test_a_server_of_an_authority_needs_its_revocation_list(tmp_path):
    root = authority("root")
    leaf = certificate("signed", issuer=root, issuer_key=key("root"), hosts=("localhost",))
    put_pair(tmp_path / "server", "server", leaf, key("signed"))
    mine = Folders(tmp_path / "pki")
    mine.move(str(mine.reject(root)), TRUSTED)
    with secure_opcua_server(tmp_path / "server") as peer:
        url = f"opc.tcp://127.0.0.1:{peer.port}"
        config = opcua.Config(id="plc", type="opcua", endpoint=url, security="auto", pki_dir=mine.root)
        assert "BadCertificateRevocationUnknown" in await refused(config)
        await works(config.model_copy(update={"ignore": ("revocation",)}))
        (tmp_path / "root.crl").write_bytes(der(revocations(root, key("root"))))
        mine.move(str(tmp_path / "root.crl"), TRUSTED)
        await works(config)
        (tmp_path / "root.crl").write_bytes(der(revocations(root, key("root"), leaf, start=NOW)))
        mine.move(str(tmp_path / "root.crl"), TRUSTED)
        assert "BadCertificateRevoked" in await refused(config)


async def test_our_certificate_may_be_a_users_and_its_uri_is_ours(config, tmp_path):
    files = put_pair(tmp_path, "mine", certificate("mine", uri="urn:mine:gateway"), key("mine"))
    async with sessions.connected(config(certificate=files[0], private_key=files[1])) as session:
        assert session.client.application_uri == "urn:mine:gateway"


async def test_probe_shows_a_stranger_with_the_way_to_trust_it(config, tmp_path):
    text = await opcua.probe(config(pki_dir=tmp_path / "pki"))
    assert ": no session" in text
    assert f"sha256 {sha256(PLC)}" in text
    assert "  Aes256_Sha256_RsaPss SignAndEncrypt" in text
    assert "edgetwin certs trust" in text
    assert ": Running" in await opcua.probe(config())


async def test_days_left_are_told_of_both_certificates(config):
    rig = await works(config())
    assert 3640 < rig.meters.read("plc/certificate_days") <= 3650
    assert 360 < rig.meters.read("plc/server_certificate_days") <= 365


async def test_keys_are_renewed_while_values_flow(config):
    async with running(opcua, config(channel_lifetime_s=4.0), TAGS) as rig:
        await rig.until(lambda: rig.counts[0] > 30, within_s=15)
        first = int(rig.value[0])
        await rig.until(lambda: (rig.meters.read("plc/renewals") or 0) >= 3, within_s=30)
        last = int(rig.value[0])
        await rig.until(lambda: rig.value[0] > last + 10)
        assert not rig.downs
        ramp = {int(v) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True) if t == 0}
        assert set(range(first, last)) <= ramp  # no change was lost


@pytest.mark.parametrize("security", ["none", "auto"])
async def test_sessions_of_broken_connections_never_fill_a_server_that_has_two(config, security):
    """The connection is torn off again and again; the server keeps the sessions, because they have subscriptions."""
    async with running(opcua, config("/full", security=security), TAGS) as rig:
        for n in range(5):
            await rig.until(lambda: rig.good and rig.value[0] > 0, within_s=15)
            assert len(rig.downs) == n
            assert rig.value[1] <= 2.0
            LINKS[-1].uaclient.protocol.transport.abort()
            await rig.until(lambda n=n: len(rig.downs) > n, within_s=15)
        await rig.until(lambda: rig.good, within_s=15)


LINKS = []


@pytest.fixture(autouse=True)
def every_link(monkeypatch):
    """All connections that are made, so that a test can tear one off."""
    LINKS.clear()
    sessions.pasts._known.clear()

    class Told(sessions.Link):
        def __init__(self, config):
            super().__init__(config)
            LINKS.append(self)

    monkeypatch.setattr(sessions, "Link", Told)


async def test_a_full_server_is_not_hammered(config):
    options = config("/full", security="none")
    others = [sessions.connected(options.model_copy(update={"id": f"other{n}"})) for n in range(2)]
    async with others[0], others[1], running(opcua, options, TAGS) as rig:
        await rig.until(lambda: rig.downs, within_s=15)
        assert "all sessions of the server are taken (BadTooManySessions); trying again in" in rig.downs[0][1]
        await anyio.sleep(1.0)
        assert len(LINKS) == 3
