"""`edgetwin store` as a user types it, on journals as the daemon writes them."""

import csv
import io
import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from history_rig import SECOND, WALL, keep, seconds, snapshot
from typer.testing import CliRunner

from agent.cli.commands import app
from agent.core.nouns import Condition, Event
from agent.store.record import EVENT, OVERFLOW, RAW, Entry, Lost
from agent.store.write import Store, Work

HOUR = "2023-11-14T22:13:20Z"  # WALL


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


def store(*arguments):
    return CliRunner().invoke(app, ["store", *map(str, arguments)])


def rows(done):
    return list(csv.DictReader(io.StringIO(done.stdout)))


def silence(t_s, active, name="plc1"):
    condition = Condition(f"gateway/{name}.communication", "gateway", f"gateway/{name}/connected", "communication",
                          "event", active=active, message=f"{name} does not answer")  # fmt: skip
    return Event(f"e{t_s}", "gateway", t_s * SECOND, "raised" if active else "cleared", "text", condition=condition)


def test_nothing_missing_is_said_in_a_line(path):
    keep(path, seconds(30))
    done = store("gaps", path)
    assert (done.exit_code, done.stdout) == (0, f"{path}: nothing is missing\n")


def test_holes_of_all_kinds_in_the_order_of_time(path):
    keep(path, seconds(30), events=[silence(5, True), silence(12, False), silence(28, True, "plc2")])
    keep(path, [replace(snapshot(n, t_ns=(n + 70) * SECOND), seq=(2 << 32) + n) for n in range(20)])
    opened, _ = Store.open(path, 50_000_000, "boot-1", "g")
    opened.commit(Work(lost=[Lost(EVENT, 3, OVERFLOW, 15 * SECOND, 16 * SECOND)]))
    opened.close()
    done = store("gaps", path)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()[1:]
    assert [line.split("  ")[-1].strip() for line in lines] == [
        "gateway/plc1.communication: plc1 does not answer",
        "event: 3 events never written: the disk took nothing for too long, and the memory for what waits was full "
        "(epoch 1, 4)",
        "gateway/plc2.communication: plc2 does not answer, to this moment",
        "m: edgetwin ended without its last cycle: killed, or the power was cut",
    ]
    assert lines[0].startswith("2023-11-14T22:13:25Z  2023-11-14T22:13:32Z        7s")
    some = json.loads(store("gaps", path, "--json", "--from", "2023-11-14T22:13:45Z").stdout)["gaps"]
    assert [(gap["kind"], gap["end"]) for gap in some] == [("silent", None), ("unrecorded", "2023-11-14T22:14:30Z")]


@pytest.mark.parametrize(("last", "says"), [(True, "edgetwin was stopped"), (False, "ended without its last cycle")])
def test_a_pause_says_how_it_began(path, last, says):
    keep(path, [*seconds(9), replace(snapshot(10, t_ns=10 * SECOND), last=last)])
    keep(path, seconds(5), boot="boot-2", offset=WALL + 3600 * SECOND)
    (line,) = store("gaps", path).stdout.splitlines()[1:]
    assert says in line
    assert ("the machine started anew" in line) is not last


def test_a_sound_journal_is_checked_also_while_it_is_written(path):
    keep(path, seconds(30))
    done = store("check", path)
    assert done.exit_code == 0, done.stdout
    assert "30 ticks and snapshots" in done.stdout
    assert "none is missing without a gap record (its pages and indexes too)" in done.stdout
    held, _ = Store.open(path, 50_000_000, "boot-1", "g")
    before = path.stat().st_mtime_ns
    beside = store("check", path, "--json")
    assert (beside.exit_code, json.loads(beside.stdout)["in_use"]) == (0, True)
    assert path.stat().st_mtime_ns == before
    held.close()


def damage(path, statement):
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE record SET body = zeroblob(9) WHERE seq = 2", "raw 1/2 (block of m, record 3): damaged"),
        ("UPDATE record SET t_ns = 5 WHERE class = 'raw' AND seq = 2", "raw 1/2 (block of m, record 3): damaged"),
        ("DELETE FROM record WHERE class = 'raw' AND seq = 2", "raw 1/2 to 1/2: neither there nor noted as missing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_and_nothing_is_changed(path, statement, says):
    keep(path, seconds(30))
    damage(path, statement)
    before = path.read_bytes()
    done = store("check", path)
    assert done.exit_code == 1
    assert says in done.stdout
    assert path.read_bytes() == before


def test_something_that_should_never_have_been_written_is_found(path):
    opened, _ = Store.open(path, 50_000_000, "boot-1", "g")
    opened.commit(Work(entries=[Entry(EVENT, "m", "event", 1, b"no event"), Entry(RAW, "m", "block", 1, b"\3no")]))
    opened.close()
    done = store("check", path)
    assert done.exit_code == 1
    assert done.stdout.count("cannot be read: not a") == 2


def test_a_wide_table_has_a_row_a_cycle(path):
    keep(path, seconds(30))
    done = store("export", path, "--from", "2023-11-14T22:13:24Z", "--to", "2023-11-14T22:13:27Z")
    assert done.exit_code == 0
    assert "3 rows" in done.stderr
    found = rows(done)
    assert [row["time"] for row in found] == [f"2023-11-14T22:13:2{n}.000Z" for n in (4, 5, 6)]
    assert [row["m/x/a"] for row in found] == ["4", "5", "6"]
    assert [row["m/x/text"] for row in found] == ["t4", "t5", "t6"]
    assert found[0]["m/x/a quality"] == "Good"
    assert found[0]["m/x/row"] == "4 5"
    bare = store("export", path, "--tags", "m/x/?", "--no-quality")
    assert bare.stdout.splitlines()[:2] == ["time,m/x/a,m/x/b", f"{HOUR[:-1].replace(':20', ':21')}.000Z,1,0"]


def test_a_long_table_has_a_row_a_value(path, tmp_path):
    keep(path, seconds(4))
    out = tmp_path / "long.csv"
    assert store("export", path, "--shape", "long", "--tags", "m/x/a,m/x/text", "--out", out).exit_code == 0
    found = list(csv.DictReader(out.read_text().splitlines()))
    assert [(row["point"], row["value"], row["text"]) for row in found] == [
        *(("m/x/a", str(n), "") for n in range(1, 5)),
        *(("m/x/text", "", f"t{n}") for n in range(1, 5)),
    ]


def test_parquet_holds_the_same(path, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    keep(path, seconds(30))
    out = tmp_path / "m.parquet"
    assert store("export", path, "--out", out).exit_code == 0
    found = parquet.read_table(out)
    assert found.column("m/x/a").to_pylist() == [float(n) for n in range(1, 31)]
    assert found.column("m/x/a quality").to_pylist()[0] == "Good"
    assert found.column("time").cast("int64").to_pylist() == [WALL + n * SECOND for n in range(1, 31)]


def test_events_are_a_table_too(path):
    keep(path, seconds(3), events=[silence(5, True), silence(12, False)])
    found = rows(store("export", path, "--events"))
    assert [(row["time"], row["change"]) for row in found] == [
        ("2023-11-14T22:13:25.000Z", "raised"),
        ("2023-11-14T22:13:32.000Z", "cleared"),
    ]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "soon"], "--from soon: expected a time as 2026-11-01"),
        (["--from", "-2h", "--to", "-3h"], "--from -2h is not before --to -3h"),
        (["--tags", "m/y/*"], "no point m/y/* in this journal"),
        (["--asset", "n"], "no asset n in this journal, there are m"),
        (["--out", "m.xls"], "--out m.xls: expected a name that ends with .csv or .parquet"),
    ],
)
def test_what_cannot_be_exported_is_one_line(path, arguments, says):
    keep(path, seconds(3))
    done = store("export", path, *arguments)
    assert done.exit_code == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_files_that_are_no_journal_are_one_line(tmp_path):
    (tmp_path / "notes.txt").write_text("no journal")
    for command in ("gaps", "check", "export"):
        for name in ("notes.txt", "absent.db"):
            done = store(command, tmp_path / name)
            assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    (tmp_path / "journal.db").write_bytes(b"SQLite format 3\0" + bytes(4000))
    done = store("check", tmp_path / "journal.db")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


CONFIG = """
gateway: {id: g}
state_dir: .
journal: {cap_mb: 50}
classes: {c@1: {tags: t.csv, sources: [plc], modes: {always: running}}}
assets: [{id: m, class: c@1, sources: {plc: plc1}}]
sources: [{id: plc1, type: modbus, host: 127.0.0.1}]
"""


@pytest.fixture
def config(tmp_path):
    (tmp_path / "t.csv").write_text(
        "group,tag,address,type\n" + "".join(f"x,t{n},holding:{n},uint16\n" for n in range(100))
    )
    (tmp_path / "c.yaml").write_text(CONFIG)
    return tmp_path / "c.yaml"


def test_a_plan_is_estimated_and_says_so_until_there_is_an_hour_of_history(config):
    done = store("plan", config)
    assert done.exit_code == 0
    assert "cap 50 MB; estimated, right to a factor of two: there is no" in done.stdout
    tree = json.loads(store("plan", config, "--json").stdout)
    assert tree["days"]["raw"] < tree["days"]["summary"] < tree["days"]["event"]
    assert 100 * 86400 < tree["bytes_a_day"]["raw"] < 100 * 86400 * 8
    halved = json.loads(store("plan", config, "--json", "--set", "journal.cap_mb=25").stdout)
    assert halved["days"]["raw"] == pytest.approx(tree["days"]["raw"] / 2, rel=0.1)


def test_a_plan_is_measured_where_there_is_history(config, path):
    keep(path, [snapshot(n, t_ns=n * 10 * SECOND) for n in range(1, 721)], per_block=60)
    done = store("plan", config)
    assert f"cap 50 MB; measured over 2.0 h of {path}" in done.stdout
    tree = json.loads(store("plan", config, "--json").stdout)
    with closing(sqlite3.connect(path)) as db:
        (size,) = db.execute("SELECT sum(length(body)) FROM record WHERE class = 'raw'").fetchone()
    assert size * 12 < tree["bytes_a_day"]["raw"] < size * 12 * 3
