"""Sources and sinks: each validated by the Config of its own type, its paths made absolute."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config import kinds
from agent.config.consistency import RESERVED, twice
from agent.config.fields import ID
from agent.config.model import Model
from agent.config.problems import Problem, problem, shown
from agent.config.reading import validated
from agent.config.tree import At, Tree
from agent.core.nouns import Meter, Tag

# The packaged state directory: defaults below it follow `state_dir` of the file.
STATE_DIR = Path("/var/lib/edgetwin")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One source or sink of the file."""

    id: str
    type: str
    config: Model
    module: Any
    at: At


@dataclass(frozen=True, slots=True)
class Places:
    """Where paths begin: `base` those that are written, `state_dir` those left out; `feed` is the feed's socket."""

    base: Path
    state_dir: Path
    feed: Path


def sources(tree: Tree, places: Places, out: list[Problem]) -> tuple[Endpoint, ...]:
    """All sources that are right."""
    return tuple(_endpoints("sources", kinds.driver, tree, places, out))


def sinks(tree: Tree, places: Places, out: list[Problem]) -> tuple[Endpoint, ...]:
    """All sinks that are right."""
    return tuple(_endpoints("sinks", kinds.sink, tree, places, out))


def id_problems(tree: Tree) -> Iterator[Problem]:
    """Ids of sources and sinks there twice: ids, and the types of sinks, name tags of the gateway."""
    source_ids = [
        (name, (*at, "id")) for at, item in _items("sources", tree) if isinstance(name := item.get("id"), str)
    ]
    sink_ids = [
        (n, (*at, "id")) for at, item in _items("sinks", tree) if isinstance(n := item.get("id", item.get("type")), str)
    ]
    yield from twice(tree, [*source_ids, *sink_ids], "source or sink")
    for at, item in _items("sinks", tree):
        for name, taken in source_ids:
            if item.get("type") == name and item.get("id", name) != name:
                text = f"source {name} has the name of the sink type in {tree.mark((*at, 'type'))}, expected another id"
                yield problem(tree.mark(taken), text)


def _items(section: str, tree: Tree) -> list[tuple[At, dict[Any, Any]]]:
    """Path and content of each mapping in a list of sources or sinks."""
    items = tree.get((section,))
    rows = enumerate(items if isinstance(items, list) else [])
    return [((section, n), item) for n, item in rows if isinstance(item, dict)]


def static_problems(source: Endpoint, tags: Sequence[Tag]) -> list[tuple[int, str]]:
    """(tag index, what is wrong) as far as the driver can tell without its device."""
    check: Callable[[Any, Sequence[Tag]], list[tuple[int, str]]] | None = getattr(source.module, "check", None)
    return check(source.config, tags) if check else []


def tag_options(source: Endpoint) -> Mapping[str, str]:
    """What the `options` of a tag may say to the driver of a source, with its meaning."""
    known: Mapping[str, str] = getattr(source.module, "TAG_OPTIONS", {})
    return known


def meters(source: Endpoint, tags: Sequence[Tag]) -> Sequence[Meter]:
    """What the driver of a source counts, besides what is counted of every source."""
    tell: Callable[[Any, Sequence[Tag]], Sequence[Meter]] | None = getattr(source.module, "meters", None)
    return tell(source.config, tags) if tell else ()


def sink_meters(sink: Endpoint) -> Sequence[Meter]:
    """What a sink counts, besides what is counted of every sink."""
    tell: Callable[[Any], Sequence[Meter]] | None = getattr(sink.module, "meters", None)
    return tell(sink.config) if tell else ()


def _endpoints(
    section: str, find: Callable[[str], Any], tree: Tree, places: Places, out: list[Problem]
) -> Iterator[Endpoint]:
    items = tree.get((section,))
    for n in range(len(items) if isinstance(items, list) else 0):
        at: At = (section, n)
        found = _endpoint(find, tree, at, places, out)
        if found is None:
            continue
        if found.id in RESERVED:
            text = f"id {found.id} is the gateway's own, expected another"
            out.append(problem(tree.mark((*at, "id")), text))
        yield found


def _endpoint(find: Callable[[str], Any], tree: Tree, at: At, places: Places, out: list[Problem]) -> Endpoint | None:
    kind, name = tree.get((*at, "type")), tree.get((*at, "id"))
    if not isinstance(tree.get(at), dict):
        return None  # told by the schema
    if not isinstance(kind, str) or kind in kinds.OWN:
        text = f"type is {shown(kind)}, expected one such as modbus, opcua, mqtt"
        out.append(problem(tree.mark((*at, "type")), text))
        return None
    try:
        module = find(kind)
    except kinds.NoKind as error:
        out.append(problem(tree.mark((*at, "type")), str(error)))
        return None
    if isinstance(name, str) and not re.match(ID, name):
        out.append(problem(tree.mark((*at, "id")), f"id is {name!r}, expected letters, digits, _ and - only"))
    config = validated(module.Config, tree, at, out)
    if config is None:
        return None
    return Endpoint(str(name or kind), kind, _anchored(config, places), module, at)


def _anchored(config: Model, places: Places) -> Model:
    """A Config with absolute paths, and with the feed's socket where it wants one."""
    update: dict[str, Any] = {}
    for name in type(config).model_fields:
        value = getattr(config, name)
        if name == "feed_socket" and value is None:
            update[name] = places.feed
        if not isinstance(value, Path):
            continue
        if name in config.model_fields_set:
            update[name] = places.base / value
        elif value.is_relative_to(STATE_DIR):
            update[name] = places.state_dir / value.relative_to(STATE_DIR)
    return config.model_copy(update=update) if update else config
