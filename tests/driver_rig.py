"""Runs a driver as the daemon does: supervised, its batches kept, each checked for form as it comes."""

import math
import time
from contextlib import asynccontextmanager

import anyio
import numpy as np

from agent.core import quality
from agent.runtime import meters, supervise

QUICK = supervise.Backoff(0.05, 0.2)

# Two periods are the promise; a shared machine that runs other tests may look a little later.
SLACK_S = 0.5


class Rig:
    """The newest value, status, time and text of each tag of one driver, and all batches."""

    def __init__(self, driver, config, tags, keep=True):
        self.driver, self.config, self.tags = driver, config, tuple(tags)
        self.batches, self.downs, self.arrived_ns = [], [], []
        n = len(self.tags)
        self.value = np.full(n, math.nan)
        self.status = np.full(n, quality.BAD_WAITING_FOR_INITIAL_DATA, np.uint32)
        self.t_ns = np.zeros(n, np.int64)
        self.source_ns, self.server_ns = np.zeros(n, np.int64), np.zeros(n, np.int64)
        self.texts, self.arrays = {}, {}
        self.counts = np.zeros(n, int)
        self.meters = meters.install(meters.Meters())
        self._keep = keep
        self._send, self._receive = anyio.create_memory_object_stream(100)

    def put(self, batch):
        """Take a batch; assert that it is well-formed."""
        now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        well_formed(batch, self.config.id, len(self.tags), now_ns)
        if self._keep:
            self.batches.append(batch)
            self.arrived_ns.append(now_ns)
        for row, text in batch.texts:
            self.texts[int(batch.tag[row])] = text
        for row, array in batch.arrays:
            self.arrays[int(batch.tag[row])] = array.tolist()
        if len(batch.server_ns):
            self.server_ns[batch.tag] = batch.server_ns
        self.value[batch.tag] = batch.value
        self.status[batch.tag] = batch.status
        self.t_ns[batch.tag] = batch.t_ns
        self.source_ns[batch.tag] = batch.source_ns
        np.add.at(self.counts, batch.tag, 1)

    def down(self, reason):
        """What supervise does when a driver ends."""
        self.downs.append((time.clock_gettime_ns(time.CLOCK_BOOTTIME), reason))
        self.status[:] = quality.BAD_NO_COMMUNICATION
        self.value[:] = math.nan

    @property
    def good(self):
        """Whether every tag is Good."""
        return bool(quality.good_mask(self.status).all())

    @property
    def bad(self):
        """Whether every tag is Bad."""
        return bool(quality.bad_mask(self.status).all())

    def named(self):
        """The status of each tag in words."""
        return [quality.name(int(s)) for s in self.status]

    async def write(self, write):
        """Give the driver a write and wait for its answer."""
        answered, done = [], anyio.Event()

        def answer(given):
            answered.append(given)
            done.set()

        await self._send.send((write, answer))
        await done.wait()
        assert len(answered) == 1
        return answered[0]

    async def until(self, condition, within_s=5.0):
        """Wait for a condition; fail with what is known when it does not come."""
        started = time.monotonic()
        while not condition():
            assert time.monotonic() - started < within_s, (self.named(), self.value, self.downs[-3:], self.texts)
            await anyio.sleep(0.005)
        return time.monotonic() - started

    async def run(self):
        """The driver, kept running."""

        async def once():
            with self._receive.clone() as writes:
                await self.driver.run(self.config, self.tags, self.put, writes)

        await supervise.keep(self.config.id, once, down=self.down, backoff=QUICK, strict=True)

    def close(self):
        """Close the stream of writes."""
        self._send.close()
        self._receive.close()


@asynccontextmanager
async def running(driver, config, tags, keep=True):
    """A rig whose driver runs while the block does."""
    rig = Rig(driver, config, tags, keep)
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(rig.run)
            yield rig
            group.cancel_scope.cancel()
    finally:
        rig.close()


def well_formed(batch, source, n_tags, now_ns):
    """Columns of one length and the right types; rows exist; nothing from the future; Bad has no number."""
    k = len(batch.tag)
    assert batch.source == source
    expected = {"tag": np.int32, "value": np.float64, "status": np.uint32, "t_ns": np.int64, "source_ns": np.int64}
    for name, dtype in expected.items():
        column = getattr(batch, name)
        assert column.dtype == dtype, name
        assert column.shape == (k,), name
    assert ((batch.tag >= 0) & (batch.tag < n_tags)).all()
    assert (batch.t_ns <= now_ns).all()
    assert (batch.t_ns > now_ns - 60_000_000_000).all()
    assert np.isnan(batch.value[quality.bad_mask(batch.status)]).all()
    beside = [row for row, _ in (*batch.texts, *batch.arrays)]
    numbers = np.delete(np.arange(k), beside)
    assert np.isfinite(batch.value[numbers][quality.good_mask(batch.status[numbers])]).all()
    assert batch.server_ns.shape in ((0,), (k,))
    assert all(0 <= row < k and array.dtype == np.float64 and array.ndim == 1 for row, array in batch.arrays)
    assert all(0 <= row < k and isinstance(text, str) for row, text in batch.texts)
