"""A backup endpoint: two libmodbus servers, of which one or the other is killed, frozen and restarted. What is read
tells them apart: the backup holds 1111 in holding register 300."""

from contextlib import contextmanager

import anyio
import pytest
from driver_rig import running
from peers import libmodbus

from agent.core.address import Table
from agent.core.nouns import Tag, Write
from agent.drivers import modbus
from agent.drivers.modbus.wire.link import Link
from agent.runtime import meters

pytestmark = pytest.mark.anyio

MAIN, BACKUP = 0.0, 1111.0
TAGS = [Tag("rig/a", "holding:300", "uint16", scan_s=0.2), Tag("rig/b", "input:1", "uint16", scan_s=0.2)]


@contextmanager
def pair():
    """The main server, not started, and its backup, which runs."""
    main, backup = libmodbus(), libmodbus()
    try:
        yield main, backup.start()
    finally:
        main.kill()
        backup.kill()


def config(main, backup, **more):
    given = {"return_after_s": 0.5, "retries": 0, **more}
    return modbus.Config(
        id="plc1", type="modbus", host="127.0.0.1", port=main.port, backup_host="127.0.0.1", backup_port=backup.port,
        **given,
    )  # fmt: skip


async def mark(backup):
    meters.install(meters.Meters())
    link = Link(modbus.Config(id="m", type="modbus", host="127.0.0.1", port=backup.port), 1.0)
    await link.write(1, Table.HOLDING, 300, [int(BACKUP)])
    link.close()


def on_backup(rig):
    return rig.meters.read("plc1/backup")


async def test_the_backup_is_read_while_the_endpoint_is_off_and_the_endpoint_again_when_it_is_back():
    with pair() as (main, backup):
        await mark(backup)
        async with running(modbus, config(main, backup), TAGS) as rig:
            await rig.until(lambda: rig.good)
            assert (rig.value[0], on_backup(rig)) == (BACKUP, 1)
            main.start()
            await rig.until(lambda: rig.value[0] == MAIN)
            assert on_backup(rig) == 0
            main.kill()
            await rig.until(lambda: rig.value[0] == BACKUP)
            assert on_backup(rig) == 1
            backup.kill()
            await rig.until(lambda: rig.downs)
            assert f"127.0.0.1:{main.port}" in rig.downs[-1][1]
            assert f"127.0.0.1:{backup.port}" in rig.downs[-1][1]
            main.start()
            await rig.until(lambda: rig.good and rig.value[0] == MAIN)


async def test_an_endpoint_that_is_connected_and_silent_is_left_and_nothing_is_lost_by_trying_it_again():
    with pair() as (main, backup):
        await mark(backup)
        main.start()
        async with running(modbus, config(main, backup, timeout_s=0.1, return_after_s=0.3), TAGS) as rig:
            await rig.until(lambda: rig.value[0] == MAIN)
            main.freeze()
            await rig.until(lambda: rig.value[0] == BACKUP)
            before = len(rig.batches)
            await rig.until(lambda: len(rig.batches) >= before + 8)  # it was tried again meanwhile
            assert not rig.downs
            assert all(b.value[list(b.tag).index(0)] == BACKUP for b in rig.batches[before:])
            main.thaw()
            await rig.until(lambda: rig.value[0] == MAIN)
            assert not rig.downs


async def test_while_the_endpoint_stays_off_each_poll_comes_from_the_backup():
    with pair() as (main, backup):
        await mark(backup)
        async with running(modbus, config(main, backup, return_after_s=0.2), TAGS) as rig:
            await rig.until(lambda: len(rig.batches) >= 10)
            assert not rig.downs
            assert all(b.value[list(b.tag).index(0)] == BACKUP for b in rig.batches)
            assert rig.meters.read("plc1/lost") >= 3


async def test_one_dead_unit_is_no_reason_to_leave():
    with pair() as (main, backup):
        await mark(backup)
        main.start()
        tags = [*TAGS, Tag("rig/dead", "9/input:1", "uint16", scan_s=0.2)]
        async with running(modbus, config(main, backup, timeout_s=0.25, retry_unit_s=0.5), tags) as rig:
            await rig.until(lambda: len(rig.batches) >= 8)
            assert rig.named()[2] == "BadNoCommunication"
            assert on_backup(rig) == 0
            assert {float(b.value[list(b.tag).index(0)]) for b in rig.batches if 0 in b.tag} == {MAIN}


async def test_without_a_time_to_return_the_backup_is_kept_until_it_fails():
    with pair() as (main, backup):
        await mark(backup)
        async with running(modbus, config(main, backup, return_after_s=0), TAGS) as rig:
            await rig.until(lambda: rig.value[0] == BACKUP)
            main.start()
            before = len(rig.batches)
            await rig.until(lambda: len(rig.batches) >= before + 5)
            assert rig.value[0] == BACKUP
            backup.kill()
            await rig.until(lambda: rig.value[0] == MAIN)


async def test_a_write_and_its_reading_back_stay_with_what_is_read():
    with pair() as (main, backup):
        await mark(backup)
        tags = [Tag("rig/a", "holding:300", "uint16", scan_s=5.0, writable=True)]
        async with running(modbus, config(main, backup, return_after_s=0.1), tags) as rig:
            await rig.until(lambda: rig.value[0] == BACKUP)
            main.start()
            await anyio.sleep(0.2)  # the endpoint is due to be tried again, by the next poll
            answer = await rig.write(Write("w", 0, 1112.0))
            assert answer.ok, answer
            assert on_backup(rig) == 1


async def test_errors_are_counted_by_class():
    with libmodbus() as peer:
        given = {"host": "127.0.0.1", "port": peer.port, "timeout_s": 0.1, "retries": 0, "retry_unit_s": 60}
        tags = [
            Tag("rig/good", "1/input:1", "uint16", scan_s=0.2),
            Tag("rig/refused", "1/holding:60", "uint16", scan_s=0.2),
            Tag("rig/dead", "9/input:1", "uint16", scan_s=0.2),
        ]
        async with running(modbus, modbus.Config(id="plc1", type="modbus", **given), tags) as rig:
            await rig.until(lambda: len(rig.batches) >= 4)
            names = ("errors", "timeouts", "refused", "malformed", "lost", "unit_1_errors", "unit_9_errors")
            counted = {name: rig.meters.read(f"plc1/{name}") for name in names}
            timeouts = counted["timeouts"]
            assert timeouts >= 1
            assert counted == {
                "errors": 1 + timeouts, "timeouts": timeouts, "refused": 1, "malformed": 0, "lost": 0,
                "unit_1_errors": 1, "unit_9_errors": timeouts,
            }  # fmt: skip
            peer.kill()
            await rig.until(lambda: rig.downs)
            assert rig.meters.read("plc1/lost") >= 1
