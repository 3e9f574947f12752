"""Which tags are read together: their fields, atomic groups, and what is wrong with them before any PLC is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.core.address import parse, parse_range
from agent.core.blocks import Limits, readings, why_not
from agent.core.nouns import Tag
from agent.core.registers import Field, field_of
from agent.drivers.modbus import config as single
from agent.drivers.modbus.config import Config

TAG_OPTIONS = {"atomic": "A name: all tags of an asset that have it are read in one request"}


def limits_of(config: Config) -> Limits:
    """What the endpoint takes in one request."""
    forbidden = tuple(parse_range(text, config.address_base) for text in config.forbidden)
    return Limits(config.max_gap, config.max_registers, config.max_bits, forbidden, config.one_request_per_tag)


def unit_of(config: Config, tag: Tag) -> int | None:
    """The unit a tag is read from, None where its address cannot be read."""
    try:
        unit = parse(tag.address, config.address_base).unit
    except ValueError:
        return None
    return config.unit_id if unit is None else unit


def units_of(config: Config, tags: Sequence[Tag]) -> tuple[int, ...]:
    """All units of the endpoint that have tags."""
    return tuple(sorted({u for u in (unit_of(config, tag) for tag in tags) if u is not None}))


def groups_of(tags: Sequence[Tag]) -> list[str]:
    """The atomic group of each tag, empty for none. A group is one of its asset."""
    return [_group(tag) for tag in tags]


def _group(tag: Tag) -> str:
    name = tag.options.get("atomic", "")
    return f"{tag.id.partition('/')[0]}/{name}" if name else ""


def check(config: Config, tags: Sequence[Tag]) -> list[tuple[int, str]]:
    """What is wrong with tags, as (tag index, message), without asking the device."""
    found = dict(single.check(config, tags))
    right = [row for row in range(len(tags)) if row not in found]
    found.update(_planning_problems(config, tags, right))
    return sorted(found.items())


def _planning_problems(config: Config, tags: Sequence[Tag], rows: Sequence[int]) -> Iterator[tuple[int, str]]:
    """Tags that no request can read: too long, too far apart for their group, or in a forbidden range."""
    fields = [field_of(tags[row], config.unit_id, config.address_base) for row in rows]
    limits = limits_of(config)
    names = groups_of([tags[row] for row in rows])
    for reading in readings(fields, names):
        if why := why_not(reading, limits):
            named = str(reading) if reading.group else f"address {tags[rows[reading.rows[0]]].address!r}"
            yield from ((rows[i], f"{named} {why}") for i in reading.rows)
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        if name:
            groups.setdefault(name, []).append(i)
    for group, members in groups.items():
        if why := _torn([tags[rows[i]] for i in members], [fields[i] for i in members]):
            yield from ((rows[i], f"atomic group {group!r} {why}") for i in members)


def _torn(tags: Sequence[Tag], fields: Sequence[Field]) -> str:
    """Why the tags of a group cannot be read in one request, whatever its length."""
    places = sorted({(field.at.unit, field.at.table) for field in fields})
    if len(places) > 1:
        words = " and ".join(f"{table.word} of unit {unit}" for unit, table in places)
        return f"lies in {words}, expected one table of one unit: a request reads no more"
    times = sorted({(tag.scan_s, tag.phase_s) for tag in tags})
    if len(times) > 1:
        words = " and ".join(
            f"each {scan_s:g} s" + (f" at {phase_s:g} s" if phase_s else "") for scan_s, phase_s in times
        )
        return f"is read {words}, expected the same scan and phase"
    return ""
