"""What holds for one asset: its class with the asset's overrides written into it, each value with its origin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.config import files, tags
from agent.config.problems import Problem, hint, problem
from agent.config.reading import read
from agent.config.schema import Asset, Class, TagRow
from agent.config.tree import At, Tree

PARTS = {"limits": "id", "models": "name"}


@dataclass(slots=True)
class TagLists:
    """The tag lists of a configuration, each read once."""

    base: str
    tree: Tree
    out: list[Problem]
    read: dict[str, Tree] = field(default_factory=dict)
    rows: dict[str, tuple[TagRow, ...]] = field(default_factory=dict)

    def of(self, at: At) -> Tree | None:
        """The list that the class at a path names; None where it cannot be read."""
        name = self.tree.get((*at, "tags"))
        if not isinstance(name, str):
            return None
        file = files.shown_path(self.base, Path(name))
        if file not in self.read:
            text = files.text(file, self.tree.mark((*at, "tags")), self.out)
            if text is None:
                return None
            self.read[file], found = tags.parse(file, text)
            self.out += found
            self.rows[file] = self.rows_of(self.read[file])
        return self.read[file]

    def rows_of(self, tree: Tree) -> tuple[TagRow, ...]:
        """The rows of a tag list that are right."""
        return tuple(row for name in tree.value if (row := read(TagRow, tree, (name,), self.out)) is not None)


@dataclass(frozen=True, slots=True)
class Effective:
    """A class as it holds for one asset, its tags, and the trees in which their values stand."""

    kind: Class
    rows: tuple[TagRow, ...]
    tag_tree: Tree


def effective(tree: Tree, asset: Asset, lists: TagLists, out: list[Problem]) -> Effective | None:
    """The class and tags of an asset with its overrides; None where they cannot be used."""
    start: At = ("classes", asset.kind)
    at = start
    if asset.overrides.model_fields_set:
        at = (*asset.at, "(class)")
        tree.graft(at, tree, start)
        _override_class(tree, asset, at, out)
    kind, tag_tree = read(Class, tree, at, out), lists.of(start)
    if kind is None or tag_tree is None:
        return None
    if asset.overrides.tags:
        tag_tree = _override_tags(tree, tag_tree, asset, out)
        return Effective(kind, lists.rows_of(tag_tree), tag_tree)
    return Effective(kind, lists.rows[files.shown_path(lists.base, kind.tags)], tag_tree)


def _override_class(tree: Tree, asset: Asset, at: At, out: list[Problem]) -> None:
    over = (*asset.at, "overrides")
    for section in PARTS:
        _override_items(tree, (*over, section), (*at, section), getattr(asset.overrides, section), out)
    for section in ("residuals", "cusum", "isolation", "trust", "anomaly"):
        for key in getattr(asset.overrides, section):
            tree.graft((*at, section, key), tree, (*over, section, key))
    if asset.overrides.summary_s is not None:
        tree.graft((*at, "summary_s"), tree, (*over, "summary_s"))


def _override_items(tree: Tree, over: At, at: At, items: Mapping[str, Mapping[str, Any]], out: list[Problem]) -> None:
    """Write the keys of limits (models) into the list at `at`, found by their id (name)."""
    raw = tree.get(at)
    names = [_item_name(item) for item in raw] if isinstance(raw, list) else []
    for name, keys in items.items():
        if name not in names:
            text = f"the class has no {over[-1]} {name}{hint(name, names)}"
            out.append(problem(tree.key_mark((*over, name)), text))
            continue
        for key in keys:
            tree.graft((*at, names.index(name), key), tree, (*over, name, key))


def _item_name(item: Any) -> str:
    if not isinstance(item, dict):
        return ""
    side = "low" if item.get("high") is None else "high"
    return str(item.get("id") or item.get("name") or f"{item.get('tag')}.{side}")


def _override_tags(tree: Tree, tag_tree: Tree, asset: Asset, out: list[Problem]) -> Tree:
    mine, over = tag_tree.fork(), (*asset.at, "overrides", "tags")
    for name, keys in asset.overrides.tags.items():
        if name not in mine.value:
            text = f"class {asset.kind} has no tag {name}{hint(name, mine.value)}"
            out.append(problem(tree.key_mark((*over, name)), text))
            continue
        for key in keys:
            if key in ("group", "tag"):
                text = f"{key} cannot be overridden, expected other columns: the name of a tag belongs to its class"
                out.append(problem(tree.key_mark((*over, name, key)), text))
            else:
                mine.graft((name, key), tree, (*over, name, key))
    return mine
