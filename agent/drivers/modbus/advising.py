"""What would be better in a configuration that can be used as it is: each begins with the option that it is about."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from agent.core import blocks
from agent.core.nouns import Tag
from agent.core.registers import field_of
from agent.drivers.modbus.config import Config
from agent.drivers.modbus.planning import check, groups_of, limits_of
from agent.drivers.modbus.wire.quiet import silence_s
from agent.drivers.modbus.wire.security import valid_until
from agent.runtime import clock

BY_ID = Path("/dev/serial/by-id")
# Names that the kernel gives in the order of plugging in; ports of the board itself (ttyS0, ttyAMA0) keep theirs.
BY_CHANCE = re.compile(r"/dev/tty(USB|ACM)\d+")
BUSY = 0.8
EXPIRES_DAYS = 30


def advice(config: Config, tags: Sequence[Tag], by_id: Path = BY_ID) -> list[str]:
    """Everything there is to say, without asking the device."""
    if config.serial:
        return [*_about_port(config.device, by_id), *_about_load(config, tags)]
    return list(_about_certificate(config))


def _about_port(device: str, by_id: Path) -> Iterator[str]:
    if BY_CHANCE.fullmatch(device):
        name = stable_name(device, by_id)
        better = f"expected {name}" if name else f"expected a name below {by_id} (it is not plugged in now)"
        yield f"device {device} may be another adapter after a restart, {better}"
    elif Path(device).parent == by_id and not os.path.exists(device):
        others = ", ".join(str(link) for link in _links(by_id))
        there = f"; there is {others}" if others else ""
        yield f"device {device} is not there now, it is opened when it is plugged in{there}"


def stable_name(device: str, by_id: Path = BY_ID) -> Path | None:
    """The link below /dev/serial/by-id that leads to a device, None where there is none."""
    return next((link for link in _links(by_id) if os.path.realpath(link) == os.path.realpath(device)), None)


def _links(by_id: Path) -> list[Path]:
    try:
        return sorted(by_id.iterdir())
    except OSError:
        return []


def _about_load(config: Config, tags: Sequence[Tag]) -> Iterator[str]:
    wrong = {row for row, _ in check(config, tags)}
    right = [tag for row, tag in enumerate(tags) if row not in wrong]
    periods_s = {tag.scan_s for tag in right}
    load = sum(_poll_s(config, [tag for tag in right if tag.scan_s == s]) / s for s in periods_s)
    if load > BUSY:
        yield (
            f"baudrate {config.baudrate} keeps the line busy for at least {100 * load:.0f} % of the time with these "
            f"tags, expected less than {100 * BUSY:.0f} %: a faster line, slower scans or fewer tags"
        )


def _poll_s(config: Config, tags: Sequence[Tag]) -> float:
    """The least time on the line for one poll of right tags: characters both ways, and the silences between."""
    fields = [field_of(tag, config.unit_id, config.address_base) for tag in tags]
    planned = blocks.plan(blocks.readings(fields, groups_of(tags)), limits_of(config))
    sizes = [8 + 5 + (-(-b.count // 8) if b.table.bits else 2 * b.count) for b in planned]
    per_byte = 2 if config.transport == "ascii" else 1
    characters_s = sum(sizes) * per_byte * config.bits_per_character / config.baudrate
    return characters_s + 2 * len(planned) * silence_s(config.baudrate, config.bits_per_character)


def _about_certificate(config: Config) -> Iterator[str]:
    for name in ("ca_file", "certificate"):
        path: Path | None = getattr(config, name)
        if path is not None:
            yield from (f"{name} {path} {text}" for text in _about_file(path))
    if config.private_key is not None and not os.access(config.private_key, os.R_OK):
        yield f"private_key {config.private_key} cannot be read by this user now"


def _about_file(path: Path) -> Iterator[str]:
    try:
        until = valid_until(path)
    except OSError as error:
        yield f"cannot be read now: {error.strerror}"
    except ValueError:
        yield "is no certificate, expected PEM"
    else:
        left_days = (until.timestamp() - clock.wall_ns() * 1e-9) / 86400
        if left_days < EXPIRES_DAYS:
            yield f"{'expires' if left_days > 0 else 'has expired'} on {until:%Y-%m-%d}"
