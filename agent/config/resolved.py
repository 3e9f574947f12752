"""`edgetwin config show --resolved`: what holds, value by value, and where each value comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agent.config.fields import Part
from agent.config.load import Loaded, LoadedAsset
from agent.config.schema import Limit
from agent.config.tree import At, Tree
from agent.core.nouns import Mode

Line = tuple[str, str]
# Origins stand in one column, unless a value is longer.
COLUMN = 56


def resolved(loaded: Loaded) -> str:
    """The configuration as it is used, like YAML; after each value `# file:line` or `# default`.

    Each asset is shown with what holds for it: its class, its overrides and its own tag list.
    """
    return "\n".join(f"{text:<{COLUMN}} # {origin}" if origin else text for text, origin in _all(loaded))


def _all(loaded: Loaded) -> Iterator[Line]:
    tree, file = loaded.tree, loaded.file
    yield from _entry("gateway", file.gateway, tree, ("gateway",), 0)
    yield f"state_dir: {loaded.places.state_dir}", tree.origin(("state_dir",))
    yield "journal:", ""
    yield f"  path: {loaded.journal_path}", tree.origin(("journal", "path"))
    yield from (line for line in _fields(file.journal, tree, ("journal",), 1) if not line[0].startswith("  path:"))
    yield "feed:", ""
    yield f"  socket: {loaded.places.feed}", tree.origin(("feed", "socket"))
    yield from _entry("group", file.feed.group, tree, ("feed", "group"), 1)
    yield "assets:", ""
    for asset in loaded.assets:
        yield from _asset(asset, tree)
    for section, found in (("sources", loaded.sources), ("sinks", loaded.sinks)):
        yield f"{section}:", ""
        for endpoint in found:
            yield f"  - id: {endpoint.id}", tree.origin((*endpoint.at, "id"))
            for key in (k for k in type(endpoint.config).model_fields if k != "id"):
                yield from _entry(key, getattr(endpoint.config, key), tree, (*endpoint.at, key), 2)


def _asset(loaded: LoadedAsset, tree: Tree) -> Iterator[Line]:
    asset = loaded.asset
    yield f"  - id: {asset.id}", tree.origin((*asset.at, "id"))
    for key in ("name", "path", "class", "period_s"):
        yield from _entry(key, getattr(asset, "kind" if key == "class" else key), tree, (*asset.at, key), 2)
    yield "    sources:", ""
    for name, target in loaded.sources.items():
        yield f"      {name}: {target}", tree.origin((*asset.at, "sources", name))
    for key in type(loaded.kind).model_fields:
        if key not in ("tags", "sources"):
            yield from _entry(key, getattr(loaded.kind, key), tree, (*loaded.kind.at, key), 2)
    yield "    tags:", ""
    for row in loaded.rows:
        yield from _entry(row.name, row, loaded.tag_tree, row.at, 3)


def _entry(key: str, value: Any, tree: Tree, at: At, depth: int) -> Iterator[Line]:
    """One key with its value, on the lines below where it holds more than one."""
    pad = "  " * depth
    if isinstance(value, tuple | Mapping | BaseModel) and value and not _flat(value):
        yield f"{pad}{key}:", ""
        yield from _inner(value, tree, at, depth + 1)
    else:
        yield f"{pad}{key}: {_text(value)}", tree.origin(at)


def _inner(value: Any, tree: Tree, at: At, depth: int) -> Iterator[Line]:
    if isinstance(value, BaseModel):
        yield from _fields(value, tree, value.at if isinstance(value, Part) and value.at else at, depth)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(str(key), item, tree, (*at, key), depth)
    else:
        for n, item in enumerate(value):
            lines = list(_inner(item, tree, (*at, n), depth + 1))
            first, origin = lines[0]
            yield f"{'  ' * depth}- {first.lstrip()}", origin
            yield from lines[1:]


def _fields(model: BaseModel, tree: Tree, at: At, depth: int) -> Iterator[Line]:
    for name, field in type(model).model_fields.items():
        key, value = field.alias or name, getattr(model, name)
        if isinstance(model, Limit) and key == "id":
            value = model.name
        yield from _entry(key, value, tree, (*at, key), depth)


def _flat(value: Any) -> bool:
    """Whether a list holds only single values, so that it fits on its line."""
    return isinstance(value, tuple) and not any(isinstance(v, tuple | Mapping | BaseModel) for v in value)


def _text(value: Any) -> str:
    if isinstance(value, Mode):
        return value.word
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or value == "":
        return '""' if value == "" else "-"
    if isinstance(value, tuple):
        return f"[{', '.join(_text(v) for v in value)}]"
    if isinstance(value, Mapping | BaseModel):
        return "{}"
    return str(value) if isinstance(value, Path) else f"{value:.12g}" if isinstance(value, float) else str(value)
