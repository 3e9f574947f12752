"""One open Case an asset: what its alerts say together, and which tag they point at."""

from __future__ import annotations

from dataclasses import replace

from agent.core.nouns import Case, Command, Condition, Event
from agent.engine.alarms import Say

CAUSES = ("real", "false", "planned", "unknown")

# A tag takes the blame over from another only when it stands out this much more: a case must not flicker.
CLEARLY = 1.2


def step(
    asset: str, case: Case | None, known: tuple[Condition, ...], raised: list[Event], now_ns: int, say: Say
) -> tuple[Case | None, list[Event]]:
    """The case with this cycle's alerts joined in: (case, events). A closed case gives way to the next alert."""
    new = [e.condition for e in raised if e.change == "raised" and e.condition and e.condition.category == "alert"]
    if case is None or case.closed_ns:
        if not new:
            return case, []
        opened = Case(say("", "").id, asset, now_ns, tuple(c.id for c in new), _strongest(new).blamed)
        return opened, [say("case_opened", f"case opened, look at {opened.blamed}", case=opened)]
    joined = case.conditions + tuple(c.id for c in new if c.id not in case.conditions)
    after = replace(case, conditions=joined, blamed=_blame(case, known, joined))
    if after == case:
        return case, []
    return after, [say("case_changed", f"case has {len(joined)} alerts, look at {after.blamed}", case=after)]


def _blame(case: Case, known: tuple[Condition, ...], joined: tuple[str, ...]) -> str:
    active = [c for c in known if c.id in joined and c.active and not c.shelved_until_ns]
    if not active:
        return case.blamed
    best = _strongest(active)
    present = [c for c in active if c.blamed == case.blamed and c.kind == best.kind]
    if present and strength(best) < CLEARLY * max(strength(c) for c in present):
        return case.blamed
    return best.blamed


def _strongest(alerts: list[Condition]) -> Condition:
    """The alert that says most about which tag: a residual before an anomaly before a limit, then by excess."""
    rank = {"residual": 2, "cusum": 2, "anomaly": 1}
    return max(alerts, key=lambda c: (rank.get(c.kind, 0), strength(c)))


def strength(condition: Condition) -> float:
    """How far beyond its limit a condition is: |value / limit|."""
    return abs(condition.value / condition.limit) if condition.limit else abs(condition.value)


def close(case: Case | None, command: Command, now_ns: int, say: Say) -> tuple[Case | None, list[Event]]:
    """The case closed by a person, with a cause that stays as a label for training."""
    cause = command.args.get("cause", "")
    if case is None or case.id != command.target or case.closed_ns:
        return case, [say("refused", f"close: no open case {command.target}", user=command.user)]
    if cause not in CAUSES:
        return case, [say("refused", f"close: cause must be one of {', '.join(CAUSES)}", user=command.user)]
    done = replace(case, closed_ns=now_ns, cause=cause, closed_by=command.user)
    return done, [say("case_closed", f"case closed by {command.user}: {cause}", user=command.user, case=done)]
