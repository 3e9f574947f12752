"""A tag list as CSV, as PLC tools export it: one row a tag, found by `group/tag`, each cell with its place.

The separator is , or ; (found in the header; with ; a decimal comma is allowed). A cell with a separator in it stands
in double quotes. Columns may be left out and stand in any order, except group and tag, which must be there, and address
or expression: a row has one of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from agent.config.problems import Mark, Problem, hint, problem
from agent.config.schema import TagRow
from agent.config.tree import Tree

NEEDED = ("group", "tag", "address")
INSTEAD = "expression"  # of the last of them
NUMBERS = ("scan", "phase", "scale", "offset", "eu_lo", "eu_hi", "invalid", "deadband", "heartbeat", "trace")
DECIMAL_COMMA = re.compile(r"^[+-]?\d*,\d+([eE][+-]?\d+)?$")

Cell = tuple[str, int]


def parse(file: str, text: str) -> tuple[Tree, list[Problem]]:
    """{`group/tag`: {column: text}} with the place of each cell, and what is wrong with the rows as such."""
    tree, out = Tree({}, {(): Mark(file, 1, 1)}), list[Problem]()
    lines = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip(" \r\t,;")]
    if not lines:
        return tree, [problem(Mark(file), f"empty, expected a header with {', '.join(NEEDED)} and one row a tag")]
    number, header = lines[0]
    separator = ";" if header.count(";") > header.count(",") else ","
    columns = _header(file, number, _cells(header, separator), out)
    if columns is None:
        return tree, out
    for number, line in lines[1:]:
        _row(file, number, line, separator, columns, tree, out)
    if not tree.value and not out:
        out.append(problem(Mark(file), "no tags, expected one row a tag below the header"))
    return tree, out


def _header(file: str, line: int, cells: list[Cell] | None, out: list[Problem]) -> list[str] | None:
    """The column names; None where rows cannot be read without them."""
    known = list(TagRow.model_fields)
    names = [(name.strip().lower(), col) for name, col in cells or []]
    for n, (name, col) in enumerate(names):
        if name and name not in known:
            out.append(problem(Mark(file, line, col), f"unknown column {name!r}{hint(name, known)}"))
        elif name and name in [other for other, _ in names[:n]]:
            out.append(problem(Mark(file, line, col), f"column {name} stands here twice, expected it once"))
    missing = _missing([name for name, _ in names])
    if missing:
        text = f"no column {', '.join(missing)}, expected at least {', '.join(NEEDED)}"
        out.append(problem(Mark(file, line, 1), text))
        return None
    return [name for name, _ in names]


def _missing(names: Collection[str]) -> list[str]:
    """What a header (a row) needs and does not have."""
    return [name for name in NEEDED if name not in names and not (name == NEEDED[-1] and INSTEAD in names)]


def _row(file: str, line: int, text: str, separator: str, columns: list[str], tree: Tree, out: list[Problem]) -> None:
    cells = _cells(text, separator)
    if cells is None:
        out.append(problem(Mark(file, line, text.count('"')), "a quote that is not closed, expected one more"))
        return
    if len(cells) > len(columns):
        extra = f"{len(cells)} cells, expected {len(columns)} as in the header (a cell with {separator} needs quotes)"
        out.append(problem(Mark(file, line, cells[len(columns)][1]), extra))
        return
    places = {name: (value, col) for name, (value, col) in zip(columns, cells, strict=False) if value}
    if "" in places:
        out.append(problem(Mark(file, line, places[""][1]), "a cell in a column without a name, expected none"))
    missing = _missing(places)
    if missing:
        out.append(problem(Mark(file, line, 1), f"no {', '.join(missing)}, expected a value in each of these columns"))
        return
    name = f"{places['group'][0]}/{places['tag'][0]}"
    if name in tree.value:
        first = tree.marks[(name,)].line
        out.append(problem(Mark(file, line, 1), f"tag {name} stands here twice (first in line {first}), expected once"))
        return
    tree.value[name] = {}
    tree.marks[(name,)] = tree.keys[(name,)] = Mark(file, line, 1)
    for column, (value, col) in places.items():
        if column not in TagRow.model_fields:
            continue
        if separator == ";" and column in NUMBERS and DECIMAL_COMMA.match(value):
            value = value.replace(",", ".")
        tree.value[name][column] = value
        tree.marks[(name, column)] = Mark(file, line, col)


def _cells(line: str, separator: str) -> list[Cell] | None:
    """The cells of a line, each with the column where its text begins, from 1; None where a quote is not closed."""
    cells, at, line = list[Cell](), 0, line.rstrip("\r")
    while at <= len(line):
        start = at + (len(line[at:]) - len(line[at:].lstrip(" \t")))
        if line[start : start + 1] == '"':
            quoted = re.compile(r'"((?:[^"]|"")*)"[ \t]*').match(line, start)
            if quoted is None or line[quoted.end() : quoted.end() + 1] not in ("", separator):
                return None
            inner = quoted.group(1)
            begins = quoted.start(1) + len(inner) - len(inner.lstrip())
            cells.append((inner.replace('""', '"').strip(), begins + 1))
            at = quoted.end() + 1
        else:
            end = line.find(separator, at)
            end = len(line) if end < 0 else end
            cells.append((line[at:end].strip(), min(start, end) + 1))
            at = end + 1
    return cells
