"""CPU and loss of the OPC UA driver beside a bare asyncua subscription, each in a process of its own, same server.

    python tests/bench/bench_opcua.py [SECONDS]

A node-opcua server (npm) changes 1000 variables 10 times a second each; every value is one more than the one before, so
each gap is a lost value. The bare client counts notifications and does nothing else; the driver decodes, scales and
hands on batches, and reads all values each second besides.
"""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

VARIABLES, PER_SECOND, ROUNDS = 1000, 10, 3
URI = "http://edgetwin.test/plc"
WARM_S = 4.0


def lost(rows, values):
    """Values that never came: each variable counts up by one. The first second, in which the subscription is made, and
    the last, whose values may still be under way, are left out."""
    seen = np.unique(np.stack([rows.astype(np.int64), values.astype(np.int64)], axis=1), axis=0)
    first = np.zeros(VARIABLES, np.int64)
    first[seen[::-1, 0]] = seen[::-1, 1]
    low, high = first.max() + PER_SECOND, seen[:, 1].max() - PER_SECOND
    return VARIABLES * int(high - low + 1) - int(((seen[:, 1] >= low) & (seen[:, 1] <= high)).sum())


async def bare(url, seconds):
    """asyncua's own subscription, counting."""
    from asyncua import Client

    class Handler:
        def __init__(self):
            self.count, self.seen = 0, []

        def datachange_notification(self, node, value, data):
            self.count += 1
            self.seen.append((node, value))

    async with Client(url, timeout=20) as client:
        index = await client.get_namespace_index(URI)
        handler = Handler()
        nodes = [client.get_node(f"ns={index};s=v{i}") for i in range(VARIABLES)]
        subscription = await client.create_subscription(500, handler)
        await subscription.subscribe_data_change(nodes, queuesize=50, sampling_interval=0)
        await asyncio.sleep(WARM_S)
        before, used = handler.count, time.process_time()
        await asyncio.sleep(seconds)
        cpu, got = time.process_time() - used, handler.count - before
    row = {node.nodeid: i for i, node in enumerate(nodes)}
    seen = np.array([(row[node.nodeid], value) for node, value in handler.seen])
    return {"cpu": cpu, "received": got, "lost": lost(seen[:, 0], seen[:, 1])}


async def ours(url, seconds):
    """The driver, its batches counted."""
    from agent.core.nouns import Tag
    from agent.drivers import opcua
    from agent.runtime import meters

    counted = meters.install(meters.Meters())
    tags = [Tag(f"rig/a/{i}", f"nsu={URI};s=v{i}", options={"sampling": "0"}) for i in range(VARIABLES)]
    config = opcua.Config(id="plc", type="opcua", endpoint=url, publishing_s=0.5)
    kept = []

    async def no_writes():
        await asyncio.Event().wait()
        yield

    task = asyncio.create_task(opcua.run(config, tags, lambda b: kept.append((b.tag, b.value)), no_writes()))
    await asyncio.sleep(WARM_S)
    before, used = counted.read("plc/notifications"), time.process_time()
    await asyncio.sleep(seconds)
    cpu, got = time.process_time() - used, counted.read("plc/notifications") - before
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    others = {n: counted.read(f"plc/{n}") or 0 for n in ("overflows", "dropped", "resubscribed", "missed")}
    rows, values = (np.concatenate([batch[i] for batch in kept]) for i in (0, 1))
    good = np.isfinite(values)
    return {"cpu": cpu, "received": got, "lost": lost(rows[good], values[good]), **others}


def in_process(which, url, seconds):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, which, url, str(seconds)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


class Server:
    """The server process; `written()` asks it how many changes it made and what CPU it used."""

    def __init__(self, folder):
        from peers import free_port

        self.port = free_port()
        script = Path(__file__).with_name("opcua_server.js")
        self.process = subprocess.Popen(
            ["node", str(script), str(VARIABLES), str(PER_SECOND), str(self.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            env={**os.environ, "NODE_PATH": f"{folder}/node_modules"},
        )
        while not re.match("ready", self.process.stdout.readline()):
            pass

    def written(self):
        self.process.stdin.write("written\n")
        self.process.stdin.flush()
        for line in self.process.stdout:  # a library may say something of its own before
            if found := re.fullmatch(r"(\d+) ([\d.]+)\n", line):
                return int(found[1]), float(found[2])
        sys.exit("the server ended")

    def kill(self):
        self.process.kill()
        self.process.wait()


def main(seconds):
    from tempfile import mkdtemp

    from node_packages import installed

    folder = installed(Path(mkdtemp(prefix="edgetwin-bench-")), "node-opcua-server@2")
    server, found = Server(folder), {"bare": [], "ours": []}
    url = f"opc.tcp://127.0.0.1:{server.port}"
    try:
        for _ in range(ROUNDS):
            for which, rows in found.items():
                start, began = server.written()[0], time.monotonic()
                row = in_process(which, url, seconds)
                row["changes_per_s"] = (server.written()[0] - start) / (time.monotonic() - began)
                rows.append(row)
    finally:
        server.kill()
    print(f"{VARIABLES} items at {PER_SECOND} changes a second, {seconds:g} s each, {ROUNDS} rounds in turn (medians)")
    print(f"{'':24} {'changes/s':>10} {'received/s':>11} {'lost':>6} {'CPU %':>7} {'µs a value':>11}")
    for name, rows in (("bare asyncua", found["bare"]), ("this driver", found["ours"])):
        middle = {k: float(np.median([r[k] for r in rows])) for k in rows[0]}
        missing = sum(r["lost"] for r in rows)
        print(
            f"{name:24} {middle['changes_per_s']:10.0f} {middle['received'] / seconds:11.0f} {missing:6d} "
            f"{100 * middle['cpu'] / seconds:7.1f} {1e6 * middle['cpu'] / max(1.0, middle['received']):11.1f}"
        )
    each = [r["cpu"] / r["received"] for r in found["bare"]], [r["cpu"] / r["received"] for r in found["ours"]]
    print(f"CPU a value, driver / bare: {np.median(each[1]) / np.median(each[0]):.2f}")
    print({k: sum(r[k] for r in found["ours"]) for k in ("overflows", "dropped", "resubscribed", "missed")})


if __name__ == "__main__":
    if len(sys.argv) > 3:
        chosen = {"bare": bare, "ours": ours}[sys.argv[1]]
        print(json.dumps(asyncio.run(chosen(sys.argv[2], float(sys.argv[3])))))
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
