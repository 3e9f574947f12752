"""Faults 3 and 5 to 10: torn logs, flipped bytes, zeros, a full, failing, read-only or slow disk. None of them stops
the journal, and what it said to be stored is there. The disks are real: a full tmpfs, system calls that fail."""

import os
import random
import resource
import shutil
import sqlite3
import subprocess
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from store_world import filling

from agent.store.read import Reader
from agent.store.record import EVENT, RAW, SUMMARY, ClockRow, Entry
from agent.store.write import Store, Work

BOOT, CAP = "boot-1", 4 << 20
STRACE = shutil.which("strace")
needs_strace = pytest.mark.skipif(STRACE is None, reason="needs strace: sudo apt-get install strace")


def events_of(path):
    """Numbers of the events that are there, in order."""
    reader = Reader.open(path)
    found = [int(r.body) for r in reader.records(EVENT, "tank")]
    reader.close()
    return found


def sound(path):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """(folder with a database and its log as a power cut leaves them, events in each commit)."""
    folder = tmp_path_factory.mktemp("logged")
    store, _ = Store.open(folder / "journal.db", CAP, BOOT, "g")
    store.commit(Work(clock=[ClockRow(0, 10**18, "synchronised")]))
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    store._db.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    ends = []
    for n in range(5):
        more = Entry(RAW, "tank", "block", n, random.Random(n).randbytes(3000))
        store.commit(Work(entries=[Entry(EVENT, "tank", "event", n, b"%d" % n), more]))
        ends.append((folder / "journal.db-wal").stat().st_size)
    yield folder, ends
    store.close()


def after_power_cut(logged, change):
    """Events that a store opened on the damaged log has: it opens, is sound, and goes on."""
    folder, _ = logged
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as place:
        path = Path(place) / "journal.db"
        shutil.copy(folder / "journal.db", path)
        log = path.with_name("journal.db-wal")
        log.write_bytes(change((folder / "journal.db-wal").read_bytes()))
        store, aside = Store.open(path, CAP, BOOT, "g")
        assert aside is None
        store.commit(Work(entries=[Entry(EVENT, "tank", "event", 99, b"99")]))
        store.close()
        *found, last = events_of(path)
        assert last == 99
        assert sound(path)
    return found


def test_a_log_cut_at_each_sector_goes_back_to_the_last_whole_commit(logged):
    _, ends = logged
    cuts = list(range(0, ends[-1], 512))
    for cut in cuts:
        found = after_power_cut(logged, lambda whole, cut=cut: whole[:cut])
        assert found == list(range(sum(end <= cut for end in ends))), cut
    print(f"{len(cuts)} cuts, each back at the last whole commit")


def test_a_sector_of_the_log_that_was_never_written_goes_back_to_the_commit_before_it(logged):
    _, ends = logged
    sectors = list(range(512, ends[-1] - 512, 512))[::3]
    for at in sectors:
        junk = random.Random(at).randbytes(512)
        found = after_power_cut(logged, lambda whole, at=at, junk=junk: whole[:at] + junk + whole[at + 512 :])
        assert found == list(range(sum(end <= at for end in ends))), at
    print(f"{len(sectors)} garbled sectors, each back at the commit before it")


@pytest.mark.parametrize("what", ["zeros", "nothing", "half of it"])
def test_a_database_that_is_none_is_set_aside_by_a_running_journal(tmp_path, what):
    path = tmp_path / "journal.db"
    with filling(path, cap=1 << 20) as child:
        child.until(lambda said: said["event"] and said["event"][1] > 30)
    whole = path.read_bytes()
    (tmp_path / "journal.db-wal").unlink(missing_ok=True)
    path.write_bytes({"zeros": bytes(len(whole)), "nothing": b"", "half of it": whole[: len(whole) // 2]}[what])
    with filling(path) as child:
        said = child.until(lambda said: said["event"] and said["event"][1] > 3)
    assert said["event"][0] == 2  # a new epoch, so that no name means two things
    assert (tmp_path / "journal.db.corrupt-1").exists() == (what != "nothing")
    assert sound(path)
    reader = Reader.open(path)
    assert {(gap.class_, gap.epoch, gap.count) for gap in reader.gaps()} == {(c, 1, 0) for c in (RAW, SUMMARY, EVENT)}
    reader.close()


@contextmanager
def small_disk(tmp_path, size):
    """A tmpfs of so many bytes; skips where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_on_a_disk_that_is_full_before_the_cap_the_oldest_raw_goes_and_events_stay(tmp_path):
    with small_disk(tmp_path, 1 << 20) as folder:
        path = folder / "journal.db"
        with filling(path, cap=16 << 20, rate=3000, flush_s=0.1) as child:
            said = child.until(lambda said: said["event"] and said["event"][1] > 500)
            assert said["late_s"] < 2.0
        reader = Reader.open(path)
        reasons = {(gap.class_, gap.reason) for gap in reader.gaps()}
        assert (RAW, "cap") in reasons
        assert not {class_ for class_, _ in reasons} - {RAW}
        reader.close()
        found = events_of(path)
        assert found == list(range(5, found[-1] + 1, 10))
        assert len(found) >= said["event"][1]


def test_where_nothing_fits_at_all_it_waits_in_memory_and_is_written_once_there_is_room(tmp_path):
    with small_disk(tmp_path, 1 << 20) as folder:
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(900 << 10))
        with filling(folder / "journal.db", rate=200) as child:
            said = child.until(lambda said: said["errors"] and said["number"] > 200)
            ballast.unlink()
            said = child.until(lambda said: said["event"] and said["event"][1] >= said["number"] // 10 - 5)
            assert (said["dropped"], said["late_s"] < 1.0) == (0, True)
        assert events_of(folder / "journal.db")[:3] == [5, 15, 25]


def limited(size):
    """Before the child begins: no file of it may grow beyond `size` bytes (EFBIG)."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_limit_on_the_size_of_files_stops_nothing(tmp_path):
    with filling(tmp_path / "journal.db", preexec_fn=limited(300 << 10), rate=1000) as child:
        said = child.until(lambda said: said["errors"] and said["number"] > 1500)
        assert said["late_s"] < 1.0


def injected(path, fault):
    """strace before the child: system calls on its database fail or are slow."""
    return [STRACE, "-f", "-qq", "-o", "/dev/null", "-P", str(path) + "-wal", "-e", f"inject={fault}"]


@needs_strace
@pytest.mark.parametrize(
    "fault", ["fdatasync:error=EIO:when=4..6", "pwrite64:error=EIO:when=60..70", "pwrite64:error=ENOSPC:when=60..70"]
)
def test_errors_of_the_disk_are_counted_and_what_waits_is_written_after_them(tmp_path, fault):
    path = tmp_path / "journal.db"
    with filling(path, before=injected(path, fault), rate=100) as child:
        said = child.until(
            lambda said: said["errors"] and said["event"] and said["event"][1] >= said["number"] // 10 - 5, 30
        )
        assert (said["dropped"], said["damaged"]) == (0, 0)
        assert said["late_s"] < 1.0
    found = events_of(path)
    assert found == list(range(5, found[-1] + 1, 10))
    assert len(found) >= said["event"][1]
    assert sound(path)


@needs_strace
def test_a_sync_that_takes_half_a_second_delays_nobody_but_the_writer(tmp_path):
    path = tmp_path / "journal.db"
    with filling(path, before=injected(path, "fdatasync:delay_enter=500000"), rate=100, flush_s=1.0) as child:
        late_s = child.until(lambda said: said["event"] and said["event"][1] >= 10, 30)["late_s"]
    assert late_s < 0.3, "the loop must not wait for the disk"


def test_a_folder_that_becomes_read_only_is_waited_for(tmp_path):
    with small_disk(tmp_path, 4 << 20) as folder:
        path = folder / "journal.db"
        with filling(path, rate=200) as child:
            child.until(lambda said: said["event"] and said["event"][1] > 10)
            # Lazily: the open file goes on, what is opened anew does not.
            again = subprocess.run(["mount", "-o", "remount,ro", folder], capture_output=True, check=False)
            if again.returncode != 0:
                os.chmod(folder, 0o500)
            child.until(lambda said: said["errors"] or again.returncode != 0)
            before = child.said()
            subprocess.run(["mount", "-o", "remount,rw", folder], check=False)
            os.chmod(folder, 0o700)
            child.until(lambda said: said["event"][1] >= said["number"] // 10 - 5 > before["number"] // 10)
        found = events_of(path)
        assert found == list(range(5, found[-1] + 1, 10))


def test_flipped_bytes_in_each_page_of_a_journal_never_stop_it_and_are_all_noticed(tmp_path):
    path, chance = tmp_path / "journal.db", random.Random(7)
    store, _ = Store.open(path, CAP, BOOT, "g")
    for n in range(40):
        block = Entry(RAW, "tank", "block", n, chance.randbytes(5000))
        store.commit(Work(entries=[block, Entry(SUMMARY, "tank", "summary", n, b"%d" % n * 50)]))
    store.close()
    whole, outcomes = path.read_bytes(), {"aside": 0, "gap": 0, "unharmed": 0}
    for page in range(0, len(whole), 2 * 4096):
        at = page + chance.randrange(4096)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        outcomes[_goes_on(path)] += 1
        for aside in tmp_path.glob("journal.db.*"):
            aside.unlink()
    print(f"one byte in each of {len(whole) // 4096} pages: {outcomes}")
    assert outcomes["gap"] > 10


def _goes_on(path):
    """What became of a journal with a flipped byte: all that it gives out is what was written."""
    try:
        reader = Reader.open(path)
    except OSError:
        reader = None
    damaged, suspect = [], reader is None
    if reader is not None:
        try:
            after = (0, 0)
            while (found := reader.unacknowledged("nobody", RAW, after)).after != after:
                damaged, after = damaged + found.damaged, found.after
                assert all(len(r.body) == 5000 for r in found.records)
        except OSError:
            suspect = True
        reader.close()
    store, aside = Store.open(path, CAP, BOOT, "g", damaged=suspect)
    store.commit(Work(entries=[Entry(EVENT, "tank", "event", 1, b"1")], damaged=damaged))
    store.close()
    return "aside" if aside else "gap" if damaged else "unharmed"
