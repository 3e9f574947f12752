"""The security of the OPC UA client against a server that is not asyncua: node-opcua, which trusts nobody unknown."""

import shutil
import subprocess
from pathlib import Path

import pytest
from anyio import to_thread
from driver_rig import running
from node_packages import installed
from opcua_pki import RIGHT_USAGE, certificate, key, key_pem, pem, put_pair
from peers import Peer

from agent.core.nouns import Tag
from agent.drivers import opcua
from agent.drivers.opcua import session as sessions
from agent.runtime.pki import certificates
from agent.runtime.pki.folders import TRUSTED, Folders

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

URI = "http://edgetwin.test/plc"
SCRIPT = Path(__file__).parent / "node" / "secure_server.js"
POLICIES = ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256", "Basic256", "Basic128Rsa15")
TAGS = [Tag(f"rig/plc/{name}", f"nsu={URI};s={name}", scan_s=0.3) for name in ("ramp", "sessions")]
SELF_SIGNED = (*RIGHT_USAGE, "key_cert_sign")


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    return installed(tmp_path_factory.mktemp("node"), "node-opcua-server@2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The server's folder: its certificate, and the user who may log in with one."""
    made = tmp_path_factory.mktemp("server")
    plc = certificate("server", hosts=("localhost", "127.0.0.1"), usage=SELF_SIGNED)
    (made / "server.crt.pem").write_bytes(pem(plc))
    (made / "server.key.pem").write_bytes(key_pem(key("server")))
    anna = certificate("anna", uri="urn:anna", hosts=(), usage=SELF_SIGNED, extended=())
    put_pair(made / "users", "anna", anna, key("anna"))
    trusted = made / "users-pki" / "trusted" / "certs"
    trusted.mkdir(parents=True)
    (trusted / "anna.pem").write_bytes(pem(anna))
    (made / "password").write_text("secret")
    return made


@pytest.fixture(scope="module")
def server(packages, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NODE_PATH", str(packages / "node_modules"))
        patch.chdir(packages)
        with Peer([*node(), str(SCRIPT), str(folder)]) as peer:
            yield peer


def node():
    """Node with the padding of Basic128Rsa15 switched on again, where it was switched off."""
    command, revert = shutil.which("node"), "--security-revert=CVE-2023-46809"
    knows = subprocess.run([command, revert, "-e", "0"], capture_output=True, check=False).returncode == 0
    return [command, revert] if knows else [command]


@pytest.fixture(scope="module")
def pki(tmp_path_factory, folder):
    made = Folders(tmp_path_factory.mktemp("client") / "pki")
    made.move(str(folder / "server.crt.pem"), TRUSTED)
    return made


@pytest.fixture
def config(server, pki):
    def with_options(**more):
        more = {"security": "auto", "pki_dir": pki.root, **more}
        return opcua.Config(id="plc", type="opcua", endpoint=f"opc.tcp://127.0.0.1:{server.port}", **more)

    return with_options


@pytest.fixture
def trusted(config, folder):
    """The server trusts our certificate, as a person would have it."""
    from agent.drivers.opcua.secure import trust

    own = trust.ours(config()).certificate
    for stale in (folder / "pki" / "rejected").glob("*"):
        stale.unlink()
    (folder / "pki" / "trusted" / "certs" / "edgetwin.pem").write_bytes(pem(own))


async def test_a_server_that_does_not_trust_us_is_told_in_words_and_lets_us_in_later(config, folder, server):
    async with running(opcua, config(), TAGS) as rig:
        await rig.until(lambda: rig.downs, within_s=20)
        assert "the server does not trust our certificate: on the server move edgetwin" in rig.downs[0][1]
        (rejected,) = (folder / "pki" / "rejected").glob("*")
        thumbprint = certificates.sha1(certificates.load(rejected.read_bytes())).upper()
        assert thumbprint in rig.downs[0][1]
        rejected.rename(folder / "pki" / "trusted" / "certs" / rejected.name)
        # It watches its folders, but can overlook what came: at its start it reads them.
        server.kill()
        await to_thread.run_sync(server.start)
        await rig.until(lambda: rig.good, within_s=60)


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    sessions.pasts._known.clear()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
async def test_every_policy_in_both_modes(config, trusted, policy, mode):
    async with running(opcua, config(security=policy, mode=mode), TAGS) as rig:
        await rig.until(lambda: rig.good and rig.value[0] > 0, within_s=20)


@pytest.mark.parametrize("security", ["none", "auto", "Basic256Sha256"])
@pytest.mark.parametrize("by", ["name", "certificate"])
async def test_users_by_name_and_by_certificate(config, folder, trusted, security, by):
    users = folder / "users"
    who = {
        "name": {"user": "tester", "password_file": folder / "password"},
        "certificate": {"user_certificate": users / "anna.der", "user_key": users / "anna.pem"},
    }[by]
    async with running(opcua, config(security=security, **who), TAGS) as rig:
        await rig.until(lambda: rig.good, within_s=20)
        assert not rig.downs


async def test_a_wrong_password_is_told_in_words(config, trusted, tmp_path):
    (tmp_path / "wrong").write_text("guess")
    async with running(opcua, config(user="tester", password_file=tmp_path / "wrong"), TAGS) as rig:
        await rig.until(lambda: rig.downs, within_s=20)
        assert "wrong name or password" in rig.downs[0][1]


async def test_keys_are_renewed_while_values_flow(config, trusted):
    async with running(opcua, config(channel_lifetime_s=4.0, publishing_s=0.1), TAGS) as rig:
        await rig.until(lambda: (rig.meters.read("plc/renewals") or 0) >= 3, within_s=40)
        seen = rig.value[0]
        await rig.until(lambda: rig.value[0] > seen + 5)
        assert not rig.downs


@pytest.mark.parametrize("security", ["none", "auto"])
async def test_sessions_of_broken_connections_never_fill_a_server_that_has_two(config, trusted, security, monkeypatch):
    links = []

    class Told(sessions.Link):
        def __init__(self, config):
            super().__init__(config)
            links.append(self)

    monkeypatch.setattr(sessions, "Link", Told)
    async with running(opcua, config(security=security), TAGS) as rig:
        for n in range(5):
            await rig.until(lambda: rig.good and rig.value[0] > 0, within_s=20)
            assert len(rig.downs) == n
            links[-1].uaclient.protocol.transport.abort()
            await rig.until(lambda n=n: len(rig.downs) > n, within_s=20)
        await rig.until(lambda: rig.good and rig.value[1] == 1.0, within_s=20)
