"""The asset `gateway`: what this daemon counts about itself, as tags of the source `self`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from agent.core.conditions import Rule
from agent.core.nouns import Meter, Tag

UNIT_BREAKER = "_breaker"  # unit_2_breaker: 0 while the unit answers
UNIT_SILENT_S = 3.0
TAKEN_OVER = "taken_over"

# Of every source, whatever its driver counts besides.
OF_SOURCE = (
    Meter("connected", "1", "1 while it answers"),
    Meter("age_s", "s", "Age of its newest confirmed value"),
    Meter("restarts", "1", "Times its driver was started again"),
    Meter("jitter_s", "s", "How far polls are off their time"),
    Meter("samples", "1", "Values read"),
)
# (name after the sink's id, unit, description)
OF_SINK = (("restarts", "1", "Times it was started again"),)
OF_OPCUA = (
    ("opcua/sessions", "1", "Clients that are logged in"),
    ("opcua/values_written", "1", "Values given to the server"),
    ("opcua/notifications", "1", "Changes of values sent to clients"),
)
OF_FLEET = (
    ("fleet/desired", "1", "Version that the fleet wants here; 0 for none yet"),
    ("fleet/running", "1", "Version that runs; 0 for a file of this machine"),
    ("fleet/drift", "1", "Local changes that the fleet did not make"),
)
OF_TYPE = {"opcua": OF_OPCUA}
OWN = (
    ("journal/bytes", "B", "Size of the journal"),
    ("journal/queue", "1", "Records waiting to be written"),
    ("journal/dropped", "1", "Records lost because they could not be written"),
    ("journal/writing", "1", "1 while the disk takes what is to be kept, 0 while it waits in memory"),
    ("journal/damaged", "1", "Damaged databases that were set aside since the start"),
    ("journal/pending", "1", "Records that no destination has acknowledged yet"),
    ("engine/step_ms", "ms", "Time of the last cycle's step"),
    ("engine/missed", "1", "Cycles that came too late to be run"),
    ("process/rss_mib", "MiB", "Memory of the daemon"),
    ("process/cpu_percent", "%", "Processor time of the daemon"),
    ("process/uptime_s", "s", "Time since the daemon started"),
)


def tags(
    sources: Mapping[str, Sequence[Meter]],
    sinks: Sequence[tuple[str, str]],
    timed: Sequence[str] = (),
    of_sinks: Mapping[str, Sequence[Meter]] = MappingProxyType({}),
    fleet: bool = False,
) -> tuple[Tag, ...]:
    """The gateway's own tags for these sources (id, and what its driver counts), sinks (id, type; `of_sinks`: what each
    counts) and models (`asset.model`) whose time is to be seen; `fleet`: it is managed by one.

    The address of a tag is its meter.
    """
    names = [(f"{sink}/{name}", unit, f"{sink}: {text}") for sink, _ in sinks for name, unit, text in OF_SINK]
    names += [(f"engine/{name}_ms", "ms", f"CPU time of a step of {name}, mean of its last") for name in timed]
    for kind in dict.fromkeys(kind for _, kind in sinks):
        names += OF_TYPE.get(kind, ())
    names += OF_FLEET if fleet else ()
    return (
        *(_of_unit(source, meter) for source, own in sources.items() for meter in (*OF_SOURCE, *own)),
        *(_of_unit(sink, meter) for sink, own in of_sinks.items() for meter in own),
        *(Tag(id=f"gateway/{name}", address=name, unit=unit, description=text) for name, unit, text in (*names, *OWN)),
    )


def _of_unit(unit: str, meter: Meter) -> Tag:
    name = f"{unit}/{meter.name}"
    return Tag(f"gateway/{name}", name, unit=meter.unit, enum=meter.enum, description=f"{unit}: {meter.description}")


def rules(
    sources: Mapping[str, Sequence[Meter]], of_sinks: Mapping[str, Sequence[Meter]] = MappingProxyType({})
) -> tuple[Rule, ...]:
    """One event a device that does not answer, and one a unit behind it, not one a tag; one a sink pushed out; and
    what is wrong with the journal."""
    units = [
        (source, meter.name.removesuffix(UNIT_BREAKER))
        for source, meters in sources.items()
        for meter in meters
        if meter.name.startswith("unit_") and meter.name.endswith(UNIT_BREAKER)
    ]
    pushed = [sink for sink, meters in of_sinks.items() if any(meter.name == TAKEN_OVER for meter in meters)]
    return (
        *(_silent_source(source) for source in sources),
        *(_silent_unit(source, unit) for source, unit in units),
        *(_pushed_out(sink) for sink in pushed),
        _journal("writing", "low", "The disk does not take the journal: what is measured and told waits in memory"),
        _journal("damaged", "high", "A damaged journal was set aside, a new one is begun: see edgetwin store gaps"),
    )


def _journal(meter: str, side: str, message: str) -> Rule:
    return _event(f"journal.{meter}", f"journal/{meter}", "limit", side, message)


def _pushed_out(sink: str) -> Rule:
    message = f"{sink}: another client seems to use our client id; each id may be used once"
    return _event(f"{sink}.{TAKEN_OVER}", f"{sink}/{TAKEN_OVER}", "communication", "high", message)


def _silent_source(source: str) -> Rule:
    name, message = f"{source}.communication", f"{source} does not answer"
    return _event(name, f"{source}/connected", "communication", "low", message)


def _silent_unit(source: str, unit: str) -> Rule:
    """A unit that is left alone for longer than one lost answer takes."""
    name, message = f"{source}.{unit}.communication", f"{source} {unit.replace('_', ' ')} does not answer"
    return _event(name, f"{source}/{unit}{UNIT_BREAKER}", "communication", "high", message, UNIT_SILENT_S)


def _event(name: str, point: str, kind: str, side: str, message: str, on_delay_s: float = 0.0) -> Rule:
    """An event while a meter of ours that says yes or no stands on that side."""
    return Rule(
        id=name,
        point=point,
        kind=kind,
        side=side,
        limit=0.5,
        on_delay_s=on_delay_s,
        category="event",
        of=point,
        message=message,
    )
