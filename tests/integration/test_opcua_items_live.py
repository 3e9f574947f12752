"""What the OPC UA driver reads and how, against an asyncua server in a process of its own."""

import logging
from datetime import UTC, datetime

import numpy as np
import pytest
from driver_rig import running
from peers import opcua_server

from agent.core import quality
from agent.core.nouns import Tag, Write
from agent.drivers import opcua

pytestmark = pytest.mark.anyio

URI = "http://edgetwin.test/plc"
SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def config(port, **more):
    return opcua.Config(id="plc2", type="opcua", endpoint=f"opc.tcp://127.0.0.1:{port}/plc", **more)


def tag(name, kind="float64", options="", at=None, **more):
    more = {"scan_s": 0.5, **more}
    chosen = dict(option.split("=") for option in options.split(";") if option)
    return Tag(f"rig/plc/{name}", at or f"nsu={URI};s={name}", kind, options=chosen, **more)


@pytest.fixture(scope="module")
def shared():
    with opcua_server("late") as peer:
        yield peer


async def test_structures_members_arrays_and_all_sorts_of_values(shared):
    tags = [
        tag("motor#Speed", "float32", scale=2.0),
        tag("motor#State", enum={2: "running"}),
        tag("motor#Axes[1].Position"),
        tag("motor#Axes[0].Name", "string"),
        tag("motor#Loads", "int16[2]", scale=0.5, offset=1.0),
        tag("motor#Loads[1]"),
        tag("motor#Since"),
        tag("motor#Note", "string"),
        tag("motors#[1].Limit"),
        tag("motor", "string"),
        tag("either", "string"),
        tag("unknown", "string"),
        tag("state"),
        tag("matrix", "int16[6]"),
        tag("matrix#[1,2]"),
        tag("names", "string"),
        tag("when", "string"),
        tag("octets", "string"),
        tag("motor#Sped"),
        tag("array", "float64[3]"),
    ]
    async with running(opcua, config(shared.port), tags) as rig:
        await rig.until(lambda: len(rig.batches) >= 4 and rig.counts.min() >= 2)
        expected = [2961.0, 2.0, -2.5, np.nan, np.nan, -8.0, SINCE.timestamp(), np.nan, 2.5]
        np.testing.assert_array_equal(rig.value[:9], expected)
        assert rig.value[[12, 14]].tolist() == [2.0, 6.0]
        assert rig.arrays == {4: [4.5, -3.0], 13: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
        assert rig.texts == {
            3: "x",
            9: '{"Speed":1480.5,"State":2,"Axes":[{"Position":1.25,"Name":"x"},{"Position":-2.5,"Name":"y"}],'
            '"Loads":[7,-8],"Since":"2026-01-02T03:04:05+00:00","Limit":2.5}',
            10: '{"Text":"both"}',
            15: '["a","b"]',
            16: "2026-01-02T03:04:05+00:00",
            17: "01ff",
        }
        bad = {i: name for i, name in enumerate(rig.named()) if name != "Good"}
        assert bad == dict.fromkeys((7, 11, 18, 19), "BadTypeMismatch")
        assert (rig.server_ns[:3] > 1_600_000_000_000_000_000).all()
        assert not rig.downs


async def test_what_does_not_fit_is_told_once_in_the_log(shared, caplog):
    with caplog.at_level(logging.WARNING, "agent.drivers.opcua"):
        async with running(opcua, config(shared.port, check_s=0.1), [tag("unknown"), tag("array")]) as rig:
            await rig.until(lambda: rig.counts.min() >= 5)
    told = [r.getMessage() for r in caplog.records if r.name.startswith("agent.drivers.opcua")]
    assert sum("no definition" in text for text in told) == 2  # of the type, and of the tag
    assert "plc2: rig/plc/array: an array of 2 came, expected a number" in told
    assert len(told) == 3


async def test_browse_paths_by_index_and_by_uri_and_from_a_node(shared):
    tags = [
        tag("a", at="path:/Objects/2:Plant/2:fixed1"),
        tag("b", at=f"path:/Objects/{{{URI}}}Plant/{{{URI}}}fixed2"),
        tag("c", at=f"path:nsu={URI};s=Plant/2:fixed3"),
        tag("d", at="path:2:Plant/2:motor#Speed"),
        tag("e", at="path:/Objects/2:Plant/2:nothing"),
        tag("f", at="path:/Objects/{http://nobody}Plant"),
    ]
    async with running(opcua, config(shared.port), tags) as rig:
        await rig.until(lambda: rig.counts.min() >= 2)
        assert rig.value[:4].tolist() == [1.0, 2.0, 3.0, 1480.5]
        assert rig.named()[4:] == ["BadNodeIdUnknown"] * 2


async def test_a_node_that_appears_is_found_by_its_path():
    with opcua_server("late") as peer:
        tags = [tag("late", at=f"path:{{{URI}}}Plant/{{{URI}}}late")]
        async with running(opcua, config(peer.port, retry_refused_s=0.3), tags) as rig:
            await rig.until(lambda: rig.value[0] == 4.0, within_s=10)
            assert not rig.downs


async def test_several_cyclic_reads_side_by_side_with_a_subscription(shared):
    tags = [
        tag("fixed1", options="acquire=read", scan_s=0.1),
        tag("fixed2", options="acquire=read", scan_s=0.4, phase_s=0.2),
        tag("ramp", options="acquire=subscribe", scan_s=0.5),
        tag("fixed3", options="acquire=subscribe", scan_s=0.5),
    ]
    async with running(opcua, config(shared.port, publishing_s=0.1, check_s=0.5), tags) as rig:
        await rig.until(lambda: rig.counts[1] >= 5 and rig.counts[3] >= 4, within_s=10)
        assert rig.counts[0] >= 10
        slow = np.array([b.t_ns[0] for b in rig.batches if len(b.tag) == 1 and b.tag[0] == 1])
        late = (slow % 400_000_000) * 1e-9
        assert np.median(late) == pytest.approx(0.2, abs=0.1)
        # Never read, never changed: fresh because its subscription speaks.
        times = np.array([b.t_ns[b.tag == 3][0] for b in rig.batches if (b.tag == 3).any()])
        assert (np.diff(times) > 0).all(), times
        assert np.diff(times)[1:].max() < 2e9
        assert rig.good


async def test_only_subscribed_and_silent_is_found_though_nothing_changes(shared):
    tags = [tag("fixed1", options="acquire=subscribe"), tag("control", "string", "acquire=read", writable=True)]
    async with running(opcua, config(shared.port, check_s=0.2, publishing_s=0.1), tags) as rig:
        await rig.until(lambda: rig.counts[0] >= 3)
        await rig.write(Write("w", 1, 0.0, "silence"))
        before = rig.t_ns[0]
        await rig.until(lambda: rig.meters.read("plc2/resubscribed") == 1)
        await rig.until(lambda: rig.t_ns[0] > before + 1_000_000_000)
        assert not rig.downs


async def test_a_node_that_vanishes_is_bad_and_comes_back_with_its_notifications():
    with opcua_server() as peer:
        both, only = tag("fixed1"), tag("fixed1b", options="acquire=subscribe", at=f"nsu={URI};s=fixed1")
        tags = [both, only, tag("control", "string", writable=True), tag("ramp")]
        async with running(opcua, config(peer.port, check_s=0.1, retry_refused_s=0.3), tags) as rig:
            await rig.until(lambda: rig.value[:2].tolist() == [1.0, 1.0])
            await rig.write(Write("w", 2, 0.0, "remove"))
            await rig.until(lambda: rig.named()[0] == "BadNodeIdUnknown")
            await rig.until(lambda: rig.counts[3] > 50)
            assert rig.named()[3] == "Good"
            await rig.write(Write("w", 2, 0.0, "restore"))
            await rig.until(lambda: rig.value[0] == 11.0)
            assert not rig.downs


async def test_a_type_that_changes_is_a_mismatch_and_stops_nothing():
    with opcua_server() as peer:
        tags = [tag("changing"), tag("control", "string", writable=True), tag("fixed2")]
        async with running(opcua, config(peer.port, check_s=0.1), tags) as rig:
            await rig.until(lambda: rig.value[0] == 1.0)
            await rig.write(Write("w", 1, 0.0, "retype"))
            await rig.until(lambda: rig.named()[0] == "BadTypeMismatch")
            seen = rig.counts[2]
            await rig.until(lambda: rig.counts[2] > seen + 3)
            assert rig.value[2] == 2.0
            assert not rig.downs


async def test_each_item_has_the_queue_it_asks_for():
    with opcua_server() as peer:
        again = tag("burst2", at=f"nsu={URI};s=burst", options="queue=300")
        tags = [tag("burst", options="queue=5"), tag("control", "string", writable=True), again]
        async with running(opcua, config(peer.port, publishing_s=0.5, check_s=2.0), tags) as rig:
            await rig.until(lambda: rig.good)
            await rig.until(lambda: (rig.meters.read("plc2/notifications") or 0) >= 3)
            await rig.write(Write("w", 1, 0.0, "flood"))
            await rig.until(lambda: rig.value[0] == 200.0)

            def got():
                return {int(v) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True) if t == 2}

            await rig.until(lambda: got() == set(range(201)))
            few = {int(v) for b in rig.batches for t, v in zip(b.tag, b.value, strict=True) if t == 0}
            assert len(few) < 20


async def test_a_deadband_holds_though_this_server_compares_with_the_last_value_it_looked_at(shared, caplog):
    """asyncua's server never tells of a slow drift: the periodic read finds it, and the filter is done without."""
    tags = [
        tag("ramp", options="sampling=0.05", deadband=100.0, scale=10.0),
        tag("ramp2", options="trigger=status", at=f"nsu={URI};s=ramp"),
        tag("ramp3", at=f"nsu={URI};s=ramp"),
    ]
    with caplog.at_level(logging.WARNING, "agent.drivers.opcua"):
        async with running(opcua, config(shared.port, publishing_s=0.1, check_s=0.2), tags) as rig:
            await rig.until(lambda: rig.meters.read("plc2/filters_refused") == 1)
            told = rig.meters.read("plc2/resubscribed")
            start = rig.counts.copy()
            await rig.until(lambda: (rig.counts - start)[2] > 60, within_s=10)
            passed = np.concatenate([b.value[b.tag == 0] for b in rig.batches])
            steps = np.diff(passed[np.flatnonzero(np.diff(passed, prepend=np.nan))])
            assert (np.abs(steps) > 100.0).all()
            assert (rig.counts - start)[1] < (rig.counts - start)[2] / 1.5  # no notification of its value, only reads
            assert rig.meters.read("plc2/resubscribed") == told
    assert sum("misses slow changes" in r.getMessage() for r in caplog.records) == 1


async def test_writes_of_arrays_elements_times_and_what_is_refused(shared):
    tags = [
        tag("array", "float64[2]", writable=True),
        tag("names", "string", writable=True),
        tag("when", writable=True),
        tag("when2", "string", at=f"nsu={URI};s=when", writable=True),
        tag("state", writable=True),
        tag("motor#Speed", writable=True),
        tag("motor", "string", writable=True),
        tag("octets", "string", writable=True),
        tag("matrix", "int16[6]", writable=True),
        tag("matrix2", at=f"nsu={URI};s=matrix#[0,1]", writable=True),
        tag("fixed1", writable=True),
    ]
    async with running(opcua, config(shared.port, check_s=0.1), tags) as rig:
        await rig.until(lambda: rig.counts.min() >= 1)
        for write in (
            Write("when", 2, SINCE.timestamp() + 60.0),
            Write("state", 4, 1.0),
            Write("octets", 7, 0.0, "beef"),
            Write("matrix", 8, 0.0, None, (6.0, 5.0, 4.0, 3.0, 2.0, 1.0)),
        ):
            answer = await rig.write(write)
            assert answer.ok, answer
        await rig.until(lambda: rig.value[2] == SINCE.timestamp() + 60.0)
        await rig.until(lambda: rig.texts[7] == "beef" and rig.arrays[8] == [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
        for write, says in (
            (Write("1", 0, 0.0, None, (1.0, 2.0, 3.0)), "not write it"),
            (Write("2", 5, 1.0), "Speed is a member of a structure"),
            (Write("3", 6, 0.0, "{}"), "holds a structure"),
            (Write("4", 8, 0.0, None, (1.0,)), "1 values, expected 6"),
            (Write("5", 8, 0.0), "expected an array"),
            (Write("6", 3, 0.0, "yesterday"), "is no DateTime"),
            (Write("7", 10, 1.0), "not write it"),
            (Write("8", 1, 0.0, "z"), "expected a tag of type string[] or an element"),
        ):
            answer = await rig.write(write)
            assert not answer.ok
            assert says in answer.text
        assert (await rig.write(Write("8", 3, 0.0, "2026-01-02T03:04:05Z"))).ok
        assert (await rig.write(Write("9", 7, 0.0, "01ff"))).ok
        assert (await rig.write(Write("10", 4, 2.0))).ok


async def test_small_batches_chosen_in_the_configuration(shared):
    tags = [tag(f"fixed{i}") for i in range(20)] + [
        tag("p", at=f"path:2:Plant/2:fixed{1}"),
        tag("q", at="path:2:Plant/2:flag"),
    ]
    small = config(
        shared.port, max_nodes_per_read=3, max_items_per_call=4, max_nodes_per_translate=1, max_items_per_subscription=6
    )
    async with running(opcua, small, tags) as rig:
        await rig.until(lambda: rig.good and (rig.meters.read("plc2/notifications") or 0) >= 22)
        assert rig.value[:20].tolist() == list(range(20))
        assert rig.status.tolist() == [quality.GOOD] * 22
