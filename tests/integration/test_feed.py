"""The feed over its socket: what a client sees, what it may do, and that none of them can hold up the others."""

import asyncio
import os
import pwd
import socket
import stat
import time
from contextlib import asynccontextmanager

import anyio
import pytest
from feed_taps import FakeTaps, catalogue, snapshot

from agent.core.nouns import Answer, Catalogue, Request, Snapshot
from agent.runtime import meters
from agent.sinks import feed as package
from agent.sinks.feed import protocol, server
from agent.sinks.feed.client import connect
from agent.sinks.feed.protocol import Kind

pytestmark = pytest.mark.anyio
ME = pwd.getpwuid(os.getuid()).pw_name


async def echo(request):
    return Answer(request.id, True, f"{request.user} {request.do} {request.target}")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "feed.sock"


@asynccontextmanager
async def serving(path, taps, ask=echo, **options):
    counted = meters.install(meters.Meters())
    config = package.Config(socket=path, **options)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(package.run, config, taps, ask)
        with anyio.fail_after(2):
            while not path.exists():
                await anyio.sleep(0.005)
        await anyio.sleep(0.01)
        yield counted
        tasks.cancel_scope.cancel()


async def next_of(feed, kind=Snapshot):
    with anyio.fail_after(2):
        async for noun in feed:
            if isinstance(noun, kind):
                return noun
    raise AssertionError("the feed ended")


async def closed(reader):
    with anyio.fail_after(2):
        while await reader.read(4096):
            pass


async def test_a_client_gets_the_catalogue_then_the_newest_of_each_asset_then_each_new_one(path):
    taps = FakeTaps()
    taps.put(catalogue(["tank/a/x"]), snapshot([1.0], seq=1), snapshot([2.0], seq=2), snapshot([7.0], asset="pump"))
    async with serving(path, taps), connect(path) as feed:
        assert isinstance(await anext(feed), Catalogue)
        first, second = await anext(feed), await anext(feed)
        assert {(s.asset, s.value[0]) for s in (first, second)} == {("tank", 2.0), ("pump", 7.0)}
        taps.put(snapshot([3.0], seq=3))
        assert (await next_of(feed)).seq == 3


async def test_the_socket_is_for_owner_and_group_only(path):
    async with serving(path, FakeTaps()):
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


async def test_a_request_is_answered_and_carries_the_user_the_kernel_names(path):
    async with serving(path, FakeTaps()), connect(path) as feed:
        answer = await feed.ask(Request("r1", "ack", "tank/high", user="somebody else"))
        assert answer == Answer("r1", True, f"{ME} ack tank/high")


async def test_answers_find_their_own_requests(path):
    async def slow_first(request):
        await anyio.sleep(0.05 if request.id == "r0" else 0)
        return Answer(request.id, True, request.target)

    async with serving(path, FakeTaps(), slow_first), connect(path) as feed:
        answers = await asyncio.gather(*[feed.ask(Request(f"r{i}", "ack", f"t{i}", "")) for i in range(5)])
        assert [a.text for a in answers] == [f"t{i}" for i in range(5)]


async def test_too_many_requests_at_once_are_refused_and_the_others_answered(path):
    release = anyio.Event()

    async def held(request):
        await release.wait()
        return Answer(request.id, True, "done")

    async with serving(path, FakeTaps(), held), connect(path) as feed:
        asked = [asyncio.create_task(feed.ask(Request(f"r{i}", "ack", "t", ""))) for i in range(20)]
        await anyio.sleep(0.1)
        release.set()
        answers = await asyncio.gather(*asked)
        assert sum(a.ok for a in answers) == server.ASKED_AT_ONCE
        assert "already under way" in next(a.text for a in answers if not a.ok)


async def test_what_was_asked_is_carried_to_its_end_though_the_asker_goes(path):
    started, finished = anyio.Event(), anyio.Event()

    async def slow(request):
        started.set()
        await anyio.sleep(0.1)
        finished.set()
        return Answer(request.id, True, "")

    async with serving(path, FakeTaps(), slow):
        async with connect(path) as feed:
            asked = asyncio.create_task(feed.ask(Request("r1", "write", "t", "")))
            await started.wait()
        with pytest.raises(ConnectionError, match="before it answered"):
            await asked
        with anyio.fail_after(2):
            await finished.wait()


async def test_a_beat_becomes_meters(path):
    async with serving(path, FakeTaps()) as counted, connect(path) as feed:
        await feed.beat("opcua", {"sessions": 3, "errors": 0})
        with anyio.fail_after(2):
            while counted.read("opcua/sessions") is None:
                await anyio.sleep(0.005)
        assert counted.read("opcua/sessions") == 3.0
        assert counted.read("feed/clients") == 1.0


async def test_a_client_that_does_not_read_holds_up_nobody_and_later_sees_the_newest(path):
    wide = [f"tank/a/x{i}" for i in range(3000)]
    taps = FakeTaps()
    taps.put(catalogue(wide))
    async with serving(path, taps), connect(path) as quick:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=1024)  # reads nothing
        await anyio.sleep(0.05)
        for seq in range(200):
            taps.put(snapshot([float(seq)] * 3000, seq=seq))
            seen = await next_of(quick)
        assert seen.seq == 199  # 200 snapshots of 84 kB went past the one that sleeps
        seen = []
        with anyio.fail_after(5):
            while 199 not in seen:
                header = await reader.readexactly(protocol.HEADER.size)
                length, kind = protocol.measure(header, protocol.DAEMON_MESSAGE_LIMIT)
                noun = protocol.unpack(kind, await reader.readexactly(length))
                if isinstance(noun, Snapshot):
                    seen.append(noun.seq)
        assert len(seen) < 20
        writer.close()


async def test_a_new_catalogue_comes_before_its_snapshots_and_drops_those_of_the_old_epoch(path):
    taps = FakeTaps()
    taps.put(catalogue(["tank/a/x"], epoch=1), snapshot([1.0], epoch=1))
    async with serving(path, taps):
        taps.put(catalogue(["tank/a/x", "tank/a/y"], epoch=2), snapshot([9.0], epoch=1), snapshot([1.0, 2.0], epoch=2))
        await anyio.sleep(0.02)
        async with connect(path) as feed:
            assert (await anext(feed)).epoch == 2
            assert (await anext(feed)).epoch == 2


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        protocol.HEADER.pack(10_000_000, Kind.REQUEST),
        protocol.HEADER.pack(4, Kind.REQUEST) + b"\xff\xff\xff\xff",
        protocol.pack(snapshot([1.0])),
        protocol.pack(protocol.Beat("../x", {"a": 1.0})),
        protocol.pack(protocol.Beat("x", {f"m{i}": 1.0 for i in range(65)})),
    ],
)
async def test_a_malformed_message_closes_only_that_client(path, sent):
    taps = FakeTaps()
    taps.put(catalogue(["tank/a/x"]))
    async with serving(path, taps) as counted, connect(path) as other:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(sent)
        await closed(reader)
        writer.close()
        assert counted.read("feed/malformed") == 1.0
        taps.put(snapshot([5.0]))
        assert (await next_of(other)).value[0] == 5.0
        assert (await other.ask(Request("r", "ack", "t", ""))).ok


async def test_one_client_more_than_the_cap_is_closed_and_the_others_stay(path):
    async with serving(path, FakeTaps(), clients=1), connect(path) as first:
        await first.ask(Request("r", "ack", "t", ""))
        async with connect(path) as second:
            with anyio.fail_after(2), pytest.raises(ConnectionError):
                await second.ask(Request("r", "ack", "t", ""))
        assert (await first.ask(Request("r", "ack", "t", ""))).ok


async def test_the_end_of_the_daemon_ends_the_iteration_after_the_last_snapshot(path):
    taps = FakeTaps()
    taps.put(catalogue(["tank/a/x"]))
    async with serving(path, taps), connect(path) as feed:
        await anext(feed)
        taps.put(snapshot([4.0], seq=4, last=True))
        taps.end()
        with anyio.fail_after(2):
            assert [noun.seq async for noun in feed] == [4]
        assert feed.error is None
        with pytest.raises(ConnectionError, match="gone"):
            await feed.ask(Request("r", "ack", "t", ""))


async def test_the_socket_of_a_dead_daemon_is_replaced(path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with serving(path, FakeTaps()), connect(path) as feed:
        assert (await feed.ask(Request("r", "ack", "t", ""))).ok


async def test_a_living_daemon_is_not_displaced(path):
    async with serving(path, FakeTaps()):
        with pytest.raises(OSError, match="another daemon serves this socket"):
            await package.run(package.Config(socket=path), FakeTaps(), echo)
        async with connect(path) as feed:
            assert (await feed.ask(Request("r", "ack", "t", ""))).ok


async def test_a_file_that_is_no_socket_is_left_alone(path):
    path.write_text("precious")
    with pytest.raises(OSError, match="is not a socket"):
        await package.run(package.Config(socket=path), FakeTaps(), echo)
    assert path.read_text() == "precious"


async def test_an_unknown_group_is_named(path):
    with pytest.raises(OSError, match="no group 'no-such-group'"):
        await package.run(package.Config(socket=path, group="no-such-group"), FakeTaps(), echo)


async def test_without_a_daemon_the_message_says_where_it_looked(path):
    with pytest.raises(ConnectionError, match=str(path)):
        async with connect(path):
            pass


def test_showing_costs_the_daemon_little(path):
    config = package.Config(socket=path)
    shown = server.Feed(config, echo, None)
    wide = catalogue([f"tank/a/x{i}" for i in range(1000)])
    shown.show(wide)
    one = snapshot([1.0] * 1000)
    start = time.process_time()
    for _ in range(100):
        shown.show(one)
    assert time.process_time() - start < 0.5  # 100 snapshots of 1000 points; 5 ms each would be a tenth of a cycle
