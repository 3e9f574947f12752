"""Derived tags of a tag list: expressions that parse, over tags that are there, in no circle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError

from agent.config.problems import Mark, Problem, hint, problem
from agent.config.schema import TagRow
from agent.config.tree import Tree
from agent.core import expression, formula
from agent.core.expression import Expression, ExpressionError, Read

# What says how a tag is read has no meaning for one that is not.
OF_DEVICES = ("address", "source", "type", "order", "scan", "phase", "scale", "offset", "invalid", "deadband",
              "heartbeat", "writable", "options")  # fmt: skip


def trees(rows: Sequence[TagRow]) -> dict[str, Expression]:
    """The expression of each derived tag by its name; ExpressionError for one that is wrong."""
    return {row.name: expression.parse(row.expression) for row in rows if row.expression}


def problems(tags: Tree, rows: Sequence[TagRow]) -> Iterator[Problem]:
    """What is wrong with the derived tags of a list."""
    known, good = {row.name: row for row in rows}, dict[str, Expression]()
    for row in rows:
        if not row.expression and not row.address:
            yield problem(tags.mark(row.at), f"tag {row.name} has no address, expected one (or an expression)")
        if not row.expression:
            continue
        yield from _of_devices(tags, row)
        at = tags.mark((*row.at, "expression"))
        try:
            good[row.name] = expression.parse(row.expression)
        except ExpressionError as error:
            yield problem(Mark(at.file, at.line, at.col + error.at), f"expression: {error}")
            continue
        for read in dict.fromkeys(expression.reads(good[row.name])):
            wrong = _unreadable(read, known, list(tags.value))
            if wrong:
                col = at.col + max(0, row.expression.find(f"{{{read.tag}}}"))
                yield problem(Mark(at.file, at.line, col), f"expression: {wrong}")
    yield from _circle(tags, known, good)


def _of_devices(tags: Tree, row: TagRow) -> Iterator[Problem]:
    for key in OF_DEVICES:
        if getattr(row, key) != TagRow.model_fields[key].get_default(call_default_factory=True):
            text = f"tag {row.name} has an expression and is not read, expected no {key}"
            yield problem(tags.mark((*row.at, key)), text)


def _unreadable(read: Read, known: Mapping[str, TagRow], names: Sequence[str]) -> str:
    """Why a tag cannot be an operand; "" where it can."""
    row = known.get(read.tag)
    if read.tag not in names:
        return f"there is no tag {read.tag}{hint(read.tag, names)}"
    if row is None:
        return ""  # its own row is wrong, and says so
    if row.type.startswith("string"):
        return f"tag {read.tag} is text, expected a number"
    if not row.type.endswith("]"):
        return "" if read.element is None else f"tag {read.tag} is a number, expected no [{read.element}]"
    if read.element is None:
        return f"tag {read.tag} is an array, expected one element of it, such as {{{read.tag}}}[0]"
    length = row.type.partition("[")[2].removesuffix("]")
    if length and read.element >= int(length):
        return f"tag {read.tag} has no element {read.element}, expected 0 to {int(length) - 1}"
    return ""


def _circle(tags: Tree, known: Mapping[str, TagRow], trees: Mapping[str, Expression]) -> Iterator[Problem]:
    try:
        formula.order(trees)
    except CycleError as error:
        names = list(reversed(error.args[1]))
        mark = tags.mark((*known[names[0]].at, "expression"))
        yield problem(
            mark, f"expression: in a circle, {' reads '.join(names)}; expected none: a tag cannot need itself"
        )
