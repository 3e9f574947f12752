"""The register map of the Modbus PLC: where each tag stands, how it is coded, and how it looks after decoding."""

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Value = float | int | bool | str


@dataclass(frozen=True, slots=True)
class Register:
    """A tag at a PDU address (0-based). code: f32 and u32 in CDAB order, i16, u16; value = raw / per_unit."""

    tag: str
    address: int
    code: str
    per_unit: float = 1.0

    @property
    def words(self) -> int:
        """Registers that it takes."""
        return 2 if self.code in ("f32", "u32") else 1


INPUT_REGISTERS = (
    Register("upper/level", 0, "f32"),
    Register("lower/level", 2, "f32"),
    Register("pump/flow", 4, "f32"),
    Register("pump/pressure", 6, "f32"),
    Register("control/setpoint", 8, "f32"),
    Register("pump/speed", 20, "i16", 10.0),
    Register("valve/position", 21, "i16", 100.0),
    Register("ambient/temperature", 22, "i16", 10.0),
    Register("pump/volume", 30, "u32"),
    Register("drive/state", 40, "u16"),
    Register("drive/heartbeat", 41, "u16"),
)
HOLDING_REGISTERS = (Register("control/setpoint_base", 0, "f32"),)
COILS = ("pump/run", "interlock/ok", "drive/reset")
RESET_COIL = 2
OPCUA_TAGS = ("motor/current", "motor/winding_temperature", "motor/vibration", "process/product")


def float_words(value: float) -> list[int]:
    """A float32 in CDAB order: low word first, each word big-endian."""
    try:
        packed = struct.pack(">f", value)
    except OverflowError:  # beyond float32
        packed = struct.pack(">f", math.copysign(math.inf, value))
    high, low = struct.unpack(">HH", packed)
    return [low, high]


def words_float(words: list[int]) -> float:
    """The float32 in two CDAB words."""
    value: float = struct.unpack(">f", struct.pack(">HH", words[1], words[0]))[0]
    return value


def raw_integer(register: Register, value: float) -> int:
    """The integer in the register, clamped to what it can hold."""
    lo, hi = {"i16": (-32768, 32767), "u16": (0, 65535), "u32": (0, 0xFFFF_FFFF)}[register.code]
    return min(max(round(value * register.per_unit), lo), hi)


def encode(register: Register, value: float) -> list[int]:
    """The words of one register, lowest address first."""
    if register.code == "f32":
        return float_words(value)
    raw = raw_integer(register, value)
    if register.code == "u32":
        return [raw & 0xFFFF, raw >> 16]
    return [raw & 0xFFFF]


def seen(register: Register, value: float) -> float | int:
    """What a client has after decoding and scaling."""
    if register.code == "f32":
        return words_float(float_words(value))
    raw = raw_integer(register, value)
    return raw if register.per_unit == 1.0 else raw / register.per_unit


def block_words(registers: Iterable[Register], image: Mapping[str, Value]) -> dict[int, int]:
    """PDU address to word, of all registers of a block."""
    words: dict[int, int] = {}
    for register in registers:
        for offset, word in enumerate(encode(register, float(image[register.tag]))):
            words[register.address + offset] = word
    return words


def read_columns() -> tuple[str, ...]:
    """Tags that a client of both PLCs can read, in the order of the recordings."""
    return tuple(r.tag for r in INPUT_REGISTERS) + COILS[:2] + OPCUA_TAGS


def decoded(image: Mapping[str, Value]) -> dict[str, Value]:
    """An I/O image as a client of both PLCs sees it, in the order of read_columns."""
    values: dict[str, Value] = {r.tag: seen(r, float(image[r.tag])) for r in INPUT_REGISTERS}
    values |= {coil: bool(image[coil]) for coil in COILS[:2]}
    values |= {tag: image[tag] for tag in OPCUA_TAGS}
    return values


def cell(value: Value) -> str:
    """One value of a recording as text that gives the same number back."""
    return str(int(value)) if isinstance(value, bool) else str(value)
