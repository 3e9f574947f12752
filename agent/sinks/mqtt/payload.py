"""What our messages say: strict JSON that anyone can read. What is not a number is null; times are UTC.

Every record names itself by (gateway, class, epoch, seq), so that a receiver can drop what it already has. `clock`
says how good the times are; unless it says synchronised, `boot` and `boot_ns` let a receiver place the record later.
Its last member is `hash`: of two messages of one record with other hashes, the one with the better clock stands.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from agent.core import wire
from agent.core.nouns import Case, Catalogue, Condition, Event, Point, Summary
from agent.runtime.journal import Record
from agent.sinks.mqtt import FIGURES, Figure, Layout
from agent.sinks.mqtt.envelope import sealed
from agent.sinks.mqtt.tags import columns, named
from agent.store.record import CLOCK, ClockRow

FORMAT = 1
ONLINE, OFFLINE = b'{"online":true}', b'{"online":false}'

Wall = Callable[[int], int | None]


@dataclass(frozen=True, slots=True)
class Message:
    """What is published of a record. Where it has columns, `names` are their tags in order and `key` is said of them:
    the receiver must have got `names_of` with that key before."""

    content: bytes
    names: tuple[str, ...] = ()
    key: str = ""


def key_of(names: tuple[str, ...]) -> str:
    """The same for the same names in the same order, whenever they were read: 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def names_of(gateway: str, asset: str, names: tuple[str, ...], key: str) -> bytes:
    """Which tag stands where in the columns of all messages with that key."""
    return json_of({"gateway": gateway, "asset": asset, "names": key, "tags": names})


def birth(catalogue: Catalogue) -> bytes:
    """Everything about the points: names, units, kinds, roles, ranges, in the order of the catalogue; and which models
    (SHA-256 of each file) speak of each asset."""
    head = json_of(
        {
            "gateway": catalogue.gateway,
            "format": FORMAT,
            "epoch": catalogue.epoch,
            "assets": [
                {
                    "id": part.asset,
                    "title": part.title,
                    "class": part.asset_class,
                    "path": list(part.path),
                    "period_s": part.period_s,
                    "models": dict(part.models),
                }
                for part in catalogue.parts
            ],
        }
    )
    # Point by point: a tree of 10,000 of them takes ten times the memory of their text.
    return b'%s,"points":[%s]}' % (head[:-1], b",".join(json_of(_point(point)) for point in catalogue.points))


def _point(point: Point) -> dict[str, Any]:
    said = {
        "id": point.id,
        "role": point.role.value,
        "kind": point.kind.value,
        "of": point.of,
        "unit": point.unit,
        "low": _number(point.eu_lo),
        "high": _number(point.eu_hi),
        "trace": point.trace,
        "words": {str(number): word for number, word in point.enum.items()},
        "description": point.description,
    }
    return {name: value for name, value in said.items() if value not in (None, "", {})}


def message(gateway: str, record: Record, figures: tuple[Figure, ...] = FIGURES, layout: Layout = "named") -> Message:
    """A record as it is published; a summary with these figures of each tag.

    One that cannot be read is published too, and says so: nothing goes missing.
    """
    try:
        said = _said(name_of(gateway, record), record, figures, layout)
    except wire.WireError as error:
        return Message(unreadable(gateway, record, str(error)))
    return replace(said, content=sealed(said.content))


def unreadable(gateway: str, record: Record, why: str) -> bytes:
    """What is said of a record that cannot be told."""
    return sealed(json_of({**name_of(gateway, record), "unreadable": why}))


def name_of(gateway: str, record: Record) -> dict[str, Any]:
    """What each message of a record begins with."""
    name: dict[str, Any] = {
        "gateway": gateway,
        "class": record.class_,
        "epoch": record.epoch,
        "seq": record.seq,
        "asset": record.asset,
        "kind": record.kind,
        "clock": record.clock,
    }
    if record.clock != "synchronised":
        name |= {"boot": record.boot, "boot_ns": record.t_ns}
    return name


def _said(name: dict[str, Any], record: Record, figures: tuple[Figure, ...], layout: Layout) -> Message:
    def wall(t_ns: int) -> int | None:
        known = t_ns and record.clock != "unknown"
        return t_ns - record.t_ns + record.wall_ns if known else None

    if record.kind == "summary":
        summary = wire.decode(Summary, record.body)
        head = name | _window(summary, wall)
        return _by_columns(head, summary, figures) if layout == "columns" else _by_name(head, summary, figures)
    if record.kind in ("event", "audit"):
        return Message(json_of(name | _event(wire.decode(Event, record.body), wall)))
    if record.kind == CLOCK:
        row = wire.decode(ClockRow, record.body)
        return Message(json_of(name | {"boot": record.boot, "boot_ns": row.mono_ns} | times("time", row.wall_ns)))
    raise wire.WireError(f"a record of kind {record.kind} has no message")


def _by_name(head: dict[str, Any], summary: Summary, figures: tuple[Figure, ...]) -> Message:
    return Message(b'%s,"tags":%s}' % (json_of(head)[:-1], named(summary, figures).encode()))


def _by_columns(head: dict[str, Any], summary: Summary, figures: tuple[Figure, ...]) -> Message:
    key = key_of(summary.names)
    text = json_of(head | {"names": key})[:-1]
    return Message(b'%s,"columns":%s}' % (text, columns(summary, figures).encode()), summary.names, key)


def _window(summary: Summary, wall: Wall) -> dict[str, Any]:
    return {
        **times("start", wall(summary.start_ns)),
        **times("end", wall(summary.end_ns)),
        "closed_by": summary.closed_by,
        "mode": summary.mode.word,
        "context": dict(summary.context),
        "score_max": _number(summary.score_max),
        **({"models": models} if (models := _models(summary)) else {}),
        **({"trace": trace_of(summary)} if len(summary.trace.row) else {}),
    }


def trace_of(summary: Summary) -> dict[str, list[tuple[int, float | None]]]:
    """By tag the points of its line: ns since the start of the window (before 0: the last sample before it), value.

    Between two points the line is straight and misses no sample by more than the birth says of the tag (`trace`); null
    is where it is cut.
    """
    points: dict[str, list[tuple[int, float | None]]] = {}
    columns = (summary.trace.row, summary.trace.t_ns - summary.start_ns, summary.trace.value)
    for row, t_ns, value in zip(*(column.tolist() for column in columns), strict=True):
        points.setdefault(summary.names[row], []).append((t_ns, _number(value)))
    return points


def _models(summary: Summary) -> dict[str, float | str | None]:
    """What models said last of the machine and of themselves: numbers and words by the point's id in its asset."""
    return {**{name: _number(value) for name, value in summary.figures.items()}, **summary.findings}


def _event(event: Event, wall: Wall) -> dict[str, Any]:
    return {
        "id": event.id,
        **times("time", wall(event.t_ns)),
        "change": event.change,
        "text": event.text,
        "user": event.user,
        "condition": None if event.condition is None else _with_times(event.condition, wall),
        "case": None if event.case is None else _with_times(event.case, wall),
    }


def _with_times(noun: Condition | Case, wall: Wall) -> dict[str, Any]:
    """A noun's fields under their own names; each `..._ns` becomes a time, null where there is none."""
    said: dict[str, Any] = {}
    for name in noun.__slots__:
        value = getattr(noun, name)
        if name.endswith("_ns"):
            said |= times(name.removesuffix("_ns"), wall(value))
        else:
            said[name] = _number(value) if isinstance(value, float) else value
    return said


def times(name: str, wall_ns: int | None) -> dict[str, Any]:
    """A time under its name for people, and as UTC nanoseconds; null where it is not known."""
    return {name: None if wall_ns is None else iso(wall_ns), f"{name}_ns": wall_ns}


def iso(wall_ns: int) -> str:
    """UTC nanoseconds as ISO 8601 with milliseconds: 2026-11-22T08:00:00.000Z."""
    seconds, rest_ns = divmod(wall_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat()}.{rest_ns // 1_000_000:03d}Z"


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def json_of(tree: Mapping[str, Any]) -> bytes:
    """Compact, strict JSON."""
    return json.dumps(tree, separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
