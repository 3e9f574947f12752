"""What the view remembers: the newest of each asset, a short trend of each point, the last events. A pure fold."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from agent.core import quality
from agent.core.nouns import Catalogue, Event, Point, Role, Snapshot

TREND = 48
EVENTS = 60


@dataclass(slots=True)
class View:
    """Everything the screen shows. `trends` by point id: the last values, NaN where there was none."""

    catalogue: Catalogue | None = None
    newest: dict[str, Snapshot] = field(default_factory=dict)
    trends: dict[str, deque[float]] = field(default_factory=dict)
    events: deque[Event] = field(default_factory=lambda: deque(maxlen=EVENTS))
    notice: str = ""

    def take(self, noun: Catalogue | Snapshot) -> None:
        """Fold one noun of the feed in."""
        if isinstance(noun, Catalogue):
            self.catalogue = noun
            return
        self.newest[noun.asset] = noun
        self.events.extend(noun.events)
        if self.catalogue is None:
            return
        for point, value in zip(self.catalogue.of(noun.asset), noun.value.tolist(), strict=True):
            self.trends.setdefault(point.id, deque(maxlen=TREND)).append(value)

    def read(self, point_id: str) -> tuple[float, int]:
        """Newest (value, status) of a point; BadWaitingForInitialData where nothing came yet."""
        asset = point_id.partition("/")[0]
        snapshot = self.newest.get(asset)
        if self.catalogue is None or snapshot is None:
            return float("nan"), quality.BAD_WAITING_FOR_INITIAL_DATA
        for row, point in enumerate(self.catalogue.of(asset)):
            if point.id == point_id:
                return float(snapshot.value[row]), int(snapshot.status[row])
        return float("nan"), quality.BAD_NODE_ID_UNKNOWN

    def around(self, asset: str) -> dict[str, dict[Role, tuple[Point, float, int]]]:
        """For each measured or virtual point of an asset: what hangs on it by role, with value and status."""
        if self.catalogue is None or asset not in self.newest:
            return {}
        snapshot = self.newest[asset]
        table: dict[str, dict[Role, tuple[Point, float, int]]] = {}
        for row, point in enumerate(self.catalogue.of(asset)):
            cell = (point, float(snapshot.value[row]), int(snapshot.status[row]))
            if point.role in (Role.MEASURED, Role.VIRTUAL):
                table.setdefault(point.id, {})[point.role] = cell
            elif point.of is not None and point.of in table:
                table[point.of][point.role] = cell
        return table


def sparkline(values: deque[float], width: int) -> str:
    """A trend of block characters, its own range from bottom to top; a blank where there was no value."""
    shown = list(values)[-width:]
    finite = [v for v in shown if v == v]
    if not finite:
        return " " * width
    low, high = min(finite), max(finite)
    span = (high - low) or 1.0
    blocks = "▁▂▃▄▅▆▇█"
    text = "".join(" " if v != v else blocks[min(7, int((v - low) / span * 8))] for v in shown)
    return text.rjust(width)
