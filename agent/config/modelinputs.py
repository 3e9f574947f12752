"""What a model reads of other models: `upper/level.residual` of the twin before it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from agent.config.modelfiles import LoadedModel, unit_problem
from agent.config.problems import Mark, Problem, hint, problem
from agent.core.nouns import Kind


def problems(
    asset: str, models: Sequence[LoadedModel], expected: Collection[str], tags: Collection[str]
) -> Iterator[Problem]:
    """Inputs that no model before gives, or gives in another unit. expected: the names of all models of the asset;
    where one of them is absent, nobody can say what it gives. tags: of the asset."""
    whole = set(expected) <= {model.name for model in models}
    units: dict[str, str] = {}
    givers = {p.id.removeprefix(f"{asset}/"): m.name for m in models for p in m.points if p.kind is Kind.NUMBER}
    for model in models:
        stated = tuple(getattr(model.params, "units", ())) or ("",) * len(model.params.tags)
        for name, unit in zip(model.params.tags, stated, strict=True):
            if name in units:
                text = unit_problem(name, unit, units[name])
            elif name in givers:
                text = f"reads {name}, which model {givers[name]} gives after it; expected {givers[name]} before it"
            elif whole and name.rpartition(".")[0] in tags:
                text = f"reads {name}, which no model gives{hint(name, givers)}"
            else:
                continue  # a tag
            if text:
                yield problem(Mark(model.file), text)
        units |= {p.id.removeprefix(f"{asset}/"): p.unit for p in model.points if p.kind is Kind.NUMBER}
