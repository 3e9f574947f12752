"""Records a CPU-second of the receiving end, beside a loop that only puts payloads into a table as they come.

    python tests/bench/store/receive.py --records 4000 --rounds 3

Summaries of 100 tags (columns, compressed) and events, half and half; mosquitto and PostgreSQL of our own. The bare
loop subscribes with QoS 1, lets the library acknowledge what has not been stored, and inserts each batch in one
transaction: no hash, no key, no rows for charts, no gaps. Both in one run, one after the other, on the same messages.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parents[2])]

import anyio  # noqa: E402
import psutil  # noqa: E402
import psycopg  # noqa: E402
from ingest_rig import event, names, publish, summary  # noqa: E402
from mqtt_rig import Mosquitto  # noqa: E402
from postgres_rig import Postgres  # noqa: E402

TAGS = [f"unit{n // 10}/tag{n}" for n in range(100)]
BARE = """
import asyncio, sys
import aiomqtt, psycopg

async def main(port, url):
    async with await psycopg.AsyncConnection.connect(url) as db, aiomqtt.Client("127.0.0.1", port) as client:
        await db.execute("CREATE TABLE record (topic text, payload bytea)")
        await db.commit()
        await client.subscribe("edgetwin/#", 1)
        print("subscribed", flush=True)
        messages = client.messages
        while True:
            batch = [await anext(messages)]
            while len(messages) and len(batch) < 500:
                batch.append(await anext(messages))
            async with db.cursor() as cursor:
                rows = [(str(m.topic), m.payload) for m in batch]
                await cursor.executemany("INSERT INTO record VALUES (%s, %s)", rows)
            await db.commit()

asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
"""


def commands(port, url):
    bare = [sys.executable, "-c", BARE, str(port), url]
    ours = [sys.executable, "-m", "agent.cli", "ingest", "--broker", f"mqtt://127.0.0.1:{port}", "--database", url]
    return {
        "bare": (bare, "subscribed", "SELECT count(*) FROM record WHERE topic NOT LIKE '%names%'"),
        "edgetwin": (ours, "connected as",
                     "SELECT (SELECT count(*) FROM edgetwin.event) + (SELECT count(*) FROM edgetwin.summary)"),
    }  # fmt: skip


def count(url, query):
    try:
        with psycopg.connect(url) as db:
            return db.execute(query).fetchone()[0]
    except psycopg.Error:
        return 0


async def measured(name, command, ready, query, url, port, messages, folder):
    """(wall s, CPU s of the receiver) from the first message to the last row."""
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, cwd=Path(__file__).parents[3])
    try:
        while ready not in log.read_text():
            await anyio.sleep(0.05)
        await publish(port, ("names/tank", names(TAGS)))
        before, begun = psutil.Process(process.pid).cpu_times(), time.monotonic()
        async with anyio.create_task_group() as group:
            for part in range(4):
                group.start_soon(publish, port, *messages[part::4])
        while await anyio.to_thread.run_sync(count, url, query) < len(messages):
            await anyio.sleep(0.05)
        after = psutil.Process(process.pid).cpu_times()
        return time.monotonic() - begun, after.user + after.system - before.user - before.system
    finally:
        process.kill()
        process.wait()


async def one_round(messages, postgres, folder, inflight):
    found = {}
    for name in ("bare", "edgetwin"):
        url = postgres.new_database()
        async with Mosquitto(folder, f"max_inflight_messages {inflight}", "max_queued_messages 0") as broker:
            command, ready, query = commands(broker.port, url)[name]
            found[name] = await measured(name, command, ready, query, url, broker.port, messages, folder)
        for stored in folder.glob("mosquitto.db"):
            stored.unlink()
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--inflight", type=int, default=20, help="what the broker lets be unacknowledged")
    asked = parser.parse_args()
    half = range(1, asked.records // 2 + 1)
    messages = [("event/tank", event(n)) for n in half]
    messages += [("summary/tank", zlib.compress(summary(n, TAGS, layout="columns"))) for n in half]
    messages = messages[::2] + messages[1::2]
    ratios = []
    with Postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        for number in range(asked.rounds):
            found = anyio.run(one_round, messages, postgres, Path(folder), asked.inflight)
            for name, (wall_s, cpu_s) in found.items():
                print(f"round {number + 1}: {name:8} {len(messages) / wall_s:7.0f} records/s, "
                      f"{len(messages) / cpu_s:7.0f} records a CPU-second of the receiver", flush=True)  # fmt: skip
            ratios.append(found["bare"][1] / found["edgetwin"][1])
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"records a CPU-second, edgetwin over bare: median {statistics.median(ratios):.2f} ({spread})")


if __name__ == "__main__":
    main()
