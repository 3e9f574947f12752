"""A CSV as people and PLC tools write it: which separator, which encoding, and every row as long as the header.

The separator is a tab, `;`, `|`, `,` or blanks: the one that cuts the header and the first row into equally many
cells, and most of them; with all but `,` a number may have a decimal comma. UTF-8, UTF-16 with its mark, else
Windows-1252.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.core.nouns import F8

SEPARATORS = ("\t", ";", "|", ",", " ")
WORDS = {"\t": "a tab", ";": ";", "|": "|", ",": ",", " ": "blanks"}
BLANKS = re.compile(r" +")


class FitError(ValueError):
    """A model cannot be made from this recording, and why, in words with names."""


@dataclass(frozen=True, slots=True)
class Table:
    """header: names; rows: cells, each as long as the header, without blank lines; lines: where each row stands."""

    path: str
    sha256: str
    separator: str
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]


def read(path: str | Path, least: int = 2) -> Table:
    """The cells of a CSV file with at least `least` rows. FitError says `file:line:` what is wrong; OSError where it
    cannot be read."""
    content = Path(path).read_bytes()
    lines = _decoded(str(path), content).splitlines()
    wanted = f"expected a header and at least {'two rows' if least == 2 else f'{least} row'}"
    if len(lines) < 1 + least:
        raise FitError(f"{path}: {wanted}, got {len(lines)} lines")
    separator = _separator(str(path), lines)
    header = tuple(_cells(str(path), 1, lines[0], separator))
    _check_header(str(path), header)
    rows, at = list[list[str]](), list[int]()
    for line, text in enumerate(lines[1:], 2):
        if not text.strip():
            continue
        cells = _cells(str(path), line, text, separator)
        if len(cells) != len(header):
            raise FitError(f"{path}:{line}: {len(cells)} cells, expected {len(header)} as in the header")
        rows.append(cells)
        at.append(line)
    if len(rows) < least:
        raise FitError(f"{path}: {wanted}, got {len(rows)} rows")
    return Table(str(path), hashlib.sha256(content).hexdigest(), separator, header, rows, at)


def number(cell: str, separator: str) -> float:
    """The number in a cell, NaN for an empty one; ValueError where it is none."""
    if not cell:
        return float("nan")
    return float(cell.replace(",", ".") if separator != "," else cell)


def starts_numeric(cells: Sequence[str], separator: str) -> bool:
    """Whether the first cell that is not empty is a number; a column without any is numeric and all absent."""
    first = next((cell for cell in cells if cell), "")
    try:
        number(first, separator)
    except ValueError:
        return False
    return True


def numbers(table: Table, name: str, cells: Sequence[str]) -> F8:
    """The numbers of a column called `name`, NaN where there is none: f8[rows]. FitError names the line."""
    out = np.empty(len(cells))
    for i, cell in enumerate(cells):
        try:
            out[i] = number(cell, table.separator)
        except ValueError as error:
            text = f"{name} is {cell!r}, expected a number or nothing"
            raise FitError(f"{table.path}:{table.lines[i]}: {text}") from error
    return np.where(np.isfinite(out), out, np.nan)


def _decoded(path: str, content: bytes) -> str:
    marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise FitError(f"{path}: no text file, expected a CSV")


def _separator(path: str, lines: list[str]) -> str:
    """The separator that cuts header and first row alike, into most cells."""
    first = next((text for text in lines[1:] if text.strip()), "")
    counts = {s: (len(_cells(path, 1, lines[0], s)), len(_cells(path, 2, first, s))) for s in SEPARATORS}
    alike = {s: n for s, (n, m) in counts.items() if n == m > 1}
    if not alike:
        return max(SEPARATORS, key=lambda s: counts[s][0])
    # A name of a column may have blanks in it.
    alike = {s: n for s, n in alike.items() if s != " "} or alike
    best = [s for s in alike if alike[s] == max(alike.values())]
    if len(best) > 1:
        words = " or ".join(WORDS[s] for s in best)
        raise FitError(f"{path}:1: {words} may separate its columns, both give {alike[best[0]]}; expected one of them")
    return best[0]


def _cells(path: str, line: int, text: str, separator: str) -> list[str]:
    blank = separator == " "
    try:
        (cells,) = csv.reader([BLANKS.sub(" ", text.strip()) if blank else text], delimiter=separator)
    except csv.Error as error:
        raise FitError(f"{path}:{line}: {error}") from error
    except ValueError:
        return []
    return [cell.strip() for cell in cells]


def _check_header(path: str, header: tuple[str, ...]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise FitError(f"{path}:1: column {', '.join(twice)} stands there twice")
    if all(_is_number(name) for name in header):
        raise FitError(f"{path}:1: only numbers, expected a header with the names of the columns")


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True
