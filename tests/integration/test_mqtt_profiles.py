"""The formats of platforms against what their documentation says, over a real mosquitto.

mosquitto stands for the platform's broker: what it logs of CONNECT and SUBSCRIBE is what the platform would see. Each
rule is quoted with its source; read in November 2026.

AWS    "AWS IoT Core endpoints and quotas", docs.aws.amazon.com/general/latest/gr/iot-core.html, and "MQTT",
       docs.aws.amazon.com/iot/latest/developerguide/mqtt.html
AZURE  "Communicate with an IoT hub using the MQTT protocol", learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub
TB     "MQTT Gateway API Reference" and "MQTT Device API Reference", thingsboard.io/docs/reference/gateway-mqtt-api,
       thingsboard.io/docs/reference/mqtt-api
"""

import base64
import json
import re
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, unquote

import anyio
import numpy as np
import pytest
from mqtt_gateway import SECOND, event, gateway, snapshot
from mqtt_rig import Mosquitto, listening, program
from ruamel.yaml import YAML
from tls_rig import Authority

from agent.config.load import load
from agent.core.nouns import Catalogue, Mode, Part, Point, Role, Summary
from agent.runtime import clock
from agent.runtime.journal import Record
from agent.sinks import mqtt
from agent.sinks.mqtt import credentials, profiles, sas
from agent.store import record

pytestmark = pytest.mark.anyio
CONFIGS = Path(__file__).parents[2] / "configs" / "cloud"
NAMES = ("lower/level", "process/product")
POINTS = (
    Point("tank/lower/level", Role.MEASURED, unit="m", eu_lo=0, eu_hi=2),
    Point("tank/process/product", Role.MEASURED),
    Point("tank/state/mode", Role.MODE, enum={2: "running"}),
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    broker = Mosquitto(tmp_path_factory.mktemp("broker"), "log_type notice", "log_type subscribe")
    anyio.run(broker.start)
    yield broker
    broker.kill()


def summary(n=1, names=NAMES, seed=0):
    end = clock.now_ns()
    column = np.random.default_rng(seed).normal(size=len(names)) if len(names) > 2 else np.array([1.5, np.nan])
    return record.summary(Summary("tank", end - 10 * SECOND, end, Mode.RUNNING, {"product": "water"}, "window", names,
                                  *[column] * 5, np.ones(len(names)), 0.25, figures={"twin/health": 0.9},
                                  findings={"twin/finding": "well"}))  # fmt: skip


def catalogue(name):
    return Catalogue(name, 1, POINTS, (Part("tank", 0, 3, "Tank", "two-tank@1", ("north", "hall 2")),))


def shown(name):
    """The options of the sink in a ready configuration, for a broker on this machine."""
    (sink,) = YAML(typ="safe").load((CONFIGS / f"{name}.yaml").read_text())["sinks"]
    secret = ("host", "tls", "ca_file", "cert_file", "key_file", "password_file", "user_file", "shared_access_key_file")
    return {key: value for key, value in sink.items() if key not in ("type", *secret)}


def logged(broker, name):
    """(CONNECT as mosquitto logs it, topic filters) of a client."""
    whole = (broker.folder / "mosquitto.log").read_text()
    log = whole[whole.rindex(f" as {name} (") :]
    connect = re.findall(rf"^ as {name} \((.*)\)\.", log)
    return connect[0], re.findall(rf"^\d+: {name} \d (\S+)$", log, re.M)


def tool(broker, *words):
    return [program("mosquitto_pub", "mosquitto-clients"), "-p", str(broker.port), "-q", "1", *words]


async def test_aws(tmp_path, broker):
    """AWS: "Publish payload 128 KB"; "7 forward slashes" and "256 bytes of UTF-8" in a topic; "Client ID size 128
    bytes"; keep-alive "between 30 and 1200 seconds". MQTT: QoS 0 and 1; "retained messages" are kept; persistent
    sessions with a clean session flag of 0; topics that begin with $ are reserved."""
    options = shown("aws-iot-core")
    assert options["format"] == "aws"
    wide = tuple(f"group-{n // 50}/tag-{n}" for n in range(3000))
    async with gateway(tmp_path, broker, "hall-2", catalogue=catalogue("hall-2"), **options) as own:
        own.journal.put(summary())
        own.journal.put(summary(names=wide))
        own.journal.put(event(1))
        await own.heard.until(lambda h: len(h.of("/summary/")) == 2 and h.of("/event/"))
        topics = {topic for topic, _ in own.heard.sizes if topic != "probe"}
        assert topics == {
            f"edgetwin/hall-2/{t}" for t in ("birth", "status", "names/tank", "summary/tank", "event/tank")
        }
        assert all(t.count("/") <= 7 and len(t.encode()) <= 256 and t[0] != "$" for t in topics)
        assert max(size for _, size in own.heard.sizes) <= 128 * 1024
        small, large = own.heard.of("/summary/")
        assert small["columns"]["mean"] == [1.5, None]
        assert len(large["columns"]["mean"]) == 3000
    connect, filters = logged(broker, "hall-2")
    assert connect == "p5, c0, k42"  # the library pings early
    assert filters == ["edgetwin/hall-2/request"]


async def test_azure(tmp_path, broker):
    """AZURE: topic `devices/{device-id}/messages/events/{property-bag}`, "url-encoded"; "$.ct=application%2Fjson&
    $.ce=utf-8" where bodies are to be read; "IoT Hub doesn't persist Retain messages"; "If a device app publishes a
    message with QoS 2, IoT Hub closes the network connection"; "only supports the documented topic names and topic
    filters"; MQTT 3.1.1; ClientId: "use the deviceId"; Username:
    `{iotHub-hostname}/{device-id}/?api-version=2021-04-12`; 256 kB; will topics as those of events."""
    options = shown("azure-iot-hub")
    (tmp_path / "key").write_text(base64.b64encode(b"secret").decode())
    options |= {"shared_access_key_file": tmp_path / "key"}
    events = "devices/hall-2/messages/events/"
    async with gateway(tmp_path, broker, "hall-2", events, catalogue("hall-2"), **options) as own:
        own.journal.put(summary())
        own.journal.put(event(1))
        await own.heard.until(lambda h: len([t for t, _, _ in h.messages if t.startswith(events)]) == 4)
        payload = json.dumps({"id": "1", "do": "status"})
        await anyio.run_process(tool(broker, "-t", "devices/hall-2/messages/devicebound/%24.mid=7", "-m", payload))
        await own.heard.until(lambda h: len([t for t, _, _ in h.messages if t.startswith(events)]) == 5)
        said = [(t, r, m) for t, r, m in own.heard.messages if t.startswith("devices/") and "devicebound" not in t]
        bags = [parse_qs(t.removeprefix(events), strict_parsing=True) for t, _, _ in said]
        assert {bag["class"][0]: bag.get("asset", [""])[0] for bag in bags} == {
            "status": "", "birth": "", "summary": "tank", "event": "tank", "answer": ""}  # fmt: skip
        assert all(bag["$.ct"] == ["application/json;charset=utf-8"] and bag["$.ce"] == ["utf-8"] for bag in bags)
        assert all(t.startswith(events) and not retained for t, retained, _ in said)
        assert not set("+#") & set("".join(t for t, _, _ in said))
        by_class = {bag["class"][0]: m for bag, (_, _, m) in zip(bags, said, strict=True)}
        assert by_class["summary"]["tags"]["lower/level"]["mean"] == 1.5
        assert (by_class["event"]["class"], by_class["event"]["seq"]) == ("event", 1)
        assert by_class["answer"]["ok"]
        assert max(size for _, size in own.heard.sizes) <= 256 * 1024
    connect, filters = logged(broker, "hall-2")
    assert connect == "p2, c0, k42, u'127.0.0.1/hall-2/?api-version=2021-04-12'"  # p2: mosquitto's word for 3.1.1
    assert filters == ["devices/hall-2/messages/devicebound/#"]


async def test_thingsboard(tmp_path, broker):
    """TB: `v1/gateway/connect` {"device":"Device A", "type":"..."}; `v1/gateway/attributes` {"Device A":{"attribute1":
    ...}}; `v1/gateway/telemetry` {"Device A":[{"ts":1483228800000,"values":{...}}]}, ts "unix timestamp with
    milliseconds precision"; QoS 0 and 1; "username that contains $ACCESS_TOKEN"; values strings, booleans, numbers,
    JSON; `v1/devices/me/rpc/request/+` answered on `v1/devices/me/rpc/response/$request_id`. Payloads up to 65536 bytes
    (netty.max_payload_size of thingsboard.yml)."""
    (tmp_path / "token").write_text("TOKEN-1\n")
    options = shown("thingsboard") | {"user_file": tmp_path / "token"}
    wide = tuple(f"group-{n // 50}/tag-{n}" for n in range(3000))
    async with gateway(tmp_path, broker, "hall-2", "v1/gateway/attributes", catalogue("hall-2"), **options) as own:
        own.journal.put(summary())
        own.journal.put(event(1))
        await own.heard.until(lambda h: len(h.of("v1/gateway/telemetry")) == 2)
        assert own.heard.of("v1/gateway/connect") == [{"device": "tank", "type": "two-tank@1"}]
        (attributes,) = own.heard.of("v1/gateway/attributes")
        assert attributes == {"tank": {"title": "Tank", "path": "north/hall 2", "period_s": 1.0,
                                       "lower_level_unit": "m"}}  # fmt: skip
        told = [m["tank"][0] for m in own.heard.of("v1/gateway/telemetry")]
        (window,) = [m for m in told if "mode" in m["values"]]
        (raised,) = [m for m in told if "event" in m["values"]]
        assert window["values"] == {"mode": "running", "window_closed_by": "window", "context_product": "water",
                                    "lower_level_mean": 1.5, "lower_level_min": 1.5, "lower_level_max": 1.5,
                                    "lower_level_good": 1.0, "process_product_good": 1.0, "twin_health": 0.9,
                                    "twin_finding": "well", "score_max": 0.25}  # fmt: skip
        assert abs(window["ts"] - clock.wall_ns() // 1_000_000) < 60_000
        assert raised["values"]["lower_level_high_active"] is True
        assert raised["values"]["event"]["text"] == "event 1"
        own.journal.put(summary(names=wide))
        await own.heard.until(lambda h: sum(len(m["tank"][0]["values"]) for m in h.of("telemetry")[2:]) >= 4 * 3000 + 6)
        pieces = [m["tank"][0] for m in own.heard.of("v1/gateway/telemetry")[2:]]
        assert len({piece["ts"] for piece in pieces}) == 1
        assert len(pieces) > 1
        assert len({key for piece in pieces for key in piece["values"]}) == 4 * 3000 + 6
        assert max(size for _, size in own.heard.sizes) <= 65_536
        call = json.dumps({"method": "status", "params": {}})
        await anyio.run_process(tool(broker, "-t", "v1/devices/me/rpc/request/12", "-m", call))
        await own.heard.until(lambda h: h.of("v1/devices/me/rpc/response/12"))
        assert own.heard.of("v1/devices/me/rpc/response/12")[0]["ok"]
        assert not [t for t, retained, _ in own.heard.messages if retained and t.startswith("v1/")]
    connect, filters = logged(broker, "hall-2")
    assert connect == "p2, c0, k21, u'TOKEN-1'"
    assert filters == ["v1/devices/me/rpc/request/+"]


async def test_unified_namespace(tmp_path, broker):
    """ISA-95 levels enterprise/site/area/line/cell as topics, the newest of each retained."""
    options = {key: value for key, value in shown("unified-namespace").items() if key != "user"}
    at = "acme/north/hall 2/tank"
    options["values_every_s"] = 0.05
    async with gateway(tmp_path, broker, "hall-2", f"{at}/_meta", catalogue("hall-2"), **options) as own:
        shot = snapshot_like(snapshot(), snapshot().seq + 1, clock.now_ns() + SECOND)
        shot.value[:] = [1.25, np.nan, 2.0]
        shot.texts[1] = "water"
        own.hub.publish(shot)
        own.journal.put(summary())
        own.journal.put(event(1))
        await own.heard.until(lambda h: any(m["value"] == 1.25 for m in h.of(f"{at}/lower/level"))
                              and h.of("/_summary") and h.of("/_event"))  # fmt: skip
        count = len(own.heard.of(f"{at}/lower/level"))
        for n in range(3):  # unchanged: nothing is said
            own.hub.publish(snapshot_like(shot, shot.seq + 1 + n, shot.t_ns + (n + 1) * SECOND))
            await anyio.sleep(0.02)
        assert len(own.heard.of(f"{at}/lower/level")) == count
        gone = snapshot_like(shot, shot.seq + 9, shot.t_ns + 9 * SECOND)
        gone.value[0], gone.status[0] = np.nan, 0x80310000
        own.hub.publish(gone)
        await own.heard.until(lambda h: any(m["status"] == 0x80310000 for m in h.of(f"{at}/lower/level")))
        async with listening(broker.port, "-t", "acme/#") as late:
            await late.until(lambda h: len({t for t, _, _ in h.messages if t.startswith("acme/")}) >= 7)
            kept = {t: m for t, retained, m in late.messages if retained and t.startswith("acme/")}
        own_topics = {f"acme/_gateway/hall-2/{t}" for t in ("birth", "status")}
        points = ("lower/level", "process/product", "state/mode", "_meta", "_alarm/lower_level.high")
        assert set(kept) == own_topics | {f"{at}/{t}" for t in points}
        assert (kept[f"{at}/lower/level"]["value"], kept[f"{at}/lower/level"]["unit"]) == (None, "m")
        assert kept[f"{at}/process/product"]["value"] == "water"
        assert kept[f"{at}/state/mode"]["word"] == "running"
        assert kept[f"{at}/_alarm/lower_level.high"]["active"] is True
        assert [p["id"] for p in kept[f"{at}/_meta"]["points"]] == [p.id for p in POINTS]
        assert own.heard.of(f"{at}/_summary")[0]["tags"]["lower/level"]["mean"] == 1.5
    assert "acme/_gateway/hall-2/request" in logged(broker, "hall-2")[1]


def snapshot_like(shot, seq, t_ns):
    return replace(shot, seq=seq, t_ns=t_ns, value=shot.value.copy(), status=shot.status.copy())


def stored(noun_entry):
    return Record(1, noun_entry.class_, 1, 7, "boot", noun_entry.t_ns, 10**18, "synchronised", "tank", noun_entry.kind,
                  noun_entry.body)  # fmt: skip


def test_thingsboard_is_not_told_of_clocks():
    config = mqtt.Config(host="localhost", format="thingsboard", user="token")
    right = stored(record.clock(record.ClockRow(1, 10**18, "synchronised")))
    assert profiles.FORMS["thingsboard"](config, "hall-2").record(right).outs == ()


@pytest.mark.parametrize(("format_", "limit"), [("aws", 128 << 10), ("azure", 256 << 10)])
def test_what_no_platform_takes_is_named_instead_of_lost(format_, limit):
    wide = tuple(f"group-{n // 50}/tag-{n}" for n in range(12_000))
    config = mqtt.Config(host="localhost", format=format_, client_id="hall-2")
    (out,) = profiles.FORMS[format_](config, "hall-2").record(stored(summary(names=wide))).outs
    said = json.loads(out.payload)
    assert said["too_large"] > limit
    assert (said["gateway"], said["class"], said["epoch"], said["seq"], said["asset"]) == (
        "hall-2", "summary", 1, 7, "tank")  # fmt: skip


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"format": "aws", "host": "x.amazonaws.com", "tls": True}, "expected cert_file and key_file"),
        ({"format": "aws", "keepalive_s": 20}, "30 to 1200"),
        ({"format": "aws", "max_in_flight": 101}, "100 at most"),
        ({"format": "aws", "prefix": "a/b/c/d/e/f/g"}, "7 slashes"),
        ({"format": "aws", "compress_above_bytes": 1000}, "read JSON"),
        ({"format": "azure", "host": "x.azure-devices.net", "tls": True}, "expected one of cert_file with key_file"),
        ({"format": "azure", "version": "5"}, "speaks MQTT 3.1.1"),
        ({"format": "azure", "prefix": "a"}, "its own, expected none"),
        ({"format": "azure", "user": "a"}, "made of host and client_id"),
        ({"format": "azure", "acknowledge": "end_to_end"}, "nobody can confirm"),
        ({"format": "thingsboard"}, "expected user_file"),
        ({"format": "thingsboard", "user": "t", "user_file": "t"}, "expected one of them"),
        ({"format": "uns"}, "expected prefix"),
        ({"shared_access_key_file": "k"}, "expected format: azure"),
    ],
)
def test_what_a_platform_would_refuse_is_said_before(options, text):
    with pytest.raises(ValueError, match=text):
        mqtt.Config(**({"host": "localhost"} | options))


def test_a_shared_access_signature_is_what_openssl_says():
    """AZURE: `SharedAccessSignature sr={URL-encoded-resourceURI}&sig={signature-string}&se={expiry}`; the signature is
    HMAC-SHA256 of {URL-encoded-resourceURI} + "\\n" + {expiry} by the decoded key."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    token = sas.token("plant.azure-devices.net", "hall-2", key, 1_795_000_000)
    scheme, _, rest = token.partition(" ")
    said = dict(part.split("=", 1) for part in rest.split("&"))
    assert (scheme, said["sr"], said["se"]) == (
        "SharedAccessSignature", "plant.azure-devices.net%2Fdevices%2Fhall-2", "1795086400")  # fmt: skip
    signed = subprocess.run(
        ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{b'0123456789abcdef'.hex()}", "-binary"],
        input=f"{said['sr']}\n{said['se']}".encode(), capture_output=True, check=True)  # fmt: skip
    assert unquote(said["sig"]) == base64.b64encode(signed.stdout).decode()
    with pytest.raises(ValueError, match="expected the device's primary key in base64"):
        sas.token("h", "d", "not base64!", 0)


def test_port_443_of_aws_is_asked_for_by_alpn(tmp_path):
    """AWS, "Protocols, port mappings, and authentication": MQTT with a client certificate on port 443 needs the ALPN
    protocol name x-amzn-mqtt-ca."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("gw")
    files = {"ca_file": authority.file, "cert_file": certificate, "key_file": key}
    config = mqtt.Config(format="aws", host="x.amazonaws.com", port=443, tls=True, **files)
    ours = credentials.tls(profiles.demands.settled(config, "gw"))
    ours.check_hostname = False
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate, key)
    theirs.set_alpn_protocols(["http/1.1", "x-amzn-mqtt-ca"])
    to_them, to_us = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ours.wrap_bio(to_us, to_them, server_hostname="x.amazonaws.com")
    server = theirs.wrap_bio(to_them, to_us, server_side=True)
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    assert server.selected_alpn_protocol() == "x-amzn-mqtt-ca"


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_ready_configuration_has_no_problem(path):
    loaded = load(path)
    assert [sink.config.format for sink in loaded.sinks] == {
        "aws-iot-core": ["aws"], "azure-iot-hub": ["azure"], "thingsboard": ["thingsboard"],
        "unified-namespace": ["uns"], "sparkplug": ["sparkplug_b", "own"]}[path.stem]  # fmt: skip
