"""What the daemon is to run, made from a configuration without problems: pure, and the same for the same input.

Each unit (a source, an asset, a sink) has a key, the hash of all that it is made from: a reload stops the units whose
key is gone, starts those whose key is new, and leaves the rest alone (decision 10).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from agent.config import gateway, kinds, pairing
from agent.config.consistency import FEED, GATEWAY, MODE, SELF
from agent.config.derived import trees
from agent.config.endpoints import meters, sink_meters
from agent.config.load import Loaded, LoadedAsset, read_from
from agent.config.model import Model as ConfigModel
from agent.config.rules import modes_of, rules_of
from agent.config.schema import TagRow
from agent.core import formula
from agent.core.nouns import Catalogue, Kind, Mode, Names, Part, Point, Role, Tag
from agent.engine.asset import Asset, Heartbeat, Modes
from agent.runtime.inbox import Route
from agent.twin import baseline as baselines

# What is no part of an asset's key: it changes where nothing else does, or is hashed in another form.
UNKEYED = ("epoch", "models", "derived", "key")


@dataclass(frozen=True, slots=True)
class SourceUnit:
    """One source to run: module agent/drivers/<type>. A Batch of it indexes `tags`."""

    id: str
    type: str
    config: ConfigModel
    tags: tuple[Tag, ...]
    key: str


@dataclass(frozen=True, slots=True)
class SinkUnit:
    """One sink to run: module agent/sinks/<type>."""

    id: str
    type: str
    config: ConfigModel
    key: str


@dataclass(frozen=True, slots=True)
class JournalPlan:
    """Where the journal lies and how large it may become."""

    path: Path
    cap_bytes: int
    flush_s: float
    raw: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is to run. The asset `gateway` and its source `self` come last, the sink `feed` first.

    `asset_keys` by asset id leave the epoch out: an asset that did not change goes on over a reload. `routes` by
    source id.
    """

    gateway: str
    epoch: int
    catalogue: Catalogue
    assets: tuple[Asset, ...]
    asset_keys: Mapping[str, str]
    sources: tuple[SourceUnit, ...]
    sinks: tuple[SinkUnit, ...]
    routes: Mapping[str, tuple[Route, ...]]
    state_dir: Path
    journal: JournalPlan
    feed_socket: Path


def plan(loaded: Loaded, epoch: int = 1) -> Plan:
    """The plan of a configuration."""
    machines = tuple(_asset(a, epoch) for a in loaded.assets)
    read = _sources(loaded, machines)
    timed = [f"{a.id}.{m.name}" for a in machines for p in a.pairs for m in a.models[p.number : p.number + 2]]
    own = _gateway(loaded, read, timed, epoch)
    assets = tuple(replace(asset, key=_asset_key(asset)) for asset in (*machines, own))
    sources = (*read, _self(own))
    sinks = (_feed(loaded), *(SinkUnit(s.id, s.type, s.config, _key(s.id, s.type, s.config)) for s in loaded.sinks))
    journal = loaded.journal
    return Plan(
        gateway=loaded.file.gateway.id,
        epoch=epoch,
        catalogue=_catalogue(loaded, assets, epoch),
        assets=assets,
        asset_keys={a.id: a.key for a in assets},
        sources=sources,
        sinks=sinks,
        routes={source.id: _routes(source.tags, assets) for source in sources},
        state_dir=loaded.places.state_dir,
        journal=JournalPlan(loaded.journal_path, int(journal.cap_mb * 1e6), journal.flush_s, journal.raw),
        feed_socket=loaded.places.feed,
    )


def _sources(loaded: Loaded, assets: Sequence[Asset]) -> tuple[SourceUnit, ...]:
    known = {tag.id: tag for asset in assets for tag in asset.tags}
    tags = {
        s.id: tuple(known[f"{a.asset.id}/{row.name}"] for a, row in read_from(loaded.assets, s.id))
        for s in loaded.sources
    }
    return tuple(
        SourceUnit(s.id, s.type, s.config, tags[s.id], _key(s.id, s.type, s.config, tags[s.id])) for s in loaded.sources
    )


def _self(own: Asset) -> SourceUnit:
    config = kinds.driver(SELF).Config(id=SELF, type=SELF)
    return SourceUnit(SELF, SELF, config, own.tags, _key(SELF, SELF, config, own.tags))


def _feed(loaded: Loaded) -> SinkUnit:
    config = kinds.sink(FEED).Config(type=FEED, socket=loaded.places.feed, group=loaded.file.feed.group)
    return SinkUnit(FEED, FEED, config, _key(FEED, FEED, config))


def _asset(loaded: LoadedAsset, epoch: int) -> Asset:
    """The engine's view of an asset: measured points, then its mode, then the points of each model."""
    tags = tuple(loaded.tag(row) for row in loaded.rows)
    names = Names(row.name for row in loaded.rows)
    rules = rules_of(loaded)
    points = [*_measured(tags), _mode_point(loaded.asset.id)]
    placed = pairing.placed(loaded, len(points), rules)
    points += placed.points
    texts = {len(points) + row: baselines.text(m.baseline) for row, m in enumerate(loaded.models)}
    points += [_baseline_point(loaded.asset.id, m.name) for m in loaded.models]
    told = _told(loaded)
    texts |= {len(points) + row: text for row, (_, text) in enumerate(told)}
    points += [point for point, _ in told]
    return Asset(
        id=loaded.asset.id,
        epoch=epoch,
        period_s=loaded.asset.period_s,
        tags=tags,
        names=names,
        points=tuple(points),
        modes=modes_of(loaded.kind.modes),
        context=dict(loaded.kind.context),
        rules=rules,
        models=placed.models,
        summary_s=loaded.kind.summary_s,
        stale_s=tuple(_stale_s(loaded, row) for row in loaded.rows),
        heartbeats=_heartbeats(loaded),
        derived=formula.compiled(tags, names, trees(loaded.rows)),
        texts=texts,
        pairs=placed.pairs,
        absent=dict(loaded.refused),
    )


def _stale_s(loaded: LoadedAsset, row: TagRow) -> float:
    """A derived tag is as good as its operands."""
    periods_s = max(row.scan or 0.0, loaded.asset.period_s)
    return math.inf if row.expression else loaded.kind.stale_periods * periods_s


def _heartbeats(loaded: LoadedAsset) -> tuple[Heartbeat, ...]:
    of = [loaded.source(row) for row in loaded.rows]
    return tuple(
        Heartbeat(n, row.name, row.heartbeat, tuple(m for m, source in enumerate(of) if source == of[n]))
        for n, row in enumerate(loaded.rows)
        if row.heartbeat is not None
    )


def _gateway(loaded: Loaded, read: Sequence[SourceUnit], timed: Sequence[str], epoch: int) -> Asset:
    sources = {s.id: meters(s, unit.tags) for s, unit in zip(loaded.sources, read, strict=True)}
    of_sinks = {s.id: sink_meters(s) for s in loaded.sinks}
    sinks = [(FEED, FEED), *((s.id, s.type) for s in loaded.sinks)]
    tags = gateway.tags(sources, sinks, timed, of_sinks, loaded.file.gateway.managed == "fleet")
    return Asset(
        id=GATEWAY,
        epoch=epoch,
        period_s=1.0,
        tags=tags,
        names=Names(tag.address for tag in tags),
        points=(*_measured(tags), _mode_point(GATEWAY)),
        modes=Modes(otherwise=Mode.RUNNING),
        rules=gateway.rules(sources, of_sinks),
        stale_s=tuple(3.0 * tag.scan_s for tag in tags),
    )


def _measured(tags: Sequence[Tag]) -> tuple[Point, ...]:
    return tuple(
        Point(
            id=t.id,
            role=Role.MEASURED,
            kind=t.kind,
            unit=t.unit,
            eu_lo=t.eu_lo,
            eu_hi=t.eu_hi,
            enum=t.enum,
            description=t.description,
            type=t.published_type,
            deadband=t.deadband,
            trace=t.trace,
        )
        for t in tags
    )


def _mode_point(asset: str) -> Point:
    words = {m.value: m.word for m in Mode}
    return Point(f"{asset}/{MODE}", Role.MODE, kind=Kind.ENUMERATION, enum=words, description="What it is doing")


def _baseline_point(asset: str, model: str) -> Point:
    about = f"Whether the alerts of model {model} are believed, and why"
    return Point(f"{asset}/state/{model}.baseline", Role.STATUS, kind=Kind.TEXT, description=about)


def _told(loaded: LoadedAsset) -> list[tuple[Point, str]]:
    """What there is to say of models that are absent, or run otherwise than they should."""
    at = f"{loaded.asset.id}/state"
    absent = [(f"{at}/{name}.absent", f"Why model {name} is absent", why) for name, why in loaded.refused.items()]
    slow = [(f"{at}/{m.name}.runs_by", f"What runs model {m.name}", m.by) for m in loaded.models if "numpy" in m.by]
    return [(Point(i, Role.STATUS, kind=Kind.TEXT, description=about), text) for i, about, text in absent + slow]


def _catalogue(loaded: Loaded, assets: Sequence[Asset], epoch: int) -> Catalogue:
    file, parts, start = loaded.file, list[Part](), 0
    models = {a.asset.id: {m.name: m.file_sha256 for m in a.models if m.file_sha256} for a in loaded.assets}
    about = {a.asset.id: (a.asset.name or a.asset.id, a.asset.kind, a.asset.path) for a in loaded.assets}
    about[GATEWAY] = (file.gateway.name or file.gateway.id, "", ())
    for asset in assets:
        title, kind, path = about[asset.id]
        stop, run = start + len(asset.points), models.get(asset.id, {})
        parts.append(Part(asset.id, start, stop, title, kind, path, asset.period_s, run))
        start = stop
    return Catalogue(file.gateway.id, epoch, tuple(p for a in assets for p in a.points), tuple(parts))


def _routes(tags: Sequence[Tag], assets: Sequence[Asset]) -> tuple[Route, ...]:
    """One route for each asset that a source's tags belong to."""
    routes = []
    for asset in assets:
        rows = {tag.id: row for row, tag in enumerate(asset.tags)}
        to = np.array([rows.get(tag.id, -1) for tag in tags], np.int32)
        if (to >= 0).any():
            routes.append(Route(asset.id, to))
    return tuple(routes)


def _asset_key(asset: Asset) -> str:
    """Of all that its engine does, but for the epoch."""
    parts = {f.name: getattr(asset, f.name) for f in fields(asset) if f.name not in UNKEYED}
    models = [
        [m.name, getattr(m.kind, "__name__", ""), m.sha256, m.points, m.modes, m.settle_s, m.every, m.most_ms]
        for m in asset.models
    ]
    return _key(parts, models, asset.derived.texts)


def _key(*parts: Any) -> str:
    """The hash of values: the same for the same content, in any process."""
    text = json.dumps(_plain(parts), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, frozenset):
        return sorted(_plain(v) for v in value)
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value
