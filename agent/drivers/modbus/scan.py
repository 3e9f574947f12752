"""One scan class: the tags of one period and phase, read in the fewest requests and put as one batch. It does no I/O.

What a device refuses (exception 2 or 3) is cut in halves until the one bad address stands alone; that division is
remembered. The bad tag is Bad and is asked again each `retry_refused_s`; once one is answered after all, the whole
class is planned anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from agent.core import blocks, quality
from agent.core.due import Due
from agent.core.nouns import I4, Batch, Tag
from agent.core.registers import field_of
from agent.core.scaling import Scaling
from agent.drivers.modbus.config import Config
from agent.drivers.modbus.layout import Columns, Layout, Outcome
from agent.drivers.modbus.planning import groups_of, limits_of
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

Values = Sequence[int] | npt.NDArray[np.generic]


@dataclass(slots=True, eq=False)
class Request:
    """A request of the plan, and what became of it since the last batch; `refused` is the exception code, if it was."""

    block: blocks.Block
    outcome: Outcome | None = None
    refused: int = 0
    retry_ns: int = 0


class ScanClass:
    """The tags of one period and phase. `rows` index the source's tags; `wrong` are those that can never be read."""

    def __init__(self, config: Config, tags: Sequence[Tag], rows: Sequence[int], wrong: frozenset[int]) -> None:
        """Plan the requests; a tag that can never be read is Bad in each whole batch."""
        self._id, self._retry_ns = config.id, int(config.retry_refused_s * 1e9)
        self.due = Due.of(tags[rows[0]].scan_s, tags[rows[0]].phase_s, clock.now_ns())
        self._wrong = np.array([row for row in rows if row in wrong], np.int32)
        self._rows = np.array([row for row in rows if row not in wrong], np.int32)
        mine = [tags[row] for row in self._rows]
        self._fields = [field_of(tag, config.unit_id, config.address_base) for tag in mine]
        self._groups, self._limits = groups_of(mine), limits_of(config)
        self._scaling = Scaling.of(mine)
        self._layout: Layout | None = None
        self._recovered = False
        self.plan = self._planned()
        self.todo: deque[Request] = deque()
        self.open = self.fresh = False

    def _planned(self) -> list[Request]:
        return [Request(block) for block in blocks.plan(self._readings(), self._limits)]

    def _readings(self) -> list[blocks.Reading]:
        """Made when they are needed, which is seldom: they are large."""
        return blocks.readings(self._fields, self._groups)

    def begin(self, now_ns: int, silent: Container[int]) -> None:
        """Begin a poll: everything is to do, but what silent units have, and what was refused and must wait."""
        self.open = True
        self.todo.clear()
        if self._recovered:
            self._recovered, self._layout = False, None
            self.plan = self._planned()
        for request in self.plan:
            request.outcome = None
            if request.block.unit in silent:
                self.silent(request, now_ns)
            elif request.refused and now_ns < request.retry_ns:
                request.outcome = Outcome((), STATUS[request.refused], now_ns)
            else:
                self.todo.append(request)

    def answered(self, request: Request, values: Values, t_ns: int) -> None:
        """Take the values of a request."""
        self._recovered = self._recovered or request.refused != 0
        request.refused, request.outcome = 0, Outcome(values, quality.GOOD, t_ns)
        self.fresh = True

    def refused(self, request: Request, code: int, now_ns: int) -> None:
        """Take an exception code: cut the block, or ask again slowly where the refusal will last.

        What may not last (busy, device failure) is asked again in the next poll.
        """
        cut = blocks.halves(self._readings(), request.block, self._limits) if code in CUT else []
        if len(cut) > 1:
            parts = [Request(block) for block in cut]
            at = self.plan.index(request)
            self.plan[at : at + 1] = parts
            self.todo.extendleft(reversed(parts))
            self._layout = None
            return
        request.refused = code if code in LASTING else 0
        request.retry_ns = now_ns + self._retry_ns
        request.outcome = Outcome((), STATUS.get(code, quality.BAD_COMMUNICATION_ERROR), now_ns)
        self.fresh = True

    def silent(self, request: Request, now_ns: int) -> None:
        """Take note that a request is not answered."""
        request.outcome = Outcome((), quality.BAD_NO_COMMUNICATION, now_ns)
        self.fresh = True

    def drop(self, unit: int) -> list[Request]:
        """Take all requests to a unit out of what is to do."""
        dropped = [request for request in self.todo if request.block.unit == unit]
        if dropped:
            self.todo = deque(request for request in self.todo if request.block.unit != unit)
        return dropped

    def again(self, unit: int) -> None:
        """Ask all of a unit that answers again, but what was just answered."""
        waiting = set(self.todo)
        owed = [r for r in self.plan if r.block.unit == unit and not r.refused and r not in waiting]
        self.todo.extend(r for r in owed if r.outcome is None or r.outcome.status)

    def request_of(self, unit: int) -> Request | None:
        """A request to try a unit with, best one that was not refused."""
        mine = sorted((r for r in self.plan if r.block.unit == unit), key=lambda r: r.refused != 0)
        return mine[0] if mine else None

    def batch(self, now_ns: int) -> Batch:
        """All outcomes since the batch before; a whole poll also has the tags that can never be read."""
        if self._layout is None:
            self._layout = Layout.of([r.block for r in self.plan], self._fields, self._rows, self._scaling)
        found = self._layout.columns([request.outcome for request in self.plan])
        for request in self.plan:
            request.outcome = None
        whole, self.open, self.fresh = self.open, False, False
        return self._told(found, self._wrong if whole else self._wrong[:0], now_ns)

    def _told(self, found: Columns, wrong: I4, now_ns: int) -> Batch:
        k = len(wrong)
        if k == 0:
            none = np.zeros(len(found.tag), np.int64)
            return Batch(self._id, found.tag, found.value, found.status, found.t_ns, none, found.texts, found.arrays)
        return Batch(
            self._id,
            np.concatenate([found.tag, wrong]),
            np.concatenate([found.value, np.full(k, np.nan)]),
            np.concatenate([found.status, np.full(k, quality.BAD_CONFIGURATION_ERROR, np.uint32)]),
            np.concatenate([found.t_ns, np.full(k, now_ns, np.int64)]),
            np.zeros(len(found.tag) + k, np.int64),
            found.texts,
            found.arrays,
        )
