"""Parts read from a tree so that one mistake hides no other: what is wrong is told, what is right is kept.

pydantic checks the single values. A part with a wrong or missing required value is left out; a wrong optional value
counts as not written, so that all checks that follow still run.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo

from agent.config.fields import Part
from agent.config.problems import Problem, hint, problem, shown
from agent.config.tree import At, Tree

P = TypeVar("P", bound=Part)
M = TypeVar("M", bound=pydantic.BaseModel)


class Absent:
    """In place of a value that was refused, or that is not written."""


WRONG, UNWRITTEN = Absent(), Absent()


def read(kind: type[P], tree: Tree, at: At, out: list[Problem], partial: bool = False) -> P | None:
    """The part of type `kind` at a path, None where it cannot be used; its problems go to `out`.

    `partial`: a part without some of what it needs is given all the same, with nothing there (empty or None).
    """
    raw = tree.get(at)
    if not isinstance(raw, dict):
        out.append(problem(tree.mark(at), f"{_name(at)}is {shown(raw)}, expected a mapping: {kind.__doc__}"))
        return None
    fields = {f.alias or name: f for name, f in kind.model_fields.items()}
    unknown_keys(raw, fields, tree, at, out)
    values = {key: _field(kind, key, f, tree, at, out) for key, f in fields.items()}
    for key in [key for key, v in values.items() if v is WRONG and fields[key].is_required()]:
        if not partial:
            return None
        values[key] = _nothing(_annotation(fields[key]))
    part = kind.model_construct(**{k: v for k, v in values.items() if v is not WRONG and v is not UNWRITTEN})
    part._at = at  # noqa: SLF001  (its own private attribute, set once, here)
    return part


def _nothing(annotation: Any) -> Any:
    origin = get_origin(annotation)
    return origin() if origin in (tuple, dict) else None


def unknown_keys(raw: dict[Any, Any], known: Iterable[str], tree: Tree, at: At, out: list[Problem]) -> None:
    """Tell each key of a mapping that nobody knows."""
    known = list(known)
    for key in raw:
        if key not in known:
            mark = tree.key_mark((*at, key))
            out.append(problem(mark, f"unknown key {key}{hint(key, known, raw)}"))


def validated(kind: type[M], tree: Tree, at: At, out: list[Problem]) -> M | None:
    """A driver's or sink's own Config from the mapping at a path, None where it has problems."""
    try:
        return kind.model_validate(tree.get(at))
    except pydantic.ValidationError as errors:
        fields = [f.alias or name for name, f in kind.model_fields.items()]
        for error in errors.errors():
            path = (*at, *error["loc"])
            if error["type"] == "extra_forbidden":
                key = error["loc"][-1]
                near = hint(key, fields) if len(error["loc"]) == 1 else ""
                out.append(problem(tree.key_mark(path), f"unknown key {key}{near}"))
            else:
                out.append(problem(tree.mark(path), said(error, error["loc"][-1] if error["loc"] else "")))
        return None


def said(error: Any, key: object) -> str:
    """One error of pydantic in the words of this house: what is wrong, what is expected."""
    if error["type"] == "missing":
        return f"{key} is missing, expected it here"
    text = _expected(error)
    name = f"{key} is " if key != "" else ""
    return f"{name}{shown(error['input'])}, {text}" if text.startswith("expected") else text


def _expected(error: Any) -> str:
    kind, context = error["type"], error.get("ctx", {})
    words = {
        "float_type": "expected a number",
        "float_parsing": "expected a number",
        "finite_number": "expected a finite number",
        "int_type": "expected a whole number",
        "int_parsing": "expected a whole number",
        "int_from_float": "expected a whole number",
        "bool_type": "expected true or false",
        "bool_parsing": "expected true or false",
        "string_type": "expected text (a number needs quotes to be text)",
        "path_type": "expected the name of a file",
        "greater_than": f"expected more than {context.get('gt')}",
        "greater_than_equal": f"expected at least {context.get('ge')}",
        "less_than": f"expected less than {context.get('lt')}",
        "less_than_equal": f"expected at most {context.get('le')}",
        "too_short": f"expected at least {context.get('min_length')} of them",
        "string_too_short": "expected some text",
        "tuple_type": "expected a list",
        "list_type": "expected a list",
        "dict_type": "expected a mapping",
        "model_type": "expected a mapping",
        "string_pattern_mismatch": _pattern(str(context.get("pattern"))),
    }
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"expected {context['expected']}"
    return words.get(kind) or f"expected otherwise: {error['msg']}"


def _pattern(pattern: str) -> str:
    said_of = {
        r"^[A-Za-z0-9_-]+$": "expected letters, digits, _ and - only",
        r"^[A-Za-z0-9_-]+@\d+$": "expected a name and a version, such as pump@1",
    }
    if pattern.startswith("^(bool|bit"):
        return "expected a type such as bool, bit3, int16, uint16, uint32, float32, float64 or string"
    if pattern.startswith("^[A-Za-z0-9_-]+/"):
        return "expected group/tag"
    return said_of.get(pattern, f"expected the form {pattern}")


def _name(at: At) -> str:
    return f"{at[-1]} " if at and isinstance(at[-1], str) else ""


def _field(kind: type[Part], key: str, field: FieldInfo, tree: Tree, at: At, out: list[Problem]) -> Any:
    raw = tree.get((*at, key))
    if raw is None:
        if field.is_required():
            out.append(problem(tree.mark(at), f"{key} is missing: {field.description}"))
            return WRONG
        return UNWRITTEN
    inner = _parts(_annotation(field))
    if inner is None:
        return _value(kind, key, tree, (*at, key), out)
    outer, part = inner
    if outer is None:
        found = read(part, tree, (*at, key), out)
        return WRONG if found is None else found
    return _many(outer, part, field, tree, (*at, key), out)


def _many(outer: Any, part: type[Part], field: FieldInfo, tree: Tree, at: At, out: list[Problem]) -> Any:
    raw = tree.get(at)
    if not isinstance(raw, list if outer is tuple else dict):
        expected = "a list" if outer is tuple else "a mapping"
        out.append(problem(tree.mark(at), f"{at[-1]} is {shown(raw)}, expected {expected}: {field.description}"))
        return WRONG
    if not raw and field.is_required():
        out.append(problem(tree.mark(at), f"{at[-1]} is empty, expected at least one: {field.description}"))
    if outer is tuple:
        return tuple(p for n in range(len(raw)) if (p := read(part, tree, (*at, n), out)) is not None)
    good = [key for key in raw if _key_is_right(field, key, tree, (*at, key), out)]
    return {key: p for key in good if (p := read(part, tree, (*at, key), out)) is not None}


def _key_is_right(field: FieldInfo, key: Any, tree: Tree, at: At, out: list[Problem]) -> bool:
    try:
        pydantic.TypeAdapter(get_args(_annotation(field))[0]).validate_python(key)
    except pydantic.ValidationError as errors:
        error = errors.errors()[0]
        out.append(problem(tree.key_mark(at), f"key {shown(key)}, {_expected(error)}"))
        return False
    return True


def _value(kind: type[Part], key: str, tree: Tree, at: At, out: list[Problem]) -> Any:
    try:
        return _adapter(kind, key).validate_python(tree.get(at))
    except pydantic.ValidationError as errors:
        for error in errors.errors():
            path = tuple(step for step in error["loc"] if step != "[key]")
            name = next((step for step in reversed(path) if isinstance(step, str)), key)
            mark = tree.key_mark((*at, *path)) if "[key]" in error["loc"] else tree.mark((*at, *path))
            out.append(problem(mark, said(error, name)))
        return WRONG


@cache
def _adapter(kind: type[Part], key: str) -> pydantic.TypeAdapter[Any]:
    field = next(f for name, f in kind.model_fields.items() if (f.alias or name) == key)
    annotated: Any = Annotated[(_annotation(field), *(field.metadata or [None]))]
    return pydantic.TypeAdapter(annotated)


def _annotation(field: FieldInfo) -> Any:
    return field.annotation


@cache
def _parts(annotation: Any) -> tuple[Any, type[Part]] | None:
    """(None, Part), (tuple, Part) or (dict, Part) of an annotation that holds parts, else None."""
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return None, annotation
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return next((found for a in arguments if (found := _parts(a)) is not None), None)
    if origin in (tuple, dict):
        inner = _parts(arguments[0 if origin is tuple else 1])
        return (origin, inner[1]) if inner else None
    return None
