"""Messages as gateways publish them, made here by hand, and a receiver in this process."""

import hashlib
import json
from contextlib import asynccontextmanager

import aiomqtt
import anyio
import psycopg

from agent.ingest import flow, options

START_NS = 1_790_000_000_000_000_000


def sealed(tree):
    said = json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode()[:-1]
    return said + b',"hash":"' + hashlib.sha256(said).hexdigest()[:16].encode() + b'"}'


def key_of(tags):
    return hashlib.sha256("\n".join(tags).encode()).hexdigest()[:16]


def event(seq, gateway="gw1", epoch=1, clock="synchronised", at_ns=None, **more):
    at_ns = START_NS + seq * 10**9 if at_ns is None else at_ns
    condition = {"id": "tank/level.high", "category": "alarm", "priority": "high", "active": seq % 2 == 1}
    return sealed({"gateway": gateway, "class": "event", "epoch": epoch, "seq": seq, "asset": "tank", "kind": "event",
                   "clock": clock, "id": f"tank-{seq}", "time_ns": at_ns, "change": "raised", "text": f"event {seq}",
                   "user": "", "condition": condition, "case": None} | more)  # fmt: skip


def summary(seq, tags, gateway="gw1", epoch=1, clock="synchronised", shift_ns=0, layout="named"):
    """Of tag i of n the figures are seq + i / 10."""
    end_ns = START_NS + seq * 10**9 + shift_ns
    figures = ("min", "mean", "max", "last", "std", "good")
    columns = {figure: [seq + i / 10 for i in range(len(tags))] for figure in figures}
    named = {tag: {figure: columns[figure][i] for figure in figures} for i, tag in enumerate(tags)}
    said = {"tags": named} if layout == "named" else {"names": key_of(tags), "columns": columns}
    return sealed({"gateway": gateway, "class": "summary", "epoch": epoch, "seq": seq, "asset": "tank",
                   "kind": "summary", "clock": clock, "start_ns": end_ns - 10**9, "end_ns": end_ns,
                   "closed_by": "window", "mode": "running", "context": {}, "score_max": None, **said})  # fmt: skip


def names(tags, gateway="gw1"):
    return json.dumps({"gateway": gateway, "asset": "tank", "names": key_of(tags), "tags": tags}).encode()


def rows(url, query):
    with psycopg.connect(url) as db:
        return db.execute(query).fetchall()


async def until_rows(url, query, expected, seconds=20):
    """Until a query gives what is expected; fails with what it gives at last."""
    with anyio.move_on_after(seconds):
        while (await anyio.to_thread.run_sync(found, url, query)) != expected:
            await anyio.sleep(0.05)
        return
    raise AssertionError(f"{query}: {found(url, query)}, expected {expected}")


def found(url, query):
    try:
        return rows(url, query)
    except psycopg.Error as error:  # the tables may be still to come, or the database away
        return str(error)


def chosen(port, url, client_id="one", **more):
    broker = options.broker(f"mqtt://127.0.0.1:{port}", client_id, "5", options.Credentials())
    return options.Options(broker, options.database(url), **more)


@asynccontextmanager
async def receiving(*many, seconds=20):
    """Receivers with these options, subscribed. TimeoutError: one is not, after so many seconds."""
    all_ready = False
    async with anyio.create_task_group() as group:
        with anyio.move_on_after(seconds):
            for one in many:
                ready = anyio.Event()
                group.start_soon(flow.run, one, ready)
                await ready.wait()
            all_ready = True
        if all_ready:
            yield
        group.cancel_scope.cancel()
    if not all_ready:
        raise TimeoutError("not subscribed")


async def publish(port, *messages, retain=False):
    """(topic under edgetwin/gw1, payload) each, acknowledged by the broker."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        client.pending_calls_threshold = 1000
        for topic, payload in messages:
            await client.publish(f"edgetwin/gw1/{topic}", payload, 1, retain)
