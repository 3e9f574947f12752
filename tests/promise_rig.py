"""Plant, daemon, broker, receiver and database as processes that are killed (-9) at random: nothing may be missing.

What the journal holds is held against the tables: every event and summary once, saying the same. Wall times are let
differ by a little: a record's stamp is made from the nearest look at the clock, and of those there are more later.
"""

import json
import math
import random
import struct
import subprocess
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import anyio
import psycopg
from mqtt_rig import Mosquitto, free_port
from postgres_rig import Postgres

from agent.sinks.mqtt import payload
from agent.store.read import Reader

ROOT = Path(__file__).parent.parent
KILLED = {"broker": ("daemon", "ingest"), "end_to_end": ("daemon", "ingest", "broker", "database")}
CLASSES = ("event", "summary")
STAMP_NS = 1_000_000_000

TAGS = "group,tag,source,address,type\n" + "".join(f"unit,tag{n},plc,holding:{n},uint16\n" for n in range(10))
LIMITS = "\n".join(f"      - {{tag: unit/tag{n}, high: {500 + 20 * n}}}" for n in range(10))
CONFIG = """\
gateway: {{id: g}}
state_dir: state
classes:
  machine@1:
    tags: tags.csv
    modes: {{always: running}}
    summary_s: 0.5
    limits:
{limits}
assets:
  - {{id: x, class: machine@1, period_s: 0.1, sources: {{plc: plc}}}}
  - {{id: y, class: machine@1, period_s: 0.1, sources: {{plc: plc}}}}
sources:
  - {{id: plc, type: modbus, host: 127.0.0.1, port: {plc}}}
sinks:
  - {{type: mqtt, host: 127.0.0.1, port: {broker}, acknowledge: {acknowledge}, confirm_timeout_s: 2, layout: {layout},
      compress_above_bytes: 500}}
"""


class Plant:
    """A Modbus server whose ten registers change all the time."""

    def __init__(self):
        self.port = free_port()

    async def run(self):
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=self.port) as server:
            await server.serve(self._answer)

    async def _answer(self, stream):
        async with stream:
            try:
                while True:
                    number, unit, _, _, count = struct.unpack(">HxxxxBBHH", await stream.receive(12))
                    values = [int(500 + 500 * math.sin(time.monotonic() * (3 + n))) for n in range(count)]
                    head = struct.pack(">HHHBBB", number, 0, 3 + 2 * count, unit, 3, 2 * count)
                    await stream.send(head + struct.pack(f">{count}H", *values))
            except (OSError, struct.error, anyio.EndOfStream, anyio.BrokenResourceError):
                pass


@dataclass
class Program:
    """One of our commands as a process, with its log."""

    arguments: list
    log: Path
    process: subprocess.Popen = None

    def start(self):
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "agent.cli", *map(str, self.arguments)]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait(20)
            self.process = None

    def stop(self):
        """SIGTERM; its exit code."""
        self.process.terminate()
        code, self.process = self.process.wait(30), None
        return code


@dataclass
class World:
    """All parts by name, each with start and kill."""

    folder: Path
    mode: str
    url: str
    parts: dict

    async def start(self, name):
        started = self.parts[name].start()
        if started is not None:
            await started

    @property
    def journal(self):
        return self.folder / "state" / "journal.db"


@dataclass
class Outcome:
    """What the journal held, and what of it the tables did not, or not so; how often what was killed."""

    kills: Counter = field(default_factory=Counter)
    records: Counter = field(default_factory=Counter)
    rows: int = 0
    faults: list = field(default_factory=list)
    off_ns: int = 0
    settled_s: float = 0.0
    codes: tuple = ()

    def __str__(self):
        kills = ", ".join(f"{name} {n}" for name, n in sorted(self.kills.items()))
        held = ", ".join(f"{n} of class {class_}" for class_, n in sorted(self.records.items()))
        lost = sum("missing" in fault for fault in self.faults)
        found = f"{len(self.faults)} faults, {lost} missing: {self.faults[:3]}" if self.faults else "each stands once"
        return (f"{sum(self.kills.values())} kills ({kills}); records of the journal: {held}; in the tables: {found}; "
                f"{self.rows} rows of tags; stamps differ by {self.off_ns / 1e6:.3f} ms at most; "
                f"settled in {self.settled_s:.1f} s")  # fmt: skip


@asynccontextmanager
async def world(folder, mode, layout="named", acknowledge=None):
    """Everything running; `mode` says what is killed, and how records are acknowledged unless that is said."""
    plant, broker, database = Plant(), Mosquitto(folder), Postgres()
    try:
        database.start()
        database.wait()
        url = database.new_database()
        (folder / "tags.csv").write_text(TAGS)
        config = CONFIG.format(
            plc=plant.port, broker=broker.port, acknowledge=acknowledge or mode, layout=layout, limits=LIMITS
        )
        (folder / "rig.yaml").write_text(config)
        daemon = Program(["run", folder / "rig.yaml"], folder / "daemon.log")
        address = f"mqtt://127.0.0.1:{broker.port}"
        ingest = Program(
            ["ingest", "--broker", address, "--database", url, "--client-id", "receiver"], folder / "ingest.log"
        )
        parts = {"database": database, "broker": broker, "ingest": ingest, "daemon": daemon}
        async with anyio.create_task_group() as group:
            group.start_soon(plant.run)
            whole = World(folder, mode, url, parts)
            for name in ("broker", "ingest"):
                await whole.start(name)
            with anyio.fail_after(30):  # what is published before anybody has subscribed, no broker keeps
                while "connected as receiver" not in ingest.log.read_text():
                    await anyio.sleep(0.05)
            await whole.start("daemon")
            yield whole
            group.cancel_scope.cancel()
    finally:
        for part in (locals().get("daemon"), locals().get("ingest"), broker):
            if part is not None:
                part.kill()
        database.__exit__()


async def trouble(whole, kills, seed, longest_s):
    """Kill one part after another at random moments, and start it again; which, how often.

    One that has only begun is killed too, but mostly one that has come to do something.
    """
    chance, names = random.Random(seed), KILLED[whole.mode]
    killed = Counter()
    for n in range(kills):
        name = names[n] if n < len(names) else chance.choice(names)
        if name == "daemon" and chance.random() < 0.8:
            await written(whole)
        await anyio.sleep(chance.uniform(0, longest_s))
        whole.parts[name].kill()
        killed[name] += 1
        await anyio.sleep(chance.uniform(0, 0.2))
        await whole.start(name)
        if n % 20 == 19:
            print(f"{n + 1} kills, {dict(counts(whole.journal))} in the journal", file=sys.stderr, flush=True)
    return killed


async def promised(whole, kills, seed=1, longest_s=1.5, patience_s=120):
    """Kill, let it come to rest, and hold the tables against the journal."""
    outcome = Outcome(await trouble(whole, kills, seed, longest_s))
    await written(whole)
    records = everything(whole.journal)
    begun = time.monotonic()
    with anyio.move_on_after(patience_s):
        while not await anyio.to_thread.run_sync(arrived, whole.url, records):
            await anyio.sleep(0.2)
    outcome.settled_s = time.monotonic() - begun
    outcome.codes = tuple([await anyio.to_thread.run_sync(whole.parts[name].stop) for name in ("daemon", "ingest")])
    judge(outcome, records, whole.url)
    return outcome


async def written(whole):
    """Until the daemon has written something more of each class."""
    before, daemon = counts(whole.journal), whole.parts["daemon"]
    with anyio.fail_after(60):
        while any(counts(whole.journal)[class_] <= before[class_] for class_ in CLASSES):
            assert daemon.process.poll() is None, daemon.log.read_text()[-2000:]
            await anyio.sleep(0.1)


def counts(journal):
    """How many records of each class there are; none where there is no journal yet."""
    try:
        reader = Reader.open(journal)
    except OSError:
        return Counter()
    try:
        return Counter(reader.counts())
    finally:
        reader.close()


def everything(journal):
    """All events and summaries of the journal by (class, epoch, seq)."""
    found, reader = {}, Reader.open(journal)
    try:
        for class_ in CLASSES:
            after = (0, 0)
            while (some := reader.unacknowledged("nobody", class_, after)).records:
                assert some.damaged == []
                found |= {(r.class_, r.epoch, r.seq): r for r in some.records}
                after = some.after
    finally:
        reader.close()
    return found


def arrived(url, records):
    """Whether the tables have as many of each class, up to the last that we look for."""
    with suppress(psycopg.Error), psycopg.connect(url) as db:  # the tables may be still to come
        for class_ in CLASSES:
            numbers = [seq for c, _, seq in records if c == class_]
            query = f"SELECT count(*) FROM edgetwin.{class_} WHERE seq <= %s"
            if db.execute(query, (max(numbers, default=0),)).fetchone()[0] < len(numbers):
                return False
        return True
    return False


def judge(outcome, records, url):
    with psycopg.connect(url) as db:
        for class_ in CLASSES:
            wanted = {k: r for k, r in records.items() if k[0] == class_}
            last = max((seq for _, _, seq in wanted), default=0)
            outcome.records[class_] = len(wanted)
            if {seq for _, _, seq in wanted} != {*range(1, last + 1)} or {e for _, e, _ in wanted} - {1}:
                outcome.faults.append(f"the journal itself has holes in {class_}")
            query = f"SELECT epoch, seq, hash, body::text FROM edgetwin.{class_} WHERE gateway = 'g' AND seq <= %s"
            stored = db.execute(query, (last,)).fetchall()
            outcome.faults += [
                f"{class_} {k} missing" for k in wanted.keys() - {(class_, e, s) for e, s, _, _ in stored}
            ]
            if len(stored) != len({row[:2] for row in stored}) or len(stored) > len(wanted):
                outcome.faults.append(f"{class_}: {len(stored)} rows for {len(wanted)} records")
            for epoch, seq, sealed, body in stored:
                compare(outcome, wanted.get((class_, epoch, seq)), sealed, body)
            gaps = db.execute("SELECT first, last FROM edgetwin.gap WHERE class = %s AND first <= %s", (class_, last))
            outcome.faults += [f"{class_}: gap {gap}" for gap in gaps.fetchall()]
        compare_rows(outcome, db, max(seq for c, _, seq in records if c == "summary"))
        rejected = db.execute("SELECT reason FROM edgetwin.rejected").fetchall()
        outcome.faults += [f"rejected: {reason}" for (reason,) in rejected]


def compare(outcome, record, sealed, body):
    """A stored message against the record that it was made of."""
    if record is None:
        return
    said, whole = json.loads(body), body.encode()
    if sha256(whole[: whole.rindex(b',"hash"')]).hexdigest()[:16] != sealed or said["hash"] != sealed:
        outcome.faults.append(f"{record.class_} {record.seq}: its bytes do not have its hash")
    layout = "columns" if "columns" in said else "named"
    meant = json.loads(payload.message("g", record, layout=layout).content)
    here, there = times(said), times(meant)
    outcome.off_ns = max([outcome.off_ns, *(abs(here[k] - there.get(k, 0)) for k in here)])
    if timeless(said) != timeless(meant) or here.keys() != there.keys() or outcome.off_ns > STAMP_NS:
        outcome.faults.append(f"{record.class_} {record.seq} says {body[:300]}, meant {meant}")


def timeless(tree):
    """Without wall times, and without the hash that is over them."""
    if not isinstance(tree, dict):
        return tree
    left_out = {"hash"} | {k for k in tree if k.endswith("_ns") and k != "boot_ns"}
    return {k: timeless(v) for k, v in tree.items() if k not in left_out and f"{k}_ns" not in tree}


def times(tree, path=""):
    found = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= times(value, f"{path}{name}.")
        elif name.endswith("_ns") and name != "boot_ns" and value is not None:
            found[path + name] = value
    return found


def compare_rows(outcome, db, last):
    """Each summary as ten rows, one a tag, with the figures of its body."""
    outcome.rows = db.execute("SELECT count(*) FROM edgetwin.tag_summary WHERE seq <= %s", (last,)).fetchone()[0]
    wrong = db.execute(
        "SELECT s.seq, count(t.tag), count(DISTINCT t.tag) FROM edgetwin.summary s LEFT JOIN edgetwin.tag_summary t"
        " ON (t.gateway, t.epoch, t.seq, t.time) = (s.gateway, s.epoch, s.seq, s.time)"
        " WHERE s.seq <= %s AND s.asset IN ('x', 'y') GROUP BY s.gateway, s.epoch, s.seq HAVING count(t.tag) <> 10"
        " OR count(DISTINCT t.tag) <> 10", (last,),
    ).fetchall()  # fmt: skip
    outcome.faults += [f"summary {seq} has {n} rows of {tags} tags" for seq, n, tags in wrong]
    named = db.execute(
        "SELECT count(*) FROM edgetwin.summary s JOIN edgetwin.tag_summary t USING (gateway, epoch, seq)"
        " WHERE s.body -> 'tags' IS NOT NULL"
        " AND (s.body -> 'tags' -> t.tag ->> 'last')::double precision IS DISTINCT FROM t.last"
    ).fetchone()[0]
    if named:
        outcome.faults.append(f"{named} rows differ from the bodies of their summaries")
