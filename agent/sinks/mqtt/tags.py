"""The tags of a summary as JSON, by columns: 1000 tags cost a tenth of what a tree of them does.

    {"group/name": {"min": 1.0, "mean": 1.5, "max": 2.0, "last": 2.0, "std": 0.5, "good": 1.0}, ...}

What was measured is sent as it is; a mean, a spread and a share with as many digits as they are worth. What is not a
number is null.
"""

from __future__ import annotations

from json.encoder import encode_basestring as quoted

import numpy as np

from agent.core.nouns import F8, Summary

MEAN_DIGITS, STD_DIGITS, SHARE_DIGITS = 10, 6, 4

# The text of one tag: each second piece is left open, for its name and its figures.
ROW = (",", "", ':{"min":', "", ',"mean":', "", ',"max":', "", ',"last":', "", ',"std":', "", ',"good":', "", "}")

LAST = 9  # the place of its newest value in it, which of an array is all of its numbers

# Powers of ten that a float64 holds exactly.
POWERS = np.array([float(f"1e{k}") for k in range(23)])


def tags(summary: Summary) -> str:
    """The JSON object of all tags of a summary."""
    figures = (
        summary.min,
        rounded(summary.mean, MEAN_DIGITS),
        summary.max,
        summary.last,
        rounded(summary.std, STD_DIGITS),
        rounded(summary.good, SHARE_DIGITS),
    )
    known: dict[bytes, list[str]] = {}  # one sample in a window gives four columns of the same numbers
    pieces = list(ROW) * len(summary.names)
    pieces[1 :: len(ROW)] = map(quoted, summary.names)
    for place, column in enumerate(figures, 1):
        content = column.tobytes()
        if content not in known:
            known[content] = numbers(column)
        pieces[1 + 2 * place :: len(ROW)] = known[content]
    for row, array in summary.arrays.items():
        pieces[row * len(ROW) + LAST] = f"[{','.join(numbers(array))}]"
    return f"{{{''.join(pieces[1:])}}}"


def numbers(column: F8) -> list[str]:
    """Each number of a column f8[n] in JSON, exactly."""
    if len(column) and (column == column[0]).all() and np.isfinite(column[0]):
        return [repr(float(column[0]))] * len(column)
    said = list(map(float.__repr__, column.tolist()))
    for row in np.flatnonzero(~np.isfinite(column)).tolist():
        said[row] = "null"
    return said


def rounded(column: F8, digits: int) -> F8:
    """f8[n] with so many significant digits: the float64 nearest to each decimal, so that it is written as short.

    An integer of so few digits and a power of ten below 1e23 are exact in float64, so that their quotient or product
    is rounded once. Numbers too small or too large for that, zeros and what is not finite stay as they are.
    """
    usable = np.isfinite(column) & (column != 0)
    x = np.where(usable, column, 1.0)
    shift = digits - 1 - np.floor(np.log10(np.abs(x))).astype(np.int64)
    power = POWERS[np.minimum(np.abs(shift), len(POWERS) - 1)]
    with np.errstate(over="ignore"):  # of what stays as it is
        short = np.where(shift >= 0, np.rint(x * power) / power, np.rint(x / power) * power)
    return np.where(usable & (np.abs(shift) < len(POWERS)), short, column)
