"""Units: the name we write, what a person sees, the UNECE code for OPC UA, and how to convert within a dimension.

    value in the dimension's SI unit = factor * value + offset

Names are UCUM in its readable form (`degC`, `m3/h`, `mm/s`); `ALIASES` holds other spellings, UCUM's own among them.
Codes are those of UNECE Recommendation 20 as OPC 10000-8 §5.6.3 takes them over; "" where that table has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import pi

# The namespace of the codes in an OPC UA EUInformation.
UNECE_NAMESPACE = "http://www.opcfoundation.org/UA/units/un/cefact"


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit. `symbol` is for people; `unece` the common code; two units convert if their `dimension` is the same."""

    symbol: str
    unece: str
    dimension: str
    factor: float = 1.0
    offset: float = 0.0

    @property
    def unit_id(self) -> int:
        """The code as OPC UA's number: its characters as the bytes of an integer; -1 where there is no code."""
        return int.from_bytes(self.unece.encode("ascii"), "big") if self.unece else -1


UNITS: Mapping[str, Unit] = {
    "1": Unit("1", "C62", "ratio"),
    "%": Unit("%", "P1", "ratio", 0.01),
    "m": Unit("m", "MTR", "length"),
    "mm": Unit("mm", "MMT", "length", 1e-3),
    "cm": Unit("cm", "CMT", "length", 1e-2),
    "um": Unit("µm", "4H", "length", 1e-6),
    "km": Unit("km", "KMT", "length", 1e3),
    "in": Unit("in", "INH", "length", 0.0254),
    "ft": Unit("ft", "FOT", "length", 0.3048),
    "m2": Unit("m²", "MTK", "area"),
    "cm2": Unit("cm²", "CMK", "area", 1e-4),
    "mm2": Unit("mm²", "MMK", "area", 1e-6),
    "m3": Unit("m³", "MTQ", "volume"),
    "l": Unit("l", "LTR", "volume", 1e-3),
    "ml": Unit("ml", "MLT", "volume", 1e-6),
    "s": Unit("s", "SEC", "time"),
    "ms": Unit("ms", "C26", "time", 1e-3),
    "us": Unit("µs", "B98", "time", 1e-6),
    "min": Unit("min", "MIN", "time", 60.0),
    "h": Unit("h", "HUR", "time", 3600.0),
    "d": Unit("d", "DAY", "time", 86400.0),
    "K": Unit("K", "KEL", "temperature"),
    "degC": Unit("°C", "CEL", "temperature", 1.0, 273.15),
    "degF": Unit("°F", "FAH", "temperature", 5 / 9, 459.67 * 5 / 9),
    "Pa": Unit("Pa", "PAL", "pressure"),
    "hPa": Unit("hPa", "A97", "pressure", 1e2),
    "kPa": Unit("kPa", "KPA", "pressure", 1e3),
    "MPa": Unit("MPa", "MPA", "pressure", 1e6),
    "mbar": Unit("mbar", "MBR", "pressure", 1e2),
    "bar": Unit("bar", "BAR", "pressure", 1e5),
    "psi": Unit("lbf/in²", "PS", "pressure", 6894.757293168361),
    "m3/s": Unit("m³/s", "MQS", "volume flow"),
    "m3/h": Unit("m³/h", "MQH", "volume flow", 1 / 3600),
    "m3/min": Unit("m³/min", "G53", "volume flow", 1 / 60),
    "m3/d": Unit("m³/d", "G52", "volume flow", 1 / 86400),
    "l/s": Unit("l/s", "G51", "volume flow", 1e-3),
    "l/min": Unit("l/min", "L2", "volume flow", 1e-3 / 60),
    "l/h": Unit("l/h", "E92", "volume flow", 1e-3 / 3600),
    "ml/min": Unit("ml/min", "41", "volume flow", 1e-6 / 60),
    "kg": Unit("kg", "KGM", "mass"),
    "g": Unit("g", "GRM", "mass", 1e-3),
    "t": Unit("t", "TNE", "mass", 1e3),
    "kg/s": Unit("kg/s", "KGS", "mass flow"),
    "kg/min": Unit("kg/min", "F31", "mass flow", 1 / 60),
    "kg/h": Unit("kg/h", "E93", "mass flow", 1 / 3600),
    "t/h": Unit("t/h", "E18", "mass flow", 1e3 / 3600),
    "kg/m3": Unit("kg/m³", "KMQ", "density"),
    "g/l": Unit("g/l", "GL", "density"),
    "mg/l": Unit("mg/l", "M1", "density", 1e-3),
    "m/s": Unit("m/s", "MTS", "velocity"),
    "mm/s": Unit("mm/s", "C16", "velocity", 1e-3),
    "m/min": Unit("m/min", "2X", "velocity", 1 / 60),
    "km/h": Unit("km/h", "KMH", "velocity", 1 / 3.6),
    "m/s2": Unit("m/s²", "MSK", "acceleration"),
    "mm/s2": Unit("mm/s²", "M41", "acceleration", 1e-3),
    "gn": Unit("gn", "K40", "acceleration", 9.80665),
    "rad": Unit("rad", "C81", "angle"),
    "deg": Unit("°", "DD", "angle", pi / 180),
    "rpm": Unit("r/min", "RPM", "rotation", 1 / 60),
    "rps": Unit("r/s", "RPS", "rotation"),
    "Hz": Unit("Hz", "HTZ", "frequency"),
    "kHz": Unit("kHz", "KHZ", "frequency", 1e3),
    "1/min": Unit("min⁻¹", "C94", "frequency", 1 / 60),
    "1/h": Unit("1/h", "H10", "frequency", 1 / 3600),
    "N": Unit("N", "NEW", "force"),
    "kN": Unit("kN", "B47", "force", 1e3),
    "N.m": Unit("N·m", "NU", "torque"),
    "A": Unit("A", "AMP", "current"),
    "mA": Unit("mA", "4K", "current", 1e-3),
    "kA": Unit("kA", "B22", "current", 1e3),
    "V": Unit("V", "VLT", "voltage"),
    "mV": Unit("mV", "2Z", "voltage", 1e-3),
    "kV": Unit("kV", "KVT", "voltage", 1e3),
    "W": Unit("W", "WTT", "power"),
    "kW": Unit("kW", "KWT", "power", 1e3),
    "MW": Unit("MW", "MAW", "power", 1e6),
    "V.A": Unit("V·A", "D46", "apparent power"),
    "kV.A": Unit("kV·A", "KVA", "apparent power", 1e3),
    "var": Unit("var", "D44", "reactive power"),
    "kvar": Unit("kvar", "KVR", "reactive power", 1e3),
    "J": Unit("J", "JOU", "energy"),
    "kJ": Unit("kJ", "KJO", "energy", 1e3),
    "MJ": Unit("MJ", "3B", "energy", 1e6),
    "W.h": Unit("W·h", "WHR", "energy", 3600.0),
    "kW.h": Unit("kW·h", "KWH", "energy", 3.6e6),
    "MW.h": Unit("MW·h", "MWH", "energy", 3.6e9),
    "Ohm": Unit("Ω", "OHM", "resistance"),
    "uS/cm": Unit("µS/cm", "G42", "conductivity", 1e-4),
    "mS/cm": Unit("mS/cm", "H61", "conductivity", 0.1),
    "pH": Unit("pH", "Q30", "acidity"),
    "lx": Unit("lx", "LUX", "illuminance"),
    "dB": Unit("dB", "2N", "level"),
    "B": Unit("B", "", "information"),
    "KiB": Unit("KiB", "", "information", 1024.0),
    "MiB": Unit("MiB", "", "information", 1048576.0),
}

ALIASES: Mapping[str, str] = {
    "°C": "degC",
    "Cel": "degC",
    "°F": "degF",
    "[degF]": "degF",
    "L": "l",
    "L/min": "l/min",
    "L/s": "l/s",
    "L/h": "l/h",
    "m³": "m3",
    "m²": "m2",
    "cm²": "cm2",
    "mm²": "mm2",
    "m³/h": "m3/h",
    "m³/s": "m3/s",
    "m³/min": "m3/min",
    "m/s²": "m/s2",
    "mm/s²": "mm/s2",
    "kg/m³": "kg/m3",
    "µm": "um",
    "µs": "us",
    "[psi]": "psi",
    "[in_i]": "in",
    "[ft_i]": "ft",
    "r/min": "rpm",
    "/min": "1/min",
    "/h": "1/h",
    "°": "deg",
    "Nm": "N.m",
    "N·m": "N.m",
    "VA": "V.A",
    "kVA": "kV.A",
    "Wh": "W.h",
    "kWh": "kW.h",
    "MWh": "MW.h",
    "Ω": "Ohm",
    "µS/cm": "uS/cm",
    "[pH]": "pH",
}


CODES: Mapping[str, str] = {unit.unece: name for name, unit in UNITS.items() if unit.unece}


class UnitError(ValueError):
    """A unit that is not known, or two that do not convert into each other."""


def named(text: str) -> str:
    """The name in `UNITS` of a unit in any spelling or as UNECE code; "" for none. UnitError suggests the nearest."""
    text = text.strip()
    name = ALIASES.get(text) or (text if text in UNITS else CODES.get(text, text))
    if not name or name in UNITS:
        return name
    known = [*UNITS, *ALIASES]
    near = [k for k in known if k.lower() == text.lower()] or get_close_matches(text, known, 1, 0.5)
    hint = f"; did you mean {ALIASES.get(near[0], near[0])}?" if near else ""
    raise UnitError(f"unit {text!r} is not known, expected a UCUM or UNECE unit such as m, bar, degC, m3/h, %{hint}")


def described(text: str) -> tuple[str, int, str, str]:
    """(namespace, UnitId, what to show, name) for an OPC UA EUInformation (OPC 10000-8 §5.6.4.3).

    A unit that is not known, or that has no UNECE code, keeps its text and claims no code: ("", -1, text, text).
    """
    try:
        unit = UNITS[named(text)]
    except (UnitError, KeyError):
        return "", -1, text, text
    return (UNECE_NAMESPACE if unit.unece else ""), unit.unit_id, unit.symbol, named(text)


def same(one: str, other: str) -> bool:
    """Whether two spellings are the same unit; none at all is the same as `1`. UnitError for an unknown one."""
    return (named(one) or "1") == (named(other) or "1")


def convert(value: float, unit: str, into: str) -> float:
    """A value of `unit` in the unit `into`. UnitError where their dimensions differ."""
    have, want = UNITS[named(unit) or "1"], UNITS[named(into) or "1"]
    if have.dimension != want.dimension:
        raise UnitError(f"{unit} is a {have.dimension} and {into} a {want.dimension}: they do not convert")
    return (value * have.factor + have.offset - want.offset) / want.factor
