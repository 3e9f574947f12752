"""What can be set for a Modbus endpoint, and what is wrong with its tags before any PLC is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import pydantic

from agent.config.model import Model
from agent.core.address import parse_range
from agent.core.blocks import MAX_BITS, MAX_REGISTERS
from agent.core.nouns import Tag
from agent.core.registers import Field, encode, field_of

Seconds = Annotated[float, pydantic.Field(ge=0.0, allow_inf_nan=False)]

# Of the period: a request may be repeated once (a serial line is left quiet in between) and the tags are still Bad
# within two periods of a device that died.
TIMEOUT_SHARE = {"tcp": 0.4, "udp": 0.4, "rtu-over-tcp": 0.3, "rtu": 0.3, "ascii": 0.3}

# What a tag may be less than a register; the protocol writes whole ones.
PARTS = {"bit": "bit", "i1": "byte", "u1": "byte"}


def _range(text: str, known: pydantic.ValidationInfo) -> str:
    parse_range(text, known.data.get("address_base", 0))
    return text


class Config(Model):
    """One Modbus endpoint: one connection, shared by all units behind it."""

    id: str
    type: Literal["modbus"]
    transport: Literal["tcp", "udp", "rtu-over-tcp", "rtu", "ascii"] = pydantic.Field(
        "tcp", description="tcp, udp, rtu-over-tcp (a serial device server); rtu or ascii for a serial line"
    )
    host: str = pydantic.Field("", description="Name or address of the endpoint (tcp, udp, rtu-over-tcp)")
    port: int = pydantic.Field(502, ge=1, le=65535, description="TCP or UDP port")
    device: str = pydantic.Field("", description="Serial port (rtu, ascii), best as /dev/serial/by-id/...")
    baudrate: int = pydantic.Field(19200, ge=150, le=4_000_000)
    parity: Literal["N", "E", "O"] = "E"
    stopbits: Literal[1, 2] = 1
    bytesize: Literal[7, 8] = 8
    unit_id: int = pydantic.Field(1, ge=0, le=255, description="Unit of addresses that name none")
    address_base: Literal[0, 1] = pydantic.Field(
        0,
        description="The first of a table in addresses such as input:30: 0 (PDU offsets) or 1. "
        "Modicon addresses such as 30031 count from 1 anyway",
    )
    timeout_s: float | None = pydantic.Field(
        None,
        gt=0,
        le=60,
        description="Wait for an answer; unset: the smaller of 1 s and 0.4 (rtu, ascii: 0.3) of the fastest scan",
    )
    retries: int = pydantic.Field(
        1, ge=0, le=5, description="Repeats of a read that was not answered, each on a new connection"
    )
    max_gap: int = pydantic.Field(8, ge=0, le=124, description="Most unwanted registers read between two tags")
    max_registers: int = pydantic.Field(MAX_REGISTERS, ge=1, le=MAX_REGISTERS, description="Most registers a request")
    max_bits: int = pydantic.Field(MAX_BITS, ge=1, le=MAX_BITS, description="Most coils or discrete inputs a request")
    pause_after_connect_s: Seconds = 0.0
    pause_between_requests_s: Seconds = 0.0
    retry_refused_s: float = pydantic.Field(
        60.0, gt=0, description="When an address that the device refused is tried again"
    )
    retry_unit_s: float = pydantic.Field(
        30.0, gt=0, description="Longest pause before a silent unit of several is asked again"
    )
    breaker_failures: int = pydantic.Field(
        1,
        ge=1,
        le=100,
        description="Polls in a row that a unit of several may fail before it is left alone for a pause",
    )
    forbidden: tuple[Annotated[str, pydantic.AfterValidator(_range)], ...] = pydantic.Field(
        (), description="Never touched by a request, not even between two tags: [holding:100-199, 2/input:30-39]"
    )
    one_request_per_tag: bool = pydantic.Field(
        False, description="Each tag (and each atomic group) in a request of its own, for devices that need it"
    )

    @pydantic.model_validator(mode="after")
    def _endpoint(self) -> Config:
        if not self.serial and not self.host:
            raise ValueError(f"transport {self.transport} needs host")
        if self.serial and not self.device:
            raise ValueError(f"transport {self.transport} needs device, such as /dev/serial/by-id/...")
        return self

    @property
    def serial(self) -> bool:
        """Whether the endpoint is a serial port of ours."""
        return self.transport in ("rtu", "ascii")

    @property
    def where(self) -> str:
        """The endpoint in a message."""
        return self.device if self.serial else f"{self.host}:{self.port}"

    def timeout(self, tags: Sequence[Tag]) -> float:
        """Seconds to wait for an answer."""
        fastest = min((t.scan_s for t in tags), default=1.0)
        return self.timeout_s if self.timeout_s is not None else min(1.0, TIMEOUT_SHARE[self.transport] * fastest)


def check(config: Config, tags: Sequence[Tag]) -> list[tuple[int, str]]:
    """What is wrong with tags, as (tag index, message), without asking the device."""
    return [(i, text) for i, tag in enumerate(tags) if (text := _problem(config, tag))]


def _problem(config: Config, tag: Tag) -> str:
    try:
        field = field_of(tag, config.unit_id, config.address_base)
        if tag.invalid is not None and field.dtype not in ("bool", "bit", "string"):
            encode(field.elements[0] if field.elements else field, tag.invalid)
    except ValueError as error:
        return str(error)
    limit = config.max_bits if field.at.table.bits else config.max_registers
    if field.span > limit:
        return f"address {tag.address!r} is {field.span} registers long, expected at most {limit} (max_registers)"
    if tag.scan_s <= 0:
        return f"scan {tag.scan_s:g} s is not a period, expected more than 0"
    return why_not_writable(field, tag) if tag.writable else ""


def why_not_writable(field: Field, tag: Tag) -> str:
    """Why the protocol cannot write a tag; empty if it can."""
    if not field.at.table.writable:
        return f"address {tag.address!r} is marked writable, but {field.at.table.word} can only be read"
    if part := PARTS.get(field.dtype):
        return f"address {tag.address!r}: one {part} of a register cannot be written alone, expected the whole register"
    return ""
