"""Kills a deployment at each of its steps on the disk, and looks at what the next start finds (rows 4 and 35).

    python tests/faults/deploy_kills.py [--folder DIR]

A child goes from version 1 to version 2: take a bundle, stage, apply, start, confirm, tidy. Before its n-th change of
the disk (open for writing, rename, remove, mkdir, chmod) it is killed by SIGKILL, for each n; then the next start must
find version 1 or version 2, whole; and what comes again from the broker must bring it to version 2. Prints what it
found as JSON. A kill loses nothing that was written, so that nothing is synced here; for power cuts, one run with real
syncs says whether all that is renamed was synced before, and the folder after.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fleet_rig import CSV, FILES, bundle, hand_in, place

from agent.control.deploy import orders, starting
from agent.control.deploy import state as states

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate"}
OLD = bundle(1)
NEW = bundle(2, {**FILES, "tags.csv": CSV + "a,c,input:1,uint16\n"})
WANTED = {1: CSV, 2: CSV + "a,c,input:1,uint16\n"}


def forward(made, what):
    """As the daemon does it: from an offer to a confirmed version, each state kept before the next step."""
    shelf = made.shelf
    for now in steps(made, shelf.state(), hand_in(made, what)):
        shelf.keep(now)
    shelf.tidy(shelf.state().folders)
    return shelf.state()


def steps(made, now, name):
    now = orders.offer(made, now, name).now
    yield now
    if not now.candidate:
        return
    yield (now := states.validating(now))
    yield (now := states.applying(now, frozenset(), frozenset()))
    yield (now := starting.begun(made.shelf, made.local, "boot").now)
    yield states.confirmed(now)


def killed_before(n, made):
    """A child that goes forward until its n-th change; False once it came to the end."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event, args):
            nonlocal count
            writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
            if event in CHANGES or writes:
                count += 1
                if count == n:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        forward(made, NEW)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or status == 0, status
    return os.WIFSIGNALED(status)


def at_rest(folder):
    """A gateway that runs version 1."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = place(folder)
    assert states.version_of(forward(made, OLD).in_force) == 1
    return made


def looked_at(made):
    """The version that the next start runs; every byte of it is what it should be."""
    start = starting.begun(made.shelf, made.local, "boot")
    version = states.version_of(start.now.in_force)
    assert (start.file.parent / "tags.csv").read_text() == WANTED[version]
    return version, start.now


def again(made, now):
    """What comes next: the trial is confirmed, or what is retained at the broker is offered again."""
    if now.trial:
        now = states.confirmed(now)
        made.shelf.keep(now)
    if states.version_of(now.in_force) == 1:
        if now.candidate:
            made.shelf.keep(states.applying(now, frozenset(), frozenset()))
            now = states.confirmed(starting.begun(made.shelf, made.local, "boot").now)
            made.shelf.keep(now)
        else:
            now = forward(made, NEW)
    return states.version_of(now.in_force)


def sweep(folder):
    found, n = Counter(), 1
    while True:
        made = at_rest(folder)
        killed = killed_before(n, made)
        version, now = looked_at(made)
        found["old" if version == 1 else "new"] += 1
        ended = again(made, now)
        assert ended == 2, f"killed before change {n}: ended with version {ended}, {made.shelf.state()}"
        if not killed:
            return {"kills": n - 1, "next_start_finds": dict(found), "came_to_the_new_one": n}
        n += 1


def renamed_unsynced(folder):
    """What was renamed in a whole run though not all of it had been synced, or its folder was not synced after."""
    made, synced, wrong, waiting = at_rest(folder), set(), [], set()

    def note_sync(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        synced.add(path)
        waiting.discard(path)

    def hook(event, args):
        if event != "os.rename":
            return
        source, target = Path(args[0]), Path(args[1])
        inside = [source, *(source.rglob("*") if source.is_dir() else ())]
        wrong.extend(str(path) for path in inside if str(path) not in synced)
        synced.add(str(target))
        if not target.parent.name.startswith(".new-"):  # that is synced as a whole, before its own rename
            waiting.add(str(target.parent))

    sys.addaudithook(hook)
    os.fsync = note_sync
    forward(made, NEW)
    return [*wrong, *sorted(waiting)]


if __name__ == "__main__":
    os.fsync = lambda descriptor: None
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    with tempfile.TemporaryDirectory() as scratch:
        folder = parser.parse_args().folder or Path(scratch) / "gateway"
        print(json.dumps({**sweep(folder), "renamed_unsynced": renamed_unsynced(folder)}))
