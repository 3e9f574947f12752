"""Modbus Security: a TLS end that wants our certificate, in front of the libmodbus server."""

import re
import ssl

import anyio
import pytest
from driver_rig import running
from peers import free_port, libmodbus
from pydantic import ValidationError
from tls_rig import DAY, Authority, device_context, fingerprint, tls_end

from agent.core.nouns import Tag, Write
from agent.drivers import modbus
from agent.runtime import meters

pytestmark = pytest.mark.anyio

TAGS = [Tag(f"rig/{i}", f"input:{i}", "uint16", scan_s=0.3) for i in (1, 300)]


@pytest.fixture(scope="module")
def server():
    with libmodbus() as peer:
        yield peer


@pytest.fixture(scope="module")
def plant(tmp_path_factory):
    """The authority of the plant, the gateway's certificate, and the PLC's."""
    made = Authority(tmp_path_factory.mktemp("certificates"))
    made.own = made.issue("gateway")
    made.plc = made.issue("plc", ["plc.test", "127.0.0.1"])
    return made


def config(plant, port, **more):
    certificate, key = more.pop("own", plant.own)
    given = {"ca_file": plant.file, "certificate": certificate, "private_key": key, **more}
    given = {name: value for name, value in given.items() if value is not None}
    return modbus.Config(id="plc1", type="modbus", transport="tls", host="127.0.0.1", port=port, **given)


async def reads(config_):
    async with running(modbus, config_, TAGS) as rig:
        await rig.until(lambda: rig.good)
        assert rig.value.tolist() == [7.0, 2100.0]


async def fails(config_):
    """Why there are no values."""
    async with running(modbus, config_, TAGS) as rig:
        await rig.until(lambda: rig.downs)
        assert not rig.batches
        assert rig.meters.read("plc1/lost") >= 1
    return rig.downs[0][1]


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_sides_show_a_certificate(server, plant, newest):
    context = device_context(*plant.plc, clients=plant.file, newest=newest)
    async with tls_end(server.port, context) as (end, port):
        await reads(config(plant, port))
        await reads(config(plant, port, server_name="plc.test"))
        assert set(end.versions) == {newest.name.replace("_", ".")}


async def test_reads_writes_and_survives_a_restart_of_the_other_end(server, plant):
    context = device_context(*plant.plc, clients=plant.file)
    tags = [*TAGS, Tag("rig/w", "holding:810", "uint16", scan_s=0.3, writable=True)]
    async with tls_end(server.port, context) as (_, port), running(modbus, config(plant, port), tags) as rig:
        await rig.until(lambda: rig.good)
        answer = await rig.write(Write("w", 2, 77.0))
        assert answer.ok, answer
        await rig.until(lambda: rig.value[2] == 77.0)
        assert 29 < rig.meters.read("plc1/certificate_days") < 31
    async with running(modbus, config(plant, port), tags) as rig:
        await rig.until(lambda: rig.bad and rig.downs)


async def test_a_certificate_that_signs_itself_and_names_nothing_can_be_pinned(server, plant, tmp_path):
    own_authority = Authority(tmp_path, "nobody")
    nameless = own_authority.issue("self-signed")
    context = device_context(*nameless, clients=plant.file)
    async with tls_end(server.port, context) as (_, port):
        await reads(config(plant, port, ca_file=None, fingerprint=fingerprint(nameless[0])))
        await reads(config(plant, port, ca_file=own_authority.file, fingerprint=fingerprint(nameless[0])))
        text = await fails(config(plant, port, ca_file=None, fingerprint=fingerprint(plant.plc[0])))
        assert "its certificate has the SHA-256 fingerprint" in text
        assert "not trusted" in await fails(config(plant, port, fingerprint=fingerprint(nameless[0])))


@pytest.mark.parametrize(
    ("sans", "times", "more", "says"),
    [
        (["127.0.0.1"], {"end": -DAY / 2}, {}, "certificate has expired"),
        (["127.0.0.1"], {"start": DAY}, {}, "not yet valid"),
        (["other.test"], {}, {"server_name": "plc.test"}, "server_name plc.test; a certificate without a usable name"),
        (["10.1.2.3"], {}, {}, "mismatch"),
        ([], {}, {}, "mismatch"),
    ],
)
async def test_a_certificate_of_the_device_that_is_not_right_is_told(server, plant, sans, times, more, says):
    context = device_context(*plant.issue("wrong", sans, **times), clients=plant.file)
    async with tls_end(server.port, context) as (_, port):
        text = await fails(config(plant, port, **more))
        assert "its certificate is not trusted" in text
        assert says in text
        assert f"127.0.0.1:{port}" in text


async def test_an_authority_that_is_not_ours_is_told_on_either_side(server, plant, tmp_path):
    foreign = Authority(tmp_path, "foreign")
    context = device_context(*foreign.issue("plc", ["127.0.0.1"]), clients=plant.file)
    async with tls_end(server.port, context) as (_, port):
        assert "unable to get local issuer certificate" in await fails(config(plant, port))
    for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):  # 1.3 says so only after the handshake
        context = device_context(*plant.plc, clients=plant.file, newest=newest)
        async with tls_end(server.port, context) as (_, port):
            stranger = config(plant, port, own=foreign.issue("stranger"), retries=0)
            async with running(modbus, stranger, TAGS) as rig:
                await rig.until(lambda: rig.downs)
                assert re.search("unknown ca|not trust our certificate", rig.downs[0][1], re.IGNORECASE)
                assert not rig.batches


async def test_files_that_cannot_be_used_are_named(server, plant, tmp_path):
    sealed = plant.issue("sealed", passphrase=b"secret")
    text = tmp_path / "text.pem"
    text.write_text("no certificate\n")
    cases = [
        ({"own": (plant.own[0], tmp_path / "gone.key")}, "gone.key: No such file"),
        ({"own": (plant.own[0], plant.plc[1])}, "does not belong to certificate"),
        ({"own": sealed}, "has a passphrase"),
        ({"own": (text, plant.own[1])}, "expected PEM"),
        ({"ca_file": text}, "text.pem holds no certificate"),
        ({"ca_file": tmp_path / "gone.crt"}, "gone.crt: No such file"),
    ]
    context = device_context(*plant.plc, clients=plant.file)
    async with tls_end(server.port, context) as (end, port):
        for more, says in cases:
            assert says in await fails(config(plant, port, **more))
        assert end.connections == 0


async def test_a_device_that_speaks_no_tls_is_told(server, plant):
    assert "no TLS" in await fails(config(plant, server.port, timeout_s=0.2, connect_timeout_s=1.0))


async def test_a_renewed_certificate_of_ours_is_taken_at_the_next_connection(server, plant, tmp_path):
    """An expired one is put right by changing the file alone."""
    certificate, key = tmp_path / "own.crt", tmp_path / "own.key"
    for target, source in zip((certificate, key), plant.issue("old", end=-DAY / 2), strict=True):
        target.write_bytes(source.read_bytes())
    context = device_context(*plant.plc, clients=plant.file)
    async with (
        tls_end(server.port, context) as (_, port),
        running(modbus, config(plant, port, own=(certificate, key)), TAGS) as rig,
    ):
        await rig.until(lambda: rig.downs)
        assert re.search("expired|not trust our certificate", rig.downs[0][1], re.IGNORECASE)
        for target, source in zip((certificate, key), plant.issue("new"), strict=True):
            target.write_bytes(source.read_bytes())
        await rig.until(lambda: rig.good)


async def test_cancelled_at_any_moment_of_the_handshake_leaves_nothing_behind(server, plant):
    context = device_context(*plant.plc, clients=plant.file)
    async with tls_end(server.port, context) as (_, port):
        for step in range(12):
            with anyio.move_on_after(0.003 * step):
                async with running(modbus, config(plant, port), TAGS):
                    await anyio.sleep_forever()
    meters.install(meters.Meters())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"transport": "tls", "host": "plc"}, "needs certificate"),
        ({"transport": "tls", "host": "plc", "certificate": "a", "private_key": "b"}, "ca_file or fingerprint"),
        ({"host": "plc", "ca_file": "a"}, "ca_file needs transport: tls"),
        (
            {"transport": "tls", "host": "plc", "certificate": "a", "private_key": "b", "fingerprint": "12:34"},
            "64 hexadecimal digits",
        ),
    ],
)
def test_what_is_missing_or_too_much_is_told_before(given, says):
    with pytest.raises(ValidationError, match=says):
        modbus.Config(id="plc", type="modbus", **given)


def test_the_port_is_802_unless_said():
    given = {"host": "plc", "certificate": "a", "private_key": "b", "ca_file": "c"}
    assert modbus.Config(id="plc", type="modbus", transport="tls", **given).port == 802
    port = free_port()
    assert modbus.Config(id="plc", type="modbus", transport="tls", port=port, **given).port == port
    assert modbus.Config(id="plc", type="modbus", host="plc").port == 502
