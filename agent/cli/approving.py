"""`edgetwin model approve`: a person believes a twin's alerts from now on, by name, with the numbers that allow it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import typer

from agent.cli.configuration import planned
from agent.cli.telling import fail
from agent.core import wire
from agent.core.conditions import PROVISIONAL
from agent.core.nouns import Event, Summary
from agent.runtime import clock
from agent.store.read import Reader
from agent.store.record import EVENT, SUMMARY, Record
from agent.store.schema import StoreError
from agent.twin import baseline
from agent.twin.baseline import Alerts, Baseline
from agent.twin.twin import Twin, dump, fingerprint, load

# Alerts that a twin raises, and causes of a closed case that say that they were right.
KINDS = frozenset({"residual", "cusum", "isolation", "trust", "life"})
RIGHT = frozenset({"real", "planned"})


def run(file: Path, by: str, anyway: str, seen: Path | None, state_dir: Path | None) -> None:
    """Write the file anew with the approval; exit 1 with what is missing where there is none."""
    if not by.strip():
        fail("--by: expected the name of the person who approves it", 2)
    try:
        twin = load(file.read_bytes())
    except (OSError, ValueError) as error:
        fail(f"{file}: {error}")
    known = twin.baseline or nothing_known(twin)
    if seen is not None:
        known = replace(known, alerts=_with_life(known, twin, seen, state_dir))
    try:
        done = baseline.approved(known, by.strip(), _now(), anyway.strip())
    except ValueError as error:
        fail(f"{file} is not approved: {error}. With --anyway and a reason it is all the same")
    whole = file.with_name(file.name + ".new")
    whole.write_bytes(dump(replace(twin, baseline=done)))
    whole.replace(file)
    typer.echo(f"{file}: {baseline.text(done)}")
    if seen is None and known.alerts is not None:
        typer.echo(f"  {known.alerts.text()}")


def nothing_known(twin: Twin) -> Baseline:
    """The baseline of a file that has none."""
    return Baseline("", "", "", 0.0, dict.fromkeys(twin.modes, 0.0), PROVISIONAL, None, None)


def _with_life(known: Baseline, twin: Twin, config: Path, state_dir: Path | None) -> Alerts:
    """What the fit counted, and what the daemon saw since then on the machines that run this twin."""
    plan = planned(config, state_dir, {})
    own = fingerprint(twin)
    assets = [a.id for a in plan.assets if any(m.sha256 == own for m in a.models)]
    if not assets:
        fail(f"{config}: no asset runs this model")
    since_ns = _wall_ns(known.made_utc)
    try:
        reader = Reader.open(plan.journal.path)
    except (StoreError, OSError) as error:
        fail(f"{plan.journal.path}: {error}")
    try:
        counts = [alerts(_events(reader.records(EVENT, a), since_ns)) for a in assets]
        days = [healthy_days(_summaries(reader.records(SUMMARY, a), since_ns), twin.modes) for a in assets]
    finally:
        reader.close()
    before = known.alerts or Alerts(0, 0.0, 1.0)
    found = replace(before, count=before.count + sum(counts), days=before.days + sum(days))
    typer.echo(f"{', '.join(assets)} since {known.made_utc or 'ever'}: {sum(counts)} alerts in {sum(days):.3g} days")
    return found


def alerts(events: Iterable[Event]) -> int:
    """Alerts of a twin that nobody has called right."""
    raised = list[str]()
    for event in events:
        case, condition = event.case, event.condition
        if event.change == "raised" and condition and condition.category == "alert" and condition.kind in KINDS:
            raised.append(condition.id)
        if event.change == "case_closed" and case and case.cause in RIGHT:
            raised = [name for name in raised if name not in case.conditions]
    return len(raised)


def healthy_days(summaries: Iterable[Summary], modes: tuple[str, ...]) -> float:
    """Time in the modes that the twin was made for; maintenance is none of them."""
    return sum(s.end_ns - s.start_ns for s in summaries if s.mode.word in modes) / 86400e9


def _events(records: Iterable[Record], since_ns: int) -> Iterator[Event]:
    return (wire.decode(Event, r.body) for r in records if r.wall_ns >= since_ns and r.kind == "event")


def _summaries(records: Iterable[Record], since_ns: int) -> Iterator[Summary]:
    return (wire.decode(Summary, r.body) for r in records if r.wall_ns >= since_ns)


def _wall_ns(utc: str) -> int:
    if not utc:
        return 0
    stamp = datetime.fromisoformat(utc)
    return int((stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp() * 1e9)


def _now() -> str:
    return datetime.fromtimestamp(clock.wall_ns() // 10**9, UTC).isoformat().replace("+00:00", "Z")
