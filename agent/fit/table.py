"""A CSV as people and PLC tools write it: which separator, which encoding, and every row as long as the header.

The separator is a tab, `;`, `,` or blanks: the one that cuts the header and the first row into equally many cells, and
most of them; with `;`, tabs and blanks a number may have a decimal comma. UTF-8, UTF-16 with its mark, else
Windows-1252.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

SEPARATORS = ("\t", ";", ",", " ")
WORDS = {"\t": "a tab", ";": ";", ",": ",", " ": "blanks"}
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


def read(path: str | Path) -> Table:
    """The cells of a CSV file. FitError says `file:line:` what is wrong; OSError where it cannot be read."""
    content = Path(path).read_bytes()
    lines = _decoded(str(path), content).splitlines()
    if len(lines) < 3:
        raise FitError(f"{path}: expected a header and at least two rows, got {len(lines)} lines")
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
    if len(rows) < 2:
        raise FitError(f"{path}: expected a header and at least two rows, got {len(rows)} rows")
    return Table(str(path), hashlib.sha256(content).hexdigest(), separator, header, rows, at)


def number(cell: str, separator: str) -> float:
    """The number in a cell, NaN for an empty one; ValueError where it is none."""
    if not cell:
        return float("nan")
    return float(cell.replace(",", ".") if separator != "," else cell)


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
