"""Where a twin has seen the machine: pairs of signals with the domain's outline, and the thin places of each input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from agent.core.nouns import F8
from agent.fit.report.material import Material
from agent.fit.report.style import BLUE, VERMILION, labelled, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_SIGNALS = 6
BINS = 36
PARTS = 10
THIN = 0.01


def domain(material: Material) -> Figure:
    """A panel a pair of signals: how many rows there are (darker: more), and the outline of the domain around them."""
    channels = (*material.twin.plant.inputs, *material.twin.plant.outputs)[:MOST_SIGNALS]
    rows = np.hstack([material.u, material.y])
    k = len(channels)
    figure, grid = panels(max(k - 1, 1), max(k - 1, 1), height_in=min(1.0 + 1.75 * (k - 1), 10.0))
    for i in range(1, k):
        for j in range(k - 1):
            axes = grid[i - 1][j]
            if j >= i:
                axes.set_visible(False)
                continue
            _pair(axes, material, rows, j, i)
            if i == k - 1:
                axes.set_xlabel(labelled(channels[j].tag, channels[j].unit))
            if j == 0:
                axes.set_ylabel(labelled(channels[i].tag, channels[i].unit))
            axes.tick_params(labelbottom=i == k - 1, labelleft=j == 0)
    return figure


def _pair(axes: Axes, material: Material, rows: F8, j: int, i: int) -> None:
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    outline = ellipse(material, j, i)
    span = [_span(rows[:, column], outline[:, part]) for part, column in enumerate((j, i))]
    finite = np.isfinite(rows[:, [j, i]]).all(axis=1)
    count, x, y = np.histogram2d(rows[finite, j], rows[finite, i], BINS, span)
    colours = LinearSegmentedColormap.from_list("rows", ["#dbe9f4", BLUE, "#003a5c"])
    most = max(float(count.max()), 2.0)
    axes.pcolormesh(x, y, np.ma.masked_equal(count.T, 0), cmap=colours, norm=LogNorm(1.0, most), rasterized=True)
    axes.plot(outline[:, 0], outline[:, 1], color=VERMILION, lw=1.2)
    axes.set_xlim(span[0])
    axes.set_ylim(span[1])
    axes.locator_params(nbins=4)


def _span(value: F8, outline: F8) -> tuple[float, float]:
    low = min(float(np.nanmin(value)), float(outline.min()))
    high = max(float(np.nanmax(value)), float(outline.max()))
    edge = 0.04 * max(high - low, 1e-9)
    return low - edge, high + edge


def ellipse(material: Material, j: int, i: int) -> F8:
    """The shadow of the domain on two signals: f8[points,2]. {z' L z <= r^2} casts the ellipse of (L^-1)_pair."""
    domain = material.twin.domain
    pair = np.array([j, i])
    S = np.linalg.inv(domain.precision)[np.ix_(pair, pair)]
    angle = np.linspace(0.0, 2.0 * np.pi, 121)
    circle = np.column_stack([np.cos(angle), np.sin(angle)])
    return np.asarray(domain.mean[pair] + domain.radius * circle @ np.linalg.cholesky(S).T, np.float64)


def coverage(material: Material) -> Figure:
    """One panel an input: the share of rows over its range; parts with under 1 % are marked."""
    inputs = material.twin.plant.inputs
    figure, grid = panels(1, len(inputs), height_in=2.0)
    for i, channel in enumerate(inputs):
        axes = grid[0][i]
        share, edges = shares(material.u[:, i], channel.low, channel.high)
        for part, a, b in zip(share, edges[:-1], edges[1:], strict=True):
            axes.bar(a, 100 * part, b - a, align="edge", color=BLUE if part >= THIN else VERMILION, ec="white")
            if part < THIN:
                axes.axvspan(a, b, color=VERMILION, alpha=0.12, lw=0)
        axes.set_xlabel(labelled(channel.tag, channel.unit))
        axes.grid(False, axis="x")
    grid[0][0].set_ylabel("% of rows")
    return figure


def shares(value: F8, low: float, high: float) -> tuple[F8, F8]:
    """Share of rows in each tenth of [low, high], and the edges f8[11]."""
    edges = np.linspace(low, max(high, low + 1e-9), PARTS + 1)
    known = value[np.isfinite(value)]
    count, _ = np.histogram(known, edges)
    return count / max(len(known), 1), edges


def distrust(material: Material) -> list[str]:
    """In words: where this twin should not be trusted."""
    twin = material.twin
    said = [f"Outside the modes {', '.join(twin.modes)}: it was not made for them and is silent there."]
    if twin.settle_s:
        said.append(f"In the first {twin.settle_s:g} s after such a mode began: it says nothing then.")
    for i, channel in enumerate(twin.plant.inputs):
        span = f"{channel.low:.4g} to {channel.high:.4g} {channel.unit}".rstrip()
        said.append(f"{channel.tag} outside {span}: no row of the recording was there.")
        share, edges = shares(material.u[:, i], channel.low, channel.high)
        thin = [f"{a:.4g} to {b:.4g}" for part, a, b in zip(share, edges[:-1], edges[1:], strict=True) if part < THIN]
        if thin:
            where = f"{', '.join(joined(thin))} {channel.unit}".rstrip()
            said.append(f"{channel.tag} at {where}: under 1 % of the rows for each tenth of its range.")
    said.append("Outside the outline below: it extrapolates. The daemon says so, and what-if gives the share of time.")
    return [*said, *material.notes]


def joined(parts: list[str]) -> list[str]:
    """Neighbouring stretches `a to b`, `b to c` as one."""
    out: list[str] = []
    for part in parts:
        low, _, high = part.partition(" to ")
        if out and out[-1].endswith(f" to {low}"):
            out[-1] = f"{out[-1].partition(' to ')[0]} to {high}"
        else:
            out.append(part)
    return out
