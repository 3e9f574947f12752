"""The asset `gateway`: what this daemon counts about itself, as tags of the source `self`."""

from __future__ import annotations

from collections.abc import Sequence

from agent.core.conditions import Rule
from agent.core.nouns import Tag

# (name after the source's id, unit, description)
OF_SOURCE = (
    ("connected", "1", "1 while it answers"),
    ("age_s", "s", "Age of its newest confirmed value"),
    ("errors", "1", "Requests that failed"),
    ("restarts", "1", "Times its driver was started again"),
    ("jitter_s", "s", "How far polls are off their time"),
    ("samples", "1", "Values read"),
)
OF_SINK = (("restarts", "1", "Times it was started again"),)
OF_MQTT = (
    ("mqtt/connected", "1", "1 while the broker answers"),
    ("mqtt/published", "1", "Messages sent"),
    ("mqtt/acknowledged", "1", "Messages that the broker confirmed"),
    ("mqtt/pending", "1", "Messages on their way"),
)
OF_OPCUA = (
    ("opcua/sessions", "1", "Clients that are logged in"),
    ("opcua/values_written", "1", "Values given to the server"),
    ("opcua/notifications", "1", "Changes of values sent to clients"),
)
OF_TYPE = {"mqtt": OF_MQTT, "opcua": OF_OPCUA}
OWN = (
    ("journal/bytes", "B", "Size of the journal"),
    ("journal/queue", "1", "Records waiting to be written"),
    ("journal/dropped", "1", "Records lost because they could not be written"),
    ("journal/pending", "1", "Records that no destination has acknowledged yet"),
    ("engine/step_ms", "ms", "Time of the last cycle's step"),
    ("engine/missed", "1", "Cycles that came too late to be run"),
    ("process/rss_mib", "MiB", "Memory of the daemon"),
    ("process/cpu_percent", "%", "Processor time of the daemon"),
    ("process/uptime_s", "s", "Time since the daemon started"),
)


def tags(sources: Sequence[str], sinks: Sequence[tuple[str, str]]) -> tuple[Tag, ...]:
    """The gateway's own tags for these sources (ids) and sinks (id, type). The address of a tag is its meter."""
    names = [(f"{source}/{name}", unit, f"{source}: {text}") for source in sources for name, unit, text in OF_SOURCE]
    names += [(f"{sink}/{name}", unit, f"{sink}: {text}") for sink, _ in sinks for name, unit, text in OF_SINK]
    for kind in dict.fromkeys(kind for _, kind in sinks):
        names += OF_TYPE.get(kind, ())
    return tuple(
        Tag(id=f"gateway/{name}", address=name, unit=unit, description=text) for name, unit, text in (*names, *OWN)
    )


def rules(sources: Sequence[str]) -> tuple[Rule, ...]:
    """One event a device that does not answer, not one a tag."""
    return tuple(
        Rule(
            id=f"{source}.communication",
            point=f"{source}/connected",
            kind="communication",
            side="low",
            limit=0.5,
            category="event",
            of=f"{source}/connected",
            message=f"{source} does not answer",
        )
        for source in sources
    )
