"""What a sink is given: the newest, and the journal by cursor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from agent.core.nouns import Catalogue, Snapshot
from agent.runtime.hub import Hub
from agent.runtime.journal import Cursor, Journal
from agent.runtime.reported import Reported


@dataclass(frozen=True, slots=True)
class Taps:
    """Two taps on the way out; neither can slow what is upstream. fleet: what a gateway of a fleet says of itself."""

    gateway: str
    hub: Hub
    records: Journal
    fleet: Reported | None = None

    def latest(self) -> AsyncIterator[Catalogue | Snapshot]:
        """The Catalogue, then the newest Snapshot of each asset, then each newer one; newest wins."""
        return self.hub.latest()

    def journal(self, name: str, classes: Sequence[str]) -> Cursor:
        """Records of these classes from the first that destination `name` has not acknowledged."""
        return self.records.cursor(name, classes)

    def halves(self, name: str, classes: Sequence[str]) -> tuple[Cursor, Cursor]:
        """The same in two cursors side by side: what is stored now (it ends by itself), and what comes from now on."""
        return self.records.halves(name, classes)
