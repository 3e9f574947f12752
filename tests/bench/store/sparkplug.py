"""What telling a change costs in Sparkplug B, beside JSON of the same values, in one run.

    python tests/bench/store/sparkplug.py
    python tests/bench/store/sparkplug.py --tags 10000 --share 0.1

A snapshot of so many tags, of which a share has changed. Sparkplug: what changed is found (deadband, status, time of
each), and made a DDATA. JSON: a dict of name and value of what changed, by the standard library: no time, no quality.
Best of several rounds, CPU time of this thread.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[3]))

from agent.core.nouns import Catalogue, Mode, Part, Point, Role, Snapshot
from agent.sinks.mqtt.sparkplug import changes, metrics, payload

OFFSET_NS = 1_700_000_000_000_000_000


def snapshot(value):
    m, t_ns = len(value), 10**12
    return Snapshot("a", 1, 1, t_ns, value, np.zeros(m, np.uint32), np.full(m, t_ns - 10**6), np.zeros(m, np.int64), {},
                    Mode.RUNNING, {}, (), None, (), (), ())  # fmt: skip


def best_ms(what, rounds):
    spent = []
    for _ in range(rounds):
        start = time.thread_time_ns()
        what()
        spent.append((time.thread_time_ns() - start) / 1e6)
    return min(spent)


def main(tags, share, rounds):
    ids = [f"a/group{n // 50}/tag_{n}" for n in range(tags)]
    points = tuple(Point(i, Role.MEASURED, unit="m", eu_lo=0, eu_hi=1, description=f"Tag {i}") for i in ids)
    device = metrics.devices(Catalogue("g", 1, points, (Part("a", 0, tags),)))["a"]
    aliases, changed = metrics.Aliases(tags + 1), max(1, round(share * tags))
    before = np.random.default_rng(1).normal(size=tags)
    after = before.copy()
    after[:changed] += 1
    now = snapshot(after)
    told, born = changes.everything(device, snapshot(before), aliases, OFFSET_NS)

    def sparkplug():
        return payload.data(1, changes.differing(device, told, now, aliases, OFFSET_NS)[1], 1)

    def plain():
        pairs = zip(ids, after.tolist(), before.tolist(), strict=True)
        return json.dumps({name: new for name, new, old in pairs if new != old}).encode()

    ours, theirs = best_ms(sparkplug, rounds), best_ms(plain, rounds)
    found = best_ms(lambda: changes.differing(device, told, now, aliases, OFFSET_NS), rounds)
    birth = best_ms(lambda: payload.device_birth(0, born, 1), max(1, rounds // 10))
    print(f"{tags} tags, {changed} changed")
    print(f"  CPU     {ours:7.2f} ms a snapshot ({found:.2f} to find what changed), {ours / theirs:.1f} times JSON")
    print(f"  bytes   {len(sparkplug()) / changed:7.1f} a value, {len(sparkplug()) / len(plain()):.2f} of JSON")
    print(f"  a birth {birth:7.2f} ms, {len(payload.device_birth(0, born, 1)) / tags:.0f} bytes a metric (in a thread)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, default=1000)
    parser.add_argument("--share", type=float, default=0.1, help="of the tags that changes with each snapshot")
    parser.add_argument("--rounds", type=int, default=50)
    main(**vars(parser.parse_args()))
