"""What is recommended about a configuration that can be used as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from agent.config.load import Loaded, read_from
from agent.config.problems import Problem, problem
from agent.core.nouns import Tag


def advice(loaded: Loaded) -> list[Problem]:
    """Each at the option whose name it begins with, else at its source. None of them stops anything."""
    found = [*loaded.told, *_shared(loaded)]
    for source in loaded.sources:
        tell: Callable[[Any, Sequence[Tag]], list[str]] | None = getattr(source.module, "advice", None)
        if tell is None:
            continue
        tags = [asset.tag(row) for asset, row in read_from(loaded.assets, source.id)]
        for text in tell(source.config, tags):
            mark = loaded.tree.mark((*source.at, text.partition(" ")[0]))
            found.append(problem(mark, f"advice: {text}"))
    for sink in loaded.sinks:
        for text in getattr(sink.module, "advice", _none)(sink.config, loaded.journal.raw):
            found.append(problem(loaded.tree.mark((*sink.at, text.partition(" ")[0])), f"advice: {text}"))
    return sorted(set(found))


def _none(config: Any, raw: bool) -> list[str]:
    return []


def _shared(loaded: Loaded) -> Iterator[Problem]:
    """Endpoints that two sources read: a connection each, where many devices take one, and lines cannot be shared."""
    first: dict[tuple[str, str], str] = {}
    for source in loaded.sources:
        where = getattr(source.config, "where", "")
        name = first.setdefault((source.type, where), source.id)
        if where and name != source.id:
            text = f"{where} is read by source {name} too, expected one source with units in the addresses (2/input:30)"
            yield problem(loaded.tree.mark((*source.at, "id")), f"advice: {text}")
