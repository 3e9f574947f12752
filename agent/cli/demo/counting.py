"""What flowed through each hop, counted from outside: the feed for ours, the witnesses for SCADA and the cloud."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from agent.core import quality
from agent.core.nouns import Case, Catalogue, Event, Role, Snapshot


@dataclass(slots=True)
class Counts:
    """A fold over the feed. `injected_ns` is when the fault was ordered."""

    asset: str
    catalogue: Catalogue | None = None
    ticks: int = 0
    estimates: int = 0
    scores: int = 0
    samples: float = 0.0
    injected_ns: int = 0
    raised: list[Event] = field(default_factory=list)
    case: Case | None = None
    modes: dict[str, int] = field(default_factory=dict)
    step_ms: list[float] = field(default_factory=list)
    score_peak: float = 0.0

    def take(self, noun: Catalogue | Snapshot) -> None:
        """Fold one noun of the feed in."""
        if isinstance(noun, Catalogue):
            self.catalogue = noun
        elif noun.asset == self.asset:
            self._machine(noun)
        elif noun.asset == "gateway":
            self._gateway(noun)

    def _machine(self, snapshot: Snapshot) -> None:
        self.ticks += 1
        self.modes[snapshot.mode.word] = self.modes.get(snapshot.mode.word, 0) + 1
        roles = [p.role for p in self.catalogue.of(self.asset)] if self.catalogue else []
        for role, value, status in zip(roles, snapshot.value.tolist(), snapshot.status.tolist(), strict=True):
            if not quality.is_good(status):
                continue
            self.estimates += role in (Role.EXPECTED, Role.VIRTUAL)
            self.scores += role is Role.SCORE
            if role is Role.SCORE:
                self.score_peak = max(self.score_peak, value)
        self.raised += [e for e in snapshot.events if e.change == "raised" and e.condition]
        self.case = snapshot.case or self.case

    def _gateway(self, snapshot: Snapshot) -> None:
        if self.catalogue is None:
            return
        meters = {p.id: v for p, v in zip(self.catalogue.of("gateway"), snapshot.value.tolist(), strict=True)}
        self.samples = sum(v for k, v in meters.items() if k.endswith("/samples") and v == v)
        step_ms = meters.get("gateway/engine/step_ms", float("nan"))
        self.step_ms += [step_ms] if step_ms == step_ms else []

    def alerts(self, after: bool) -> list[Event]:
        """Alerts raised after (or before) the fault was ordered."""
        events = [e for e in self.raised if e.condition and e.condition.category == "alert"]
        return [e for e in events if (self.injected_ns > 0 and e.t_ns >= self.injected_ns) == after]


def report(counts: Counts, fault: str, cloud: str, scada: str, duration_s: float) -> dict[str, Any]:
    """The counts of every hop, the verdict on the fault, and `ok` if everything flowed and the fault was found."""
    mqtt, opcua = _tree(cloud), _tree(scada)
    topics = mqtt.get("classes", {})
    hops = {
        "samples": int(counts.samples),
        "ticks": counts.ticks,
        "estimates": counts.estimates,
        "scores": counts.scores,
        "opcua_nodes": opcua.get("nodes", 0),
        "opcua_values": opcua.get("changes", 0),
        "mqtt_summaries": topics.get("summary", 0),
        "mqtt_events": topics.get("event", 0),
    }
    found = counts.alerts(after=True)
    verdict = {
        "fault": fault,
        "found": bool(found),
        "delay_s": round((found[0].t_ns - counts.injected_ns) * 1e-9, 2) if found else None,
        "first_alert": found[0].condition.id if found and found[0].condition else None,
        "blamed": counts.case.blamed if found and counts.case else None,
        "alerts_before": len(counts.alerts(after=False)),
    }
    flowed = all(hops.values())
    return {
        "ok": flowed and (bool(found) or fault == "none"),
        "duration_s": round(duration_s, 1),
        "hops": hops,
        "fault": verdict,
        "modes": counts.modes,
        "score_peak": round(counts.score_peak, 3),
        "step_ms_max": round(max(counts.step_ms, default=float("nan")), 3),
    }


def _tree(line: str) -> dict[str, Any]:
    try:
        tree = json.loads(line)
    except ValueError:
        return {}
    return tree if isinstance(tree, dict) else {}
