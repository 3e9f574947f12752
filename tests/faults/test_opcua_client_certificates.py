"""Certificates change while everything runs, ours and the server's; a clock that was not set. No restart of ours."""

import pytest
from anyio import to_thread
from driver_rig import running
from opcua_pki import certificate, key, put_pair
from peers import secure_opcua_server

from agent.core.nouns import Tag
from agent.drivers import opcua
from agent.drivers.opcua import session as sessions
from agent.drivers.opcua.secure import trust
from agent.runtime.pki import making
from agent.runtime.pki.folders import REJECTED, TRUSTED, Folders

pytestmark = pytest.mark.anyio

TAGS = [Tag("rig/plc/ramp", "nsu=http://edgetwin.test/plc;s=ramp", scan_s=0.2)]


@pytest.fixture
def pki(tmp_path):
    return Folders(tmp_path / "pki")


@pytest.fixture
def peer(tmp_path, pki):
    """A server whose certificate is trusted, with folder `server`."""
    first = certificate("server", hosts=("localhost",))
    put_pair(tmp_path / "server", "server", first, key("server"))
    pki.move(str(pki.reject(first)), TRUSTED)
    with secure_opcua_server(tmp_path / "server") as running_peer:
        yield running_peer


def config(peer, pki):
    url = f"opc.tcp://127.0.0.1:{peer.port}"
    return opcua.Config(id="plc", type="opcua", endpoint=url, security="auto", pki_dir=pki.root)


async def test_our_certificate_is_renewed_while_values_flow(peer, pki, monkeypatch):
    monkeypatch.setattr(sessions, "WATCH_S", 0.2)
    used = []

    class Told(sessions.Link):
        async def enter(self, past):
            await super().enter(past)
            used.append(self.secured.own)

    monkeypatch.setattr(sessions, "Link", Told)
    async with running(opcua, config(peer, pki), TAGS) as rig:
        await rig.until(lambda: rig.good, within_s=15)
        renewed = await to_thread.run_sync(pki.renew, trust.subject())
        await rig.until(lambda: used[-1].certificate == renewed.certificate and rig.good, within_s=15)
        assert any("our certificate was renewed" in reason for _, reason in rig.downs)
    assert renewed.certificate != used[0].certificate
    assert renewed.uri == used[0].uri


async def test_a_certificate_file_of_ours_that_is_half_written_ends_nothing(peer, pki, monkeypatch):
    monkeypatch.setattr(sessions, "WATCH_S", 0.2)
    async with running(opcua, config(peer, pki), TAGS) as rig:
        await rig.until(lambda: rig.good, within_s=15)
        whole = pki.own_certificate.read_bytes()
        pki.own_certificate.write_bytes(whole[:100])
        seen = rig.value[0]
        await rig.until(lambda: rig.value[0] > seen + 20)
        assert not rig.downs
        pki.own_certificate.write_bytes(whole)


async def test_the_server_comes_back_with_another_certificate(peer, pki, tmp_path):
    async with running(opcua, config(peer, pki), TAGS) as rig:
        await rig.until(lambda: rig.good, within_s=15)
        peer.kill()
        await rig.until(lambda: rig.bad)
        put_pair(tmp_path / "server", "server", certificate("server", hosts=("localhost",)), key("server"))
        peer.start()
        await rig.until(lambda: "BadCertificateUntrusted" in rig.downs[-1][1], within_s=15)
        assert rig.bad
        (stranger,) = pki.kept(REJECTED)
        pki.move(str(stranger.path), TRUSTED)
        await rig.until(lambda: rig.good, within_s=15)


async def test_a_clock_without_a_battery_locks_out_only_until_it_is_set(peer, pki, monkeypatch):
    right, offset = making.wall, {"days": 300}
    trust.ours(config(peer, pki))  # made before, by a clock that was right

    def wrong():
        from datetime import timedelta

        return right() - timedelta(**offset)

    monkeypatch.setattr(making, "wall", wrong)
    async with running(opcua, config(peer, pki), TAGS) as rig:
        await rig.until(lambda: rig.downs, within_s=15)
        assert "BadCertificateTimeInvalid" in rig.downs[0][1]
        offset["days"] = 0
        await rig.until(lambda: rig.good, within_s=15)
