"""What can be set for a Modbus endpoint, and what is wrong with its tags before any PLC is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from agent.config.model import Model
from agent.core.address import parse_range
from agent.core.blocks import MAX_BITS, MAX_REGISTERS
from agent.core.nouns import Tag
from agent.core.registers import encode, field_of
from agent.drivers.modbus.writable import why_not_writable
from agent.runtime.pki import fingerprints

Seconds = Annotated[float, pydantic.Field(ge=0.0, allow_inf_nan=False)]

# Of the period: a request may be repeated once (a serial line is left quiet in between) and the tags are still Bad
# within two periods of a device that died.
TIMEOUT_SHARE = {"tcp": 0.4, "tls": 0.4, "udp": 0.4, "rtu-over-tcp": 0.3, "rtu": 0.3, "ascii": 0.3}
# A handshake takes a small PLC longer than an answer.
HANDSHAKE_S = 3.0
SERIAL = ("rtu", "ascii")
# Which options go together: those on the right need those on the left.
RS485 = (
    "rts_high_during_send",
    "rts_high_after_send",
    "delay_rts_before_send_s",
    "delay_rts_after_send_s",
    "rx_during_tx",
)
TLS = ("ca_file", "certificate", "private_key", "server_name", "fingerprint")
PINNED = ("sha256",)


def _range(text: str, known: pydantic.ValidationInfo) -> str:
    parse_range(text, known.data.get("address_base", 0))
    return text


class Config(Model):
    """One Modbus endpoint: one connection, shared by all units behind it."""

    id: str
    type: Literal["modbus"]
    transport: Literal["tcp", "tls", "udp", "rtu-over-tcp", "rtu", "ascii"] = pydantic.Field(
        "tcp", description="tcp, tls (Modbus Security), udp, rtu-over-tcp (a serial device server); rtu, ascii (serial)"
    )
    host: str = pydantic.Field("", description="Name or address of the endpoint (all but rtu and ascii)")
    port: int = pydantic.Field(502, ge=1, le=65535, description="TCP or UDP port; unset: 502, for tls 802")
    backup_host: str = pydantic.Field("", description="Read where the endpoint cannot be reached or does not answer")
    backup_port: int | None = pydantic.Field(None, ge=1, le=65535, description="Port of the backup; unset: as port")
    return_after_s: Seconds = pydantic.Field(
        60.0, description="On the backup, try the endpoint again each so often; 0: only when the backup fails"
    )
    ca_file: Path | None = pydantic.Field(None, description="tls: who signs the device's certificate (PEM)")
    certificate: Path | None = pydantic.Field(None, description="tls: our certificate, shown to the device (PEM)")
    private_key: Path | None = pydantic.Field(None, description="tls: its key (PEM, without a passphrase)")
    server_name: str = pydantic.Field("", description="tls: the name in the device's certificate; unset: host")
    fingerprint: str = pydantic.Field("", description="tls: SHA-256 of the device's certificate, instead of a name")
    device: str = pydantic.Field("", description="Serial port (rtu, ascii), best as /dev/serial/by-id/...")
    baudrate: int = pydantic.Field(19200, ge=150, le=4_000_000, description="Serial speed in bit/s")
    parity: Literal["N", "E", "O", "M", "S"] = pydantic.Field("E", description="none, even, odd, mark, space")
    stopbits: float = pydantic.Field(1, description="1, 1.5 or 2; Linux makes 2 of 1.5, as POSIX has none")
    bytesize: Literal[5, 6, 7, 8] = pydantic.Field(8, description="rtu: 8; ascii: 7 or 8")
    local_echo: bool = pydantic.Field(False, description="The adapter hears what we send: leave exactly that out")
    rs485: bool = pydantic.Field(False, description="The kernel switches the transceiver by RTS (TIOCSRS485)")
    rts_high_during_send: bool = pydantic.Field(True, description="rs485: level of RTS while we send")
    rts_high_after_send: bool = pydantic.Field(False, description="rs485: level of RTS while we listen")
    delay_rts_before_send_s: float = pydantic.Field(0.0, ge=0, le=0.1, description="In steps of 1 ms")
    delay_rts_after_send_s: float = pydantic.Field(0.0, ge=0, le=0.1, description="In steps of 1 ms")
    rx_during_tx: bool = pydantic.Field(False, description="Listen while sending: what is sent is heard (local_echo)")
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
    connect_timeout_s: float | None = pydantic.Field(
        None, gt=0, le=60, description="Wait for a connection; unset: as for an answer, for tls 3 s"
    )
    retries: int = pydantic.Field(
        1, ge=0, le=5, description="Repeats of a read that was not answered, each on a new connection"
    )
    max_gap: int = pydantic.Field(8, ge=0, le=124, description="Most unwanted registers read between two tags")
    max_registers: int = pydantic.Field(MAX_REGISTERS, ge=1, le=MAX_REGISTERS, description="Most registers a request")
    max_bits: int = pydantic.Field(MAX_BITS, ge=1, le=MAX_BITS, description="Most coils or discrete inputs a request")
    write_multiple: bool = pydantic.Field(
        False, description="Write single coils and registers with FC 15 and 16 too: some devices lack FC 5 and 6"
    )
    mask_write: Literal["refuse", "emulate"] = pydantic.Field(
        "refuse",
        description="For a bit of a register on a device without FC 22: refuse, or read, change and write the "
        "register, which can undo a change that the PLC makes in between",
    )
    pause_after_connect_s: Seconds = pydantic.Field(0.0, description="Leave a new connection alone for so long")
    pause_between_requests_s: Seconds = pydantic.Field(0.0, description="Between an answer and the next request")
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
    trace_file: Path | None = pydantic.Field(None, description="Record the bus here (hil.replay --trace plays it)")
    trace_mb: float = pydantic.Field(16.0, gt=0, le=10_000, description="Largest recording; the newest is kept")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _secure_port(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("transport") == "tls":
            return {"port": 802, **raw}
        return raw

    @pydantic.model_validator(mode="after")
    def _endpoint(self) -> Config:
        if not self.serial and not self.host:
            raise ValueError(f"transport {self.transport} needs host")
        if self.serial and not self.device:
            raise ValueError(f"transport {self.transport} needs device, such as /dev/serial/by-id/...")
        if self.serial and self.backup_host:
            raise ValueError("backup_host is for a network, a serial line has none")
        return self

    @pydantic.model_validator(mode="after")
    def _line(self) -> Config:
        if self.transport == "rtu" and self.bytesize != 8:
            raise ValueError(f"bytesize {self.bytesize} cannot carry the bytes of rtu, expected 8")
        if self.transport == "ascii" and self.bytesize < 7:
            raise ValueError(f"bytesize {self.bytesize} cannot carry the characters of ascii, expected 7 or 8")
        if self.stopbits not in (1, 1.5, 2):
            raise ValueError(f"stopbits is {self.stopbits:g}, expected 1, 1.5 or 2")
        lone = [name for name in RS485 if name in self.model_fields_set]
        if lone and not self.rs485:
            raise ValueError(f"{lone[0]} needs rs485: true")
        if (self.rs485 or self.local_echo) and not self.serial:
            raise ValueError("rs485 and local_echo are for a serial port (transport rtu or ascii)")
        return self

    @pydantic.model_validator(mode="after")
    def _security(self) -> Config:
        given = [name for name in TLS if name in self.model_fields_set]
        if self.transport != "tls":
            if given:
                raise ValueError(f"{given[0]} needs transport: tls")
            return self
        missing = [name for name in ("certificate", "private_key") if getattr(self, name) is None]
        if missing:
            raise ValueError(f"transport tls needs {missing[0]}: both sides show a certificate")
        if self.ca_file is None and not self.fingerprint:
            raise ValueError("transport tls needs ca_file or fingerprint, to know the device by")
        if self.fingerprint:
            fingerprints.read(self.fingerprint, PINNED)
        return self

    @property
    def serial(self) -> bool:
        """Whether the endpoint is a serial port of ours."""
        return self.transport in SERIAL

    @property
    def numbered(self) -> bool:
        """Whether each answer carries the number of its request."""
        return self.transport in ("tcp", "tls", "udp")

    @property
    def where(self) -> str:
        """The endpoint in a message."""
        return self.device if self.serial else f"{self.host}:{self.port}"

    @property
    def bits_per_character(self) -> float:
        """On the serial line: start bit, data, parity, stop bits."""
        return 1.0 + self.bytesize + (self.parity != "N") + self.stopbits

    @property
    def repeats(self) -> int:
        """How often a read that was not answered is repeated: a backup is tried at least once."""
        return max(self.retries, 1 if self.backup_host else 0)

    def timeout(self, tags: Sequence[Tag]) -> float:
        """Seconds to wait for an answer."""
        fastest = min((t.scan_s for t in tags), default=1.0)
        return self.timeout_s if self.timeout_s is not None else min(1.0, TIMEOUT_SHARE[self.transport] * fastest)

    def connect_timeout(self, timeout_s: float) -> float:
        """Seconds to wait for a connection, where answers are waited for `timeout_s`."""
        if self.connect_timeout_s is not None:
            return self.connect_timeout_s
        return max(timeout_s, HANDSHAKE_S) if self.transport == "tls" else timeout_s


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
    if field.at.unit == 0 and not config.numbered:
        return f"address {tag.address!r}: unit 0 is all units of a serial line and answers nothing, expected 1 to 247"
    limit = config.max_bits if field.at.table.bits else config.max_registers
    if field.span > limit:
        return f"address {tag.address!r} is {field.span} registers long, expected at most {limit} (max_registers)"
    if tag.scan_s <= 0:
        return f"scan {tag.scan_s:g} s is not a period, expected more than 0"
    return why_not_writable(field, tag) if tag.writable else ""
