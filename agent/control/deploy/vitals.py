"""How the daemon is, as names for `health`: read off the newest snapshots and the meters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agent.control.deploy.health import CLOUD, Vitals
from agent.core.nouns import Snapshot
from agent.engine.asset import Asset
from agent.runtime import clock, meters

LATE_PERIODS = 3.0
LATE_S = 2.0


@dataclass(frozen=True, slots=True)
class Watched:
    """What is looked at: assets, ids of sources and of sinks that lead to the cloud, and the newest of each asset."""

    assets: Sequence[Asset]
    sources: Sequence[str]
    clouds: Sequence[str]
    newest: Mapping[str, Snapshot]

    def vitals(self) -> Vitals:
        """How it is now."""
        found = {name: well for part in (self._assets(), _units(), self._outside()) for name, well in part}
        return Vitals(frozenset(found), frozenset(name for name, well in found.items() if well))

    def _assets(self) -> Iterator[tuple[str, bool]]:
        counted, now_ns = meters.current(), clock.now_ns()
        for asset in self.assets:
            newest = self.newest.get(asset.id)
            late_ns = (LATE_PERIODS * asset.period_s + LATE_S) * 1e9
            yield f"asset {asset.id}", newest is not None and now_ns - newest.t_ns < late_ns
            yield from ((f"model {asset.id}/{name}", False) for name in asset.absent)
            for model in asset.models:
                yield f"model {asset.id}/{model.name}", not counted.read(f"model {asset.id}/{model.name}/faults")

    def _outside(self) -> Iterator[tuple[str, bool]]:
        counted = meters.current()
        for source in self.sources:
            yield f"source {source}", counted.read(f"{source}/connected") == 1
        if self.clouds:
            yield CLOUD, any(counted.read(f"{cloud}/connected") == 1 for cloud in self.clouds)


def _units() -> Iterator[tuple[str, bool]]:
    """Whatever is supervised: whether it met a bug."""
    counted = meters.current()
    for name in counted.names():
        unit, _, what = name.rpartition("/")
        if what == "restarts":
            yield f"unit {unit}", not counted.read(f"{unit}/bugs")
