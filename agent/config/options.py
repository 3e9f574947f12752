"""Every option that can be written, told from the models themselves: name, values, default, meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agent.config import kinds, schema
from agent.config.fields import IMMUTABLE
from agent.config.model import Model

# What is neither a driver nor a sink: the parts of the file, and the columns of a tag list.
PARTS: Mapping[str, type[pydantic.BaseModel]] = {
    "tags": schema.TagRow,
    "class": schema.Class,
    "asset": schema.Asset,
    "limits": schema.Limit,
    "modes": schema.Modes,
    "models": schema.ModelFile,
    "shadow": schema.Shadow,
    "gateway": schema.Gateway,
    "gateway.models": schema.Models,
    "journal": schema.Journal,
    "feed": schema.Feed,
}
# What every source and sink has.
OF_ALL = {"id": "What it is called here. " + IMMUTABLE, "type": "Which driver or sink it is."}
WORDS = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "Path": "path"}


@dataclass(frozen=True, slots=True)
class Option:
    """One key: what may stand there, what stands there if it is left out ("" where it must be written)."""

    name: str
    values: str
    default: str
    text: str


def topics() -> tuple[str, ...]:
    """What can be asked for: the types of sources and sinks, and the parts of the file."""
    sinks = [name for sink in kinds.sinks() for name in (sink, *(f"{sink}.{part}" for part in _parts(sink)))]
    return (*(f"sources.{name}" for name in kinds.drivers()), *(f"sinks.{name}" for name in sinks), *PARTS)


def named(word: str) -> str | None:
    """The topic that a word means: in full, or its last part where only one topic ends so (`modbus`)."""
    found = [t for t in topics() if t == word] or [t for t in topics() if t.endswith(f".{word}")]
    return found[0] if len(found) == 1 else None


def of(topic: str) -> tuple[Option, ...]:
    """The options of a topic, given in full."""
    if topic in PARTS:
        return tuple(_options(PARTS[topic]))
    section, name, *part = topic.split(".")
    if part:
        return tuple(_options(_parts(name)[part[0]]))
    module = kinds.driver(name) if section == "sources" else kinds.sink(name)
    config: type[Model] = module.Config
    return (*_options(config), *_of_a_tag(getattr(module, "TAG_OPTIONS", {})))


def _parts(sink: str) -> dict[str, type[pydantic.BaseModel]]:
    """What stands in a key of its own in a sink, by that key."""
    fields: dict[str, FieldInfo] = kinds.sink(sink).Config.model_fields
    kind = {
        name: [a for a in get_args(f.annotation) or (f.annotation,) if isinstance(a, type)]
        for name, f in fields.items()
    }
    return {name: a for name, found in kind.items() for a in found if issubclass(a, pydantic.BaseModel)}


def _of_a_tag(known: Mapping[str, str]) -> Iterator[Option]:
    for name, text in known.items():
        yield Option(f"{name}=", "in a tag's options", "-", text)


def _options(model: type[pydantic.BaseModel]) -> Iterator[Option]:
    for name, field in model.model_fields.items():
        yield Option(
            field.alias or name, _values(field.annotation), _default(field), field.description or OF_ALL.get(name, "")
        )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return ""
    value = field.get_default(call_default_factory=True) if field.default_factory is None else field.default
    if value is PydanticUndefined or value is None or (not isinstance(value, bool | int | float) and not value):
        return "-"
    return _said(value)


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, pydantic.BaseModel):
        return "-"
    if isinstance(value, tuple):
        return ", ".join(map(_said, value))
    if isinstance(value, Enum):
        return value.name.lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def _values(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _values(arguments[0])
    if origin is Literal:
        return " | ".join(_said(a) or '""' for a in arguments)
    if origin in (Union, UnionType):
        return " | ".join(_values(a) for a in arguments if a is not type(None))
    if origin in (tuple, list):
        return f"list of {_values(arguments[0])}"
    if origin is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " | ".join(_said(member) for member in annotation)
    name = getattr(annotation, "__name__", str(annotation))
    return WORDS.get(name, "mapping")
