"""Units: every code is well formed, names are found in any spelling, conversion is right and reversible."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import units
from agent.core.units import ALIASES, CODES, UNITS, UnitError, convert, named, same


def test_the_table_is_well_formed():
    assert all(re.fullmatch(r"[0-9A-Z]{2,3}|", u.unece) for u in UNITS.values())
    codes = [u.unece for u in UNITS.values() if u.unece]
    assert len(set(codes)) == len(codes)
    assert set(ALIASES.values()) <= set(UNITS)
    assert not set(ALIASES) & set(UNITS)
    assert not set(CODES) & set(UNITS)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("°C", "degC"),
        ("Cel", "degC"),
        ("CEL", "degC"),
        ("m³/h", "m3/h"),
        ("L/min", "l/min"),
        (" bar ", "bar"),
        ("", ""),
    ],
)
def test_spellings(spelling, name):
    assert named(spelling) == name


@pytest.mark.parametrize(("wrong", "near"), [("m3/hour", "m3/h"), ("Bar", "bar"), ("degc", "degC"), ("kpa", "kPa")])
def test_unknown_units_suggest_the_nearest(wrong, near):
    with pytest.raises(UnitError, match=f"did you mean {re.escape(near)}"):
        named(wrong)


# Published definitions: NIST SP 811 appendix B and arithmetic.
@pytest.mark.parametrize(
    ("value", "unit", "into", "wanted"),
    [
        (100.0, "degC", "degF", 212.0),
        (-40.0, "degF", "degC", -40.0),
        (1.0, "bar", "psi", 14.503773773),
        (3.6, "m3/h", "l/s", 1.0),
        (1.0, "kW.h", "MJ", 3.6),
        (50.0, "%", "1", 0.5),
        (1.0, "in", "mm", 25.4),
    ],
)
def test_known_conversions(value, unit, into, wanted):
    assert convert(value, unit, into) == pytest.approx(wanted, rel=1e-9)


pairs = [(a, b) for a in UNITS for b in UNITS if UNITS[a].dimension == UNITS[b].dimension]


@given(st.sampled_from(pairs), st.floats(-1e6, 1e6))
def test_conversion_and_back_is_the_same(pair, value):
    one, other = pair
    scale = max(abs(value), abs(convert(0.0, other, one)), 1.0)
    assert convert(convert(value, one, other), other, one) == pytest.approx(value, abs=1e-9 * scale)


def test_dimensions_do_not_mix():
    with pytest.raises(UnitError, match="do not convert"):
        convert(1.0, "m", "bar")


def test_no_unit_is_one_and_not_another():
    assert same("", "1")
    assert same("MTR", "m")
    assert not same("", "m")


# Numbers of the OPC Foundation's own table.
@pytest.mark.parametrize(
    ("name", "number"), [("m", 5067858), ("degC", 4408652), ("%", 20529), ("mm/s", 4403510), ("l/min", 19506)]
)
def test_unit_ids_are_those_of_opc_ua(name, number):
    assert units.UNITS[name].unit_id == number
