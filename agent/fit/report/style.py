"""How the pictures look, and how one becomes text for the page. Colours that all can tell apart (Okabe & Ito)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.core.nouns import F8

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, PALE, RULE = "#1f2933", "#6b7785", "#c9d1d9", "#e4e8ec"
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
CYCLE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY)
WIDTH_IN = 10.0
MOST_POINTS = 1400
_FAMILY = re.compile(r"font-family: [^;\"]*;? ?")

_LOOK: dict[Any, Any] = {
    "font.size": 9.5,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.labelcolor": GREY,
    "axes.edgecolor": PALE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "xtick.minor.size": 0.0,
    "ytick.minor.size": 0.0,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "edgetwin",
}


@contextmanager
def look() -> Iterator[None]:
    """Everything drawn inside has the house's look."""
    import matplotlib

    with matplotlib.rc_context(_LOOK):
        yield


def panels(
    rows: int, columns: int = 1, *, height_in: float, sharex: bool = False, widths: Sequence[float] | None = None
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of the page's width with a grid of axes; widths: of the columns, in proportion."""
    from matplotlib.figure import Figure as New

    figure = New(figsize=(WIDTH_IN, height_in), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex, width_ratios=widths)
    return figure, [list(row) for row in axes]


def svg(figure: Figure) -> str:
    """The picture as an element of a page; the same figure gives the same text."""
    out = io.StringIO()
    figure.savefig(out, format="svg", dpi=130, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    text = out.getvalue()
    return _FAMILY.sub("", text[text.index("<svg") :])  # words have the font of the page


def labelled(tag: str, unit: str) -> str:
    """A signal with its unit, as axes name it."""
    return f"{tag} ({unit})" if unit else tag


def clock(span_s: float) -> tuple[float, str]:
    """(seconds of the unit, its name) in which a span of time is easy to read."""
    for size_s, name in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if span_s >= 3.0 * size_s:
            return size_s, name
    return 1.0, "s"


def thinned(t: F8, value: F8, most: int = MOST_POINTS) -> tuple[F8, F8]:
    """A line of fewer points that looks the same: the first, smallest and largest of each bucket, in order of time."""
    rows = len(t)
    if rows <= most:
        return t, value
    edges = np.linspace(0, rows, max(most // 2, 1) + 1).astype(np.int64)
    kept = set[int]()
    for a, b in pairwise(edges.tolist()):
        part = value[a:b]
        finite = np.isfinite(part)
        kept.add(a)
        if finite.any():
            kept.add(int(a + np.argmin(np.where(finite, part, np.inf))))
            kept.add(int(a + np.argmax(np.where(finite, part, -np.inf))))
    place = np.array(sorted(kept))
    return t[place], value[place]
