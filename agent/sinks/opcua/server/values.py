"""Snapshots as DataValues: what changed, and nothing else, is written in one pass.

A value is written when it, its status, its text or array differs from what was written before; its SourceTimestamp is
then the source's own stamp, or the sample's time on our axis as wall time. A Bad value is null (OPC 10000-4 §7.11).
"""

from __future__ import annotations

import asyncio
import datetime
import logging
import math
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.server.address_space import AddressSpace

from agent.core import quality
from agent.core.nouns import F8, Catalogue, Kind, Role, Snapshot
from agent.runtime import clock
from agent.sinks.opcua.server.space import Space, Variable

log = logging.getLogger(__name__)

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
SLICE = 50  # writes before publishing gets its turn: 2 to 5 ms with a few subscribers
NULL = ua.Variant()


class Sample(ua.DataValue):  # type: ignore[misc]
    """A DataValue that nobody changes: the deep copy for each subscriber (82 of 116 µs) need not copy it."""

    __slots__ = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Sample:
        """Itself."""
        return self


def stamp(wall_ns: int) -> datetime.datetime:
    """UTC nanoseconds as the library wants its times, to the microsecond."""
    return EPOCH + datetime.timedelta(microseconds=wall_ns // 1000)


class Asset:
    """What was last written of one asset."""

    def __init__(self, variables: list[Variable]) -> None:
        """Nothing was written yet. `variables` in the Catalogue's order."""
        self.variables = variables
        self.measured = np.array([v.point.role is Role.MEASURED for v in variables], np.bool_)
        self.snapshot: Snapshot | None = None

    def changed(self, snapshot: Snapshot) -> list[int]:
        """The rows that differ from what was last written, bit for bit."""
        old = self.snapshot
        if old is None:
            return list(range(len(self.variables)))
        differs = (snapshot.value.view(np.int64) != old.value.view(np.int64)) | (snapshot.status != old.status)
        texts = {
            row for row in snapshot.texts.keys() | old.texts.keys() if snapshot.texts.get(row) != old.texts.get(row)
        }
        new, before = snapshot.arrays, old.arrays
        arrays = {row for row in new.keys() | before.keys() if octets(new.get(row)) != octets(before.get(row))}
        return sorted(texts.union(arrays, np.flatnonzero(differs).tolist()))


def octets(array: F8 | None) -> bytes | None:
    """An array bit for bit."""
    return None if array is None else array.tobytes()


class Values:
    """Writes into the address space, and counts."""

    def __init__(self, space: Space, address_space: AddressSpace) -> None:
        """No Catalogue yet: `begin` brings it."""
        self._space = space
        self._address_space = address_space
        self._epoch = -1
        self._assets: dict[str, Asset] = {}
        self._complained: set[str] = set()
        self.written = 0
        self.errors = 0

    def begin(self, catalogue: Catalogue) -> None:
        """Write everything anew from the next Snapshots on; the nodes are those of `catalogue` already."""
        self._epoch = catalogue.epoch
        self._assets = {
            part.asset: Asset([self._space.variables[p.id] for p in catalogue.points[part.start : part.stop]])
            for part in catalogue.parts
        }

    async def show(self, snapshot: Snapshot) -> None:
        """Write what changed. A Snapshot of another epoch is passed over."""
        asset = self._assets.get(snapshot.asset)
        if asset is None or snapshot.epoch != self._epoch or len(snapshot.value) != len(asset.variables):
            return
        now_ns = clock.wall_ns()
        offset_ns = now_ns - clock.now_ns()  # of wall time from our axis, at this moment
        written_at = stamp(now_ns)
        for count, row in enumerate(asset.changed(snapshot), 1):
            source_ns = int(snapshot.source_ns[row]) or int(snapshot.time_ns[row]) + offset_ns
            await self._write(asset.variables[row], snapshot, row, stamp(source_ns), written_at)
            if count % SLICE == 0:
                await asyncio.sleep(0)
        asset.snapshot = snapshot

    async def lose(self, status: int) -> None:
        """Every value becomes Bad for one reason: the daemon does not tell us any more."""
        at = stamp(clock.wall_ns())
        bad = Sample(NULL, ua.StatusCode(status), at, at)
        for count, variable in enumerate(self._space.variables.values(), 1):
            await self._put(variable, variable.node, bad)
            if count % SLICE == 0:
                await asyncio.sleep(0)
        for asset in self._assets.values():
            asset.snapshot = None

    def service_level(self, now_ns: int) -> int:
        """OPC 10000-4 §6.6.2.4.2: 1 no data, 2 to 199 degraded, 200 to 255 healthy, by the share of fresh inputs.

        Fresh is a measured value that is not Bad, in a Snapshot not older than ten seconds.
        """
        total = fresh = 0
        for asset in self._assets.values():
            total += int(asset.measured.sum())
            if asset.snapshot is not None and now_ns - asset.snapshot.t_ns < 10_000_000_000:
                fresh += int((asset.measured & ~quality.bad_mask(asset.snapshot.status)).sum())
        if fresh == 0:
            return 1
        share = fresh / total
        return round(200 + 55 * (share - 0.9) / 0.1) if share >= 0.9 else 2 + int(197 * share / 0.9)

    async def _write(
        self, variable: Variable, snapshot: Snapshot, row: int, source: datetime.datetime, server: datetime.datetime
    ) -> None:
        beside = snapshot.texts.get(row, snapshot.arrays.get(row))
        value, status = variant(variable, float(snapshot.value[row]), beside, int(snapshot.status[row]))
        await self._put(variable, variable.node, Sample(value, ua.StatusCode(status), source, server))
        if variable.words is not None:
            word = variable.point.enum.get(value.Value, "") if value.Value is not None else ""
            text = ua.Variant(ua.LocalizedText(word), ua.VariantType.LocalizedText)
            await self._put(variable, variable.words, Sample(text, ua.StatusCode(), source, server))

    async def _put(self, variable: Variable, node: ua.NodeId, value: Sample) -> None:
        status = await self._address_space.write_attribute_value(node, ua.AttributeIds.Value, value)
        self.written += 1
        if not status.is_good():
            self.errors += 1
            if variable.point.id not in self._complained:
                self._complained.add(variable.point.id)
                log.error("opcua: %s cannot be written: %s", variable.point.id, status.name)


def variant(variable: Variable, value: float, beside: str | F8 | None, status: int) -> tuple[ua.Variant, int]:
    """(value, status) as they are published: null where Bad, or where there is nothing to publish.

    `beside`: the text or array of a point that is no number.
    """
    if quality.is_bad(status):
        return NULL, status
    if variable.point.kind in (Kind.TEXT, Kind.ARRAY):
        if beside is None:
            return NULL, quality.BAD_NO_DATA
        content = beside if isinstance(beside, str) else beside.tolist()
        return ua.Variant(content, variable.variant, is_array=variable.point.kind is Kind.ARRAY), status
    if variable.variant == ua.VariantType.Double:
        return ua.Variant(value, ua.VariantType.Double), status
    if not math.isfinite(value) or (variable.variant == ua.VariantType.UInt32 and not 0 <= value < 2**32):
        return NULL, quality.BAD_OUT_OF_RANGE if math.isfinite(value) else quality.BAD_NO_DATA
    return ua.Variant(int(value), variable.variant), status
