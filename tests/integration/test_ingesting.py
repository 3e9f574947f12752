"""The receiving end with a real mosquitto and a real PostgreSQL (skipped without them)."""

import json
import subprocess
import zlib

import aiomqtt
import anyio
import live
import mqtt_gateway
import pytest
from ingest_rig import chosen, event, names, publish, receiving, rows, sealed, summary, until_rows
from mqtt_gateway import gateway
from mqtt_rig import Mosquitto, free_port, program
from postgres_rig import Postgres
from tls_rig import Authority

from agent.ingest import options

pytestmark = pytest.mark.anyio
TAGS = ["level", "flow"]
COUNT = "SELECT count(*), count(DISTINCT seq) FROM edgetwin.event"


@pytest.fixture(scope="module")
def postgres():
    with Postgres("fsync=off") as server:  # a killed process loses nothing by that, only a power cut
        yield server


@pytest.fixture
def url(postgres):
    return postgres.new_database()


@pytest.fixture
async def broker(tmp_path):
    async with Mosquitto(tmp_path) as started:
        yield started


async def test_records_stand_in_their_tables_once_and_are_confirmed(broker, url):
    async with receiving(chosen(broker.port, url)), aiomqtt.Client("127.0.0.1", broker.port) as heard:
        await heard.subscribe("edgetwin/gw1/stored", 1)
        sent = [("event/tank", event(1)), ("summary/tank", zlib.compress(summary(1, TAGS))), ("event/tank", event(1))]
        await publish(broker.port, *sent, ("event/tank", event(4)))
        await until_rows(url, COUNT, [(2, 2)])
        columns = "time::text, change, text, condition, priority, active, body::text"
        assert rows(url, f"SELECT {columns} FROM edgetwin.event WHERE seq = 1") == [
            ("2026-09-21 14:13:21+00", "raised", "event 1", "tank/level.high", "high", True, event(1).decode())
        ]
        charted = "SELECT tag, min, good, time::text FROM edgetwin.tag_summary ORDER BY tag"
        at = "2026-09-21 14:13:21+00"
        await until_rows(url, charted, [("flow", 1.1, 1.1, at), ("level", 1.0, 1.0, at)])
        assert rows(url, "SELECT class, first, last FROM edgetwin.gap") == [("event", 2, 3)]
        await publish(broker.port, ("event/tank", event(3)))
        await until_rows(url, "SELECT first, last FROM edgetwin.gap", [(2, 2)])
        confirmed = set()
        with anyio.fail_after(10):
            while {("event", 1), ("event", 3), ("event", 4), ("summary", 1)} - confirmed:
                tree = json.loads((await anext(heard.messages)).payload)
                confirmed |= {(tree["class"], n) for first, last in tree["ranges"] for n in range(first, last + 1)}


async def test_a_better_stamp_replaces_and_a_worse_one_does_not(broker, url):
    """Whichever comes last; rows for charts go with the summary."""
    early = {"clock": "unsynchronised", "shift_ns": -(10**18)}
    async with receiving(chosen(broker.port, url)):
        await publish(broker.port, ("summary/tank", summary(1, TAGS, **early)), ("summary/tank", summary(2, TAGS)))
        await until_rows(url, "SELECT count(*) FROM edgetwin.tag_summary", [(4,)])
        await publish(broker.port, ("summary/tank", summary(1, TAGS)), ("summary/tank", summary(2, TAGS, **early)),
                      ("summary/tank", summary(3, TAGS)))  # fmt: skip
        await until_rows(url, "SELECT count(*) FROM edgetwin.summary", [(3,)])
        assert rows(url, "SELECT seq, clock, extract(year FROM time)::int FROM edgetwin.summary ORDER BY seq") == [
            (n, "synchronised", 2026) for n in (1, 2, 3)
        ]
        assert rows(url, "SELECT seq, extract(year FROM time)::int, count(*) FROM edgetwin.tag_summary"
                         " GROUP BY 1, 2 ORDER BY 1") == [(n, 2026, 2) for n in (1, 2, 3)]  # fmt: skip


async def test_columns_become_rows_whether_their_names_come_before_or_after(broker, url):
    other, waiting = ["flow", "level"], range(2, 152)
    column = (
        "SELECT string_agg(tag || '=' || last, ' ' ORDER BY tag) FROM edgetwin.tag_summary GROUP BY seq ORDER BY seq"
    )
    async with receiving(chosen(broker.port, url)):
        await publish(broker.port, ("names/tank", names(TAGS)), ("summary/tank", summary(1, TAGS, layout="columns")),
                      *(("summary/tank", summary(n, other, layout="columns")) for n in waiting))  # fmt: skip
        await until_rows(url, "SELECT seq > 1, pending, count(*) FROM edgetwin.summary GROUP BY 1, 2 ORDER BY 1",
                         [(False, False, 1), (True, True, len(waiting))])  # fmt: skip
        assert rows(url, column) == [("flow=1.1 level=1",)]
        await publish(broker.port, ("names/tank", names(other)))
        await until_rows(url, column, [("flow=1.1 level=1",), *((f"flow={n} level={n}.1",) for n in waiting)])


async def test_a_message_that_cannot_be_read_is_kept_with_its_reason_and_stops_nothing(broker, url):
    changed = event(2).replace(b"raised", b"Raised")
    strange = event(3, text="NUL \0 and half a pair", user="\0")
    wrong = [
        ("event/tank", p)
        for p in (b"\0\1\2", b"{}", event(1)[:-5], changed, b'{"a":' * 9000, zlib.compress(event(1))[:-9])
    ]
    wrong += [("event/pump", event(4)), ("names/tank", b'{"names":"0","tags":[]}'), ("birth", b"[]")]
    wrong += [("event/tank", sealed(json.loads(event(5)) | {"seq": -1, "hash": 0}))]
    long = "".join(map(chr, range(256, 6000)))
    wrong += [("event/tank", event(7, gateway=long)), (f"event/{long}", event(8, asset=long)), (f"event/{long}", b"?")]
    wrong += [("summary/tank", summary(6, [long]))]  # no index holds such a name
    async with receiving(chosen(broker.port, url)):
        await publish(broker.port, *wrong, ("event/tank", strange), ("event/tank", event(9)), *wrong)
        await until_rows(url, "SELECT count(*), sum(times) FROM edgetwin.rejected", [(len(wrong), 2 * len(wrong))])
        await until_rows(url, "SELECT seq FROM edgetwin.event ORDER BY seq", [(3,), (9,)])
        reasons = " | ".join(reason for (reason,) in rows(url, "SELECT reason FROM edgetwin.rejected ORDER BY id"))
    for said in (
        "neither JSON nor zlib",
        "changed on the way",
        "does not end with",
        "asset tank, its topic event and pump",
    ):
        assert said in reasons


async def test_while_the_database_is_away_the_broker_keeps_what_comes(broker, postgres, url):
    """Neither a killed database nor a receiver killed meanwhile loses or doubles anything."""
    sent = [("event/tank", event(n)) for n in range(1, 201)]
    async with receiving(chosen(broker.port, url)):
        await publish(broker.port, *sent[:50])
        await until_rows(url, COUNT, [(50, 50)])
        postgres.kill()
        await publish(broker.port, *sent[40:100])
    await publish(broker.port, *sent[100:150])  # nobody is there: the broker keeps them for the receiver of that name
    async with receiving(chosen(broker.port, url)):
        await publish(broker.port, *sent[150:])
        postgres.start()
        await until_rows(url, COUNT, [(200, 200)], 30)
        assert rows(url, "SELECT count(*) FROM edgetwin.gap") == [(0,)]


async def test_two_side_by_side_share_what_comes_and_double_nothing(broker, url):
    sent = [("event/tank", event(n)) for n in range(1, 301)]
    async with receiving(*(chosen(broker.port, url, client_id) for client_id in ("one", "two"))):
        await publish(broker.port, *sent, *sent[::3])
        await until_rows(url, COUNT, [(300, 300)])
        await until_rows(url, "SELECT first, last FROM edgetwin.gap", [])
        assert rows(url, "SELECT max(last), count(*) FROM edgetwin.stream") == [(300, 1)]


async def test_another_receiver_of_the_same_name_is_told_in_words(broker, url, caplog):
    async with receiving(chosen(broker.port, url), chosen(broker.port, url)):
        with anyio.fail_after(10):
            while "called one too" not in caplog.text:
                await anyio.sleep(0.05)


async def test_births_and_statuses_say_what_a_gateway_is(broker, url):
    point = {"id": "tank/level", "role": "measured", "kind": "number", "unit": "m", "low": 0, "words": {"0": "off"}}
    born = {"gateway": "gw1", "format": 1, "epoch": 1, "assets": [], "points": [point, {"id": 7}, point]}
    async with receiving(chosen(broker.port, url)):
        said = [("status", b'{"online":true}'), ("birth", json.dumps(born).encode())]
        await publish(broker.port, *said, *said, retain=True)
        await until_rows(url, "SELECT prefix, gateway, online FROM edgetwin.gateway", [("edgetwin/gw1", "gw1", True)])
        assert rows(url, "SELECT id, unit, low, words->>'0' FROM edgetwin.point") == [("tank/level", "m", 0.0, "off")]
        await publish(broker.port, ("status", b'{"online":false}'), ("status", b""), retain=True)
        await until_rows(url, "SELECT online FROM edgetwin.gateway", [(False,)])


async def test_the_views_take_apart_what_is_asked_for_less_often(broker, url):
    """What models found, traces, raw history, which conditions stand."""
    tree = json.loads(summary(1, TAGS))
    del tree["hash"]
    models, trace = {"health/pump": 0.5, "health/finding": "leak"}, {"level": [[0, 1.5], [250_000_000, None]]}
    flow = {"t_ns": [0, 1_500_000], "value": [1.5, None], "status": [0, 2147483648]}
    raw = {k: tree[k] for k in ("gateway", "epoch", "seq", "asset", "clock", "start_ns", "end_ns")}
    raw |= {"class": "raw", "kind": "block", "tags": {"flow": flow, "product": {"t_ns": [5000], "value": ["milk"]}}}
    async with receiving(chosen(broker.port, url)):
        said = ("summary/tank", sealed(tree | {"models": models, "trace": trace})), ("raw/tank", sealed(raw))
        await publish(broker.port, *said, ("event/tank", event(2)), ("event/tank", event(1)))
        await until_rows(url, "SELECT point, value, word FROM edgetwin.model_summary ORDER BY point",
                         [("health/finding", None, "leak"), ("health/pump", 0.5, None)])  # fmt: skip
        await until_rows(url, "SELECT condition, active FROM edgetwin.condition_now", [("tank/level.high", False)])
        second = "to_char(time, 'SS.US')"
        await until_rows(url, f"SELECT {second}, tag, value FROM edgetwin.trace ORDER BY time",
                         [("20.000000", "level", 1.5), ("20.250000", "level", None)])  # fmt: skip
        await until_rows(url, f"SELECT {second}, tag, value, word, status FROM edgetwin.sample ORDER BY time",
                         [("20.000000", "flow", 1.5, None, 0), ("20.000005", "product", None, "milk", 0),
                          ("20.001500", "flow", None, None, 2147483648)])  # fmt: skip
        assert rows(url, "SELECT count(*) FROM edgetwin.gap") == [(0,)]


async def test_a_broker_that_asks_who_we_are_is_told_over_tls(tmp_path, url):
    """By a password from a file and the broker's certificate; with a wrong password nothing is received."""
    authority = Authority(tmp_path)
    certificate, key = authority.issue("server", ["127.0.0.1"])
    subprocess.run(
        [program("mosquitto_passwd", "mosquitto"), "-c", "-b", tmp_path / "users", "us", "secret"], check=True
    )
    (tmp_path / "password").write_text("secret\n")
    (tmp_path / "wrong").write_text("wrong\n")
    port = free_port()
    lines = ["allow_anonymous true", f"listener {port} 127.0.0.1", "allow_anonymous false",
             f"certfile {certificate}", f"keyfile {key}", f"password_file {tmp_path}/users"]  # fmt: skip

    def known_by(file):
        credentials = options.Credentials(tmp_path / file, authority.file)
        broker = options.broker(f"mqtts://us@127.0.0.1:{port}", "one", "5", credentials)
        return options.Options(broker, options.database(url))

    async with Mosquitto(tmp_path, *lines, first=["per_listener_settings true"]) as broker:
        with pytest.raises(TimeoutError):
            async with receiving(known_by("wrong"), seconds=0.5):
                pytest.fail("a wrong password was taken")
        async with receiving(known_by("password")):
            await publish(broker.port, ("event/tank", event(1)))
            await until_rows(url, COUNT, [(1, 1)])


async def test_what_has_not_come_is_asked_for_again_from_the_command_line(tmp_path, broker, url):
    """A broker forgets what nobody has subscribed to; the gateway's journal does not."""

    async def command(*arguments):
        return await anyio.to_thread.run_sync(live.edgetwin, "ingest", *arguments, "--database", url)

    async with gateway(tmp_path, broker, "gw1") as own:
        for n in range(5):
            own.journal.put(mqtt_gateway.event(n))
        await own.heard.until(lambda h: len(h.of("event/tank")) == 5)
        async with receiving(chosen(broker.port, url)):
            own.journal.put(mqtt_gateway.event(5))
            await publish(broker.port, ("event/tank", event(20)))  # its gateway will say that it never was
            await until_rows(url, "SELECT first, last FROM edgetwin.gap", [(1, 5), (7, 19)])
            said = await command("gaps")
            assert said.returncode == 1
            assert said.stdout.startswith(
                "gw1 event epoch 1: up to 20, 18 missing\nmissing: gw1 event epoch 1 seq 1 to 5, since"
            )
            at = "--broker", f"mqtt://127.0.0.1:{broker.port}"
            await until_rows(url, "SELECT gateway FROM edgetwin.gateway", [("gw1",)])
            said = await command("resend", *at)
            assert "seq 1 to 5: records of class event sent again: 5" in said.stdout, said
            await until_rows(url, "SELECT first, last, gone IS NOT NULL FROM edgetwin.gap", [(7, 19, True)])
            said = await command("gaps")
            assert (said.returncode, said.stdout.count("does not have it any more")) == (0, 1)
