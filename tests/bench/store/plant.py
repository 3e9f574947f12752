"""A plant of so many tags for the benchmarks of store and cloud: what a PLC tends to give, a second at a time."""

import numpy as np

from agent.core.nouns import Batch, Mode, Summary, Tick
from agent.store import record

SECOND_NS = 1_000_000_000


def names(tags):
    kinds = ("level", "flow", "pressure", "temperature", "current", "state")
    return tuple(f"unit{n // 6:02d}/{kinds[n % 6]}" for n in range(tags))


class Plant:
    """Of six tags one walks slowly, four are noisy, at a resolution of a tenth or a hundredth; one is a state."""

    def __init__(self, tags, seed=1):
        self.random, self.tags = np.random.default_rng(seed), tags
        self.kind = np.arange(tags) % 6
        self.value = np.where(self.kind == 5, 1.0, self.random.uniform(5, 500, tags))

    def seconds(self, n):
        """f8[n, tags] of the next n seconds."""
        kind, random = self.kind, self.random
        walk = np.cumsum(random.normal(0, 0.02, (n, self.tags)), axis=0)
        noise = random.normal(0, 0.3, (n, self.tags)) * (kind > 0)
        x = self.value + walk + noise
        x = np.where(kind % 2, np.round(x, 1), np.round(x, 2))
        flips = np.cumsum(random.random((n, self.tags)) < 1 / 600, axis=0) % 2
        x = np.where(kind == 5, (self.value + flips) % 2, x)
        self.value = np.where(kind == 5, x[-1], self.value + walk[-1])
        return x


def summary(asset, start_ns, x):
    """The entry of a window over rows of one second each."""
    n, tags = x.shape
    good = np.full(tags, 1.0)
    columns = (x.min(0), x.mean(0), x.max(0), x[-1], x.std(0), good)
    window = Summary(
        asset, start_ns, start_ns + n * SECOND_NS, Mode.RUNNING, {}, "window", names(tags), *columns, np.nan
    )
    return record.summary(window)


def tick(asset, seq, now_ns, row):
    """The entry of a tick with one sample of each tag."""
    tags, times = np.arange(len(row), dtype=np.int32), np.full(len(row), now_ns, np.int64)
    batch = Batch("plc1", tags, row, np.zeros(len(row), np.uint32), times, times)
    return record.tick(Tick(asset, 1, seq, now_ns, (batch,)))
