"""The tags of a summary as JSON, made by columns: 1000 tags cost a tenth of what a tree of them does.

    named     {"group/name": {"min": 1.0, "mean": 1.5, "max": 2.0, "last": 2.0, "std": 0.5, "good": 1.0}, ...}
    columns   {"min": [1.0, ...], "mean": [1.5, ...], "max": [2.0, ...], ...}

What was measured is sent as it is; a mean, a spread and a share with as many digits as they are worth. What is not a
number is null.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from json.encoder import encode_basestring as quoted

import numpy as np

from agent.core.nouns import F8, Summary
from agent.sinks.mqtt import FIGURES, Figure

MEAN_DIGITS, STD_DIGITS, SHARE_DIGITS = 10, 4, 4
MEAN_BEYOND_STD = 4  # a mean is told to a thousandth of the spread or finer

# Powers of ten that a float64 holds exactly.
POWERS = np.array([float(f"1e{k}") for k in range(23)])

COLUMN: dict[Figure, Callable[[Summary], F8]] = {
    "min": lambda summary: summary.min,
    "mean": lambda summary: rounded(summary.mean, mean_digits(summary)),
    "max": lambda summary: summary.max,
    "last": lambda summary: summary.last,
    "std": lambda summary: rounded(summary.std, STD_DIGITS),
    "good": lambda summary: rounded(summary.good, SHARE_DIGITS),
}


def named(summary: Summary, figures: tuple[Figure, ...] = FIGURES) -> str:
    """The JSON object of all tags of a summary, with these figures of each."""
    row = [",", "", ":{"]  # the text of one tag; each second piece is left open, for its name and its figures
    for figure in figures:
        row[-1] += f'"{figure}":'
        row += ["", ","]
    row[-1] = "}"
    pieces = row * len(summary.names)
    pieces[1 :: len(row)] = map(quoted, summary.names)
    for place, column in enumerate(_columns(summary, figures)):
        pieces[3 + 2 * place :: len(row)] = column
    return f"{{{''.join(pieces[1:])}}}"


def columns(summary: Summary, figures: tuple[Figure, ...] = FIGURES) -> str:
    """The JSON object of these figures, each a list over the tags of a summary."""
    found = zip(figures, _columns(summary, figures), strict=True)
    lists = [f'"{figure}":[{",".join(column)}]' for figure, column in found]
    return f"{{{','.join(lists)}}}"


def _columns(summary: Summary, figures: tuple[Figure, ...]) -> Iterator[list[str]]:
    """The numbers of each figure. The newest of an array is all of its numbers."""
    known: dict[bytes, list[str]] = {}  # one sample in a window gives four columns of the same numbers
    for figure in figures:
        column = COLUMN[figure](summary)
        content = column.tobytes()
        if content not in known:
            known[content] = numbers(column)
        said = known[content]
        if figure == "last" and summary.arrays:
            said = said.copy()
            for row, array in summary.arrays.items():
                said[row] = f"[{','.join(numbers(array))}]"
        yield said


def numbers(column: F8) -> list[str]:
    """Each number of a column f8[n] in JSON, exactly."""
    if len(column) and (column == column[0]).all() and np.isfinite(column[0]):
        return [repr(float(column[0]))] * len(column)
    said = list(map(float.__repr__, column.tolist()))
    for row in np.flatnonzero(~np.isfinite(column)).tolist():
        said[row] = "null"
    return said


def mean_digits(summary: Summary) -> F8:
    """How many digits each mean is worth, f8[n]: those down to a thousandth of the standard deviation, at most ten."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.floor(np.log10(np.abs(summary.mean))) - np.floor(np.log10(summary.std)) + MEAN_BEYOND_STD
    digits: F8 = np.clip(np.nan_to_num(found, nan=MEAN_DIGITS), 1, MEAN_DIGITS)
    return digits


def rounded(column: F8, digits: int | F8) -> F8:
    """f8[n] with so many significant digits: the float64 nearest to each decimal, so that it is written as short.

    An integer of so few digits and a power of ten below 1e23 are exact in float64, so that their quotient or product
    is rounded once. Numbers too small or too large for that, zeros and what is not finite stay as they are.
    """
    usable = np.isfinite(column) & (column != 0)
    x = np.where(usable, column, 1.0)
    shift = (digits - 1 - np.floor(np.log10(np.abs(x)))).astype(np.int64)
    power = POWERS[np.minimum(np.abs(shift), len(POWERS) - 1)]
    with np.errstate(over="ignore"):  # of what stays as it is
        short = np.where(shift >= 0, np.rint(x * power) / power, np.rint(x / power) * power)
    return np.where(usable & (np.abs(shift) < len(POWERS)), short, column)
