"""One scan class: the tags of one period, read in the fewest requests and put as one batch.

What a device refuses (exception 1, 2 or 3) is cut in halves until the one bad address stands alone; that division is
remembered. The bad tag is Bad and is asked again each `retry_refused_s`; once one is answered after all, the whole
class is planned anew. A unit that does not answer, or answers nonsense, where others on the endpoint do, is asked again
after a pause that doubles each time; its tags are Bad meanwhile and the others keep their period.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from agent.core import blocks, quality
from agent.core.nouns import Batch, Tag
from agent.core.registers import field_of
from agent.core.scaling import Scaling
from agent.drivers.modbus.config import Config, check
from agent.drivers.modbus.layout import Columns, Layout, Outcome
from agent.drivers.modbus.link import Link, NoAnswerError, Refused
from agent.runtime import clock

STATUS = {
    1: quality.BAD_NOT_SUPPORTED,
    2: quality.BAD_CONFIGURATION_ERROR,
    3: quality.BAD_OUT_OF_RANGE,
    4: quality.BAD_DEVICE_FAILURE,
    10: quality.BAD_NO_COMMUNICATION,
    11: quality.BAD_NO_COMMUNICATION,
}
CUT = (2, 3)
LASTING = (1, 2, 3)
SILENT = (10, 11)
NOTHING = np.zeros(0, np.uint16)


@dataclass(frozen=True, slots=True)
class Planned:
    """A request of the plan; `refused` is the exception code it was refused with, if it was."""

    block: blocks.Block
    refused: int = 0
    retry_ns: int = 0


@dataclass(slots=True)
class Units:
    """Which units of an endpoint are silent, shared by its scan classes. An endpoint of one unit has no use for it."""

    all: frozenset[int]
    retry_ns: dict[int, int] = field(default_factory=dict)
    pause_s: dict[int, float] = field(default_factory=dict)

    def silent(self, unit: int, now_ns: int) -> bool:
        """Whether a unit is to be left alone for now."""
        return self.retry_ns.get(unit, 0) > now_ns

    def failed(self, unit: int, first_s: float, longest_s: float) -> bool:
        """Take note that a unit did not answer; False when no unit is left that does."""
        self.pause_s[unit] = min(2 * self.pause_s.get(unit, first_s / 2), longest_s)
        self.retry_ns[unit] = clock.now_ns() + int(self.pause_s[unit] * 1e9)
        return len(self.pause_s) < len(self.all)

    def answered(self, unit: int) -> None:
        """Take note that a unit answered."""
        if unit in self.pause_s:
            del self.pause_s[unit], self.retry_ns[unit]


class ScanClass:
    """The tags of one period. `rows` index the source's tags."""

    def __init__(self, config: Config, tags: Sequence[Tag], rows: Sequence[int], units: Units) -> None:
        """Plan the requests; a tag that can never be read is Bad in each batch."""
        self._config = config
        self._units = units
        self.period_s = tags[rows[0]].scan_s
        wrong = {i for i, _ in check(config, [replace(tags[row], writable=False) for row in rows])}
        self._wrong = np.array([row for i, row in enumerate(rows) if i in wrong], np.int32)
        self._rows = np.array([row for i, row in enumerate(rows) if i not in wrong], np.int32)
        self._fields = [field_of(tags[row], config.unit_id, config.address_base) for row in self._rows]
        self._scaling = Scaling.of([tags[row] for row in self._rows])
        self._plan = self._planned()
        self._layout = self._laid_out()

    def _planned(self) -> list[Planned]:
        c = self._config
        return [Planned(b) for b in blocks.plan(self._fields, None, c.max_gap, c.max_registers, c.max_bits)]

    def _laid_out(self) -> Layout:
        return Layout.of([p.block for p in self._plan], self._fields, self._rows, self._scaling)

    async def poll(self, link: Link) -> Batch:
        """Read all blocks once. OSError when no unit of the endpoint answers."""
        waiting, plan, outcomes = deque(self._plan), [], []
        divided = recovered = False
        while waiting:
            planned = waiting.popleft()
            try:
                outcome = await self._asked(link, planned)
            except Refused as refused:
                if refused.code in CUT and len(planned.block.rows) > 1:
                    cut = blocks.halves(self._fields, planned.block, self._config.max_gap)
                    waiting.extendleft(Planned(b) for b in reversed(cut))
                    divided = True
                    continue
                planned = self._put_off(planned, refused.code)
                outcome = _bad(planned.block, STATUS.get(refused.code, quality.BAD_COMMUNICATION_ERROR))
            recovered = recovered or (planned.refused != 0 and outcome.status == 0)
            plan.append(planned)
            outcomes.append(outcome)
        self._plan = plan
        if divided:
            self._layout = self._laid_out()
        batch = self._batch(self._layout.columns(outcomes))
        if recovered:
            self._plan = self._planned()
            self._layout = self._laid_out()
        return batch

    def _put_off(self, planned: Planned, code: int) -> Planned:
        """Ask again slowly where the refusal will last; in the next period where it will not (busy, device failure)."""
        if code in SILENT and len(self._units.all) > 1:
            self._units.failed(planned.block.unit, self.period_s, self._config.retry_unit_s)
        if code not in LASTING:
            return replace(planned, refused=0)
        return replace(planned, refused=code, retry_ns=clock.now_ns() + int(self._config.retry_refused_s * 1e9))

    async def _asked(self, link: Link, planned: Planned) -> Outcome:
        block, now_ns = planned.block, clock.now_ns()
        if self._units.silent(block.unit, now_ns):
            return _bad(block, quality.BAD_NO_COMMUNICATION)
        if planned.refused and now_ns < planned.retry_ns:
            return _bad(block, STATUS[planned.refused])
        try:
            values, t_ns = await link.read(block, once=block.unit in self._units.pause_s)
        except (TimeoutError, NoAnswerError):
            if not self._units.failed(block.unit, self.period_s, self._config.retry_unit_s):
                raise
            return _bad(block, quality.BAD_NO_COMMUNICATION)
        self._units.answered(block.unit)
        return Outcome(block, values, quality.GOOD, t_ns)

    def _batch(self, found: Columns) -> Batch:
        k = len(self._wrong)
        if k == 0:
            none = np.zeros(len(found.tag), np.int64)
            return Batch(self._config.id, found.tag, found.value, found.status, found.t_ns, none, found.texts)
        return Batch(
            self._config.id,
            np.concatenate([found.tag, self._wrong]),
            np.concatenate([found.value, np.full(k, np.nan)]),
            np.concatenate([found.status, np.full(k, quality.BAD_CONFIGURATION_ERROR, np.uint32)]),
            np.concatenate([found.t_ns, np.full(k, clock.now_ns(), np.int64)]),
            np.zeros(len(found.tag) + k, np.int64),
            found.texts,
        )


def _bad(block: blocks.Block, status: int) -> Outcome:
    return Outcome(block, NOTHING, status, clock.now_ns())
