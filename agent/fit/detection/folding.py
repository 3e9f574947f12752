"""How a window of rows becomes features: weighted means of each tag over the rows. One place for fit and graph.

    f = z' weights            z f8[W, C] standardised rows, oldest first; weights f8[W, K]; f f8[C * K], tag by tag

A weight depends on a row's age in the window only, never on when it was: nothing encodes the time since the start.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core.nouns import F8

# Shares of a window, newest stretch first. Short stretches at both ends give each tag's rate of change.
STRETCHES = ((1.0,), (0.33,), (0.1,), (0.3, 0.7), (0.1, 0.8, 0.1), (0.1, 0.233, 0.567, 0.1))
# Share of a window that an exponentially weighted mean remembers, with and without the newest row beside it.
MEMORIES = (0.1, 0.22)


@dataclass(frozen=True, slots=True)
class Folding:
    """stretches: rows of each mean, from the newest back, without overlap; rates: of exponentially weighted means
    (weight of the newest row); newest: whether the newest row alone stands beside them."""

    window: int
    stretches: tuple[int, ...] = ()
    rates: tuple[float, ...] = ()
    newest: bool = False

    @property
    def features(self) -> int:
        """K: features of a tag."""
        return len(self.stretches) + len(self.rates) + self.newest

    @property
    def memory(self) -> float:
        """Rows that the longest mean is worth: 1 / sum of its squared weights."""
        return float(1.0 / np.square(self.weights()).sum(axis=0).min())

    def __str__(self) -> str:
        parts = [f"means over {'+'.join(map(str, self.stretches))} rows"] if self.stretches else []
        parts += [f"EWMA {rate:g}" for rate in self.rates]
        return ", ".join(parts + (["newest row"] if self.newest else []))

    def weights(self) -> F8:
        """f8[W, K], each column with sum 1; the newest row is the last."""
        columns, stop = [], self.window
        for rows in self.stretches:
            columns.append(_mean(self.window, stop - rows, stop))
            stop -= rows
        age = np.arange(self.window)[::-1]
        for rate in self.rates:
            # EWMA of a window: the weights beyond its oldest row are shared out among those inside.
            weight = (1.0 - rate) ** age
            columns.append(weight / weight.sum())
        if self.newest:
            columns.append(_mean(self.window, self.window - 1, self.window))
        return np.column_stack(columns)


def foldings(window: int) -> list[Folding]:
    """Candidates for a window of so many rows, those of few features first."""
    found = [Folding(window, stretches=rows) for rows in (_rows(window, shares) for shares in STRETCHES) if rows]
    rates = dict.fromkeys(min(round(1.0 / (share * window), 3), 0.5) for share in MEMORIES)
    found += [Folding(window, rates=(rate,)) for rate in rates]
    found += [Folding(window, rates=(rate,), newest=True) for rate in rates]
    return sorted(dict.fromkeys(found), key=lambda each: each.features)


def features(rows: F8, folding: Folding) -> F8:
    """Features of each full window of unbroken standardised rows f8[..., n, C]: f8[..., n - W + 1, C * K]."""
    n, tags = rows.shape[-2:]
    if n < folding.window:
        return np.empty((*rows.shape[:-2], 0, tags * folding.features))
    windows = np.lib.stride_tricks.sliding_window_view(rows, folding.window, axis=-2)
    return (windows @ folding.weights()).reshape(*windows.shape[:-2], -1)


def _mean(window: int, start: int, stop: int) -> F8:
    out = np.zeros(window)
    out[start:stop] = 1.0 / (stop - start)
    return out


def _rows(window: int, shares: tuple[float, ...]) -> tuple[int, ...]:
    """Rows of each stretch; what rounding leaves belongs to the newest where they fill the window. Empty: too short."""
    if len(shares) == 1:
        return (max(1, round(shares[0] * window)),)
    rest = tuple(max(1, round(share * window)) for share in shares[1:])
    newest = window - sum(rest)
    return (newest, *rest) if newest >= 1 else ()
