"""Units as OPC UA numbers, against the examples of OPC 10000-8 and UNECE Recommendation 20."""

import pytest

from agent.core import units


@pytest.mark.parametrize(
    ("written", "number", "shown"),
    [
        ("mm", 5066068, "mm"),  # the standard's own example: MMT
        ("m", 5067858, "m"),
        ("Cel", 4408652, "°C"),
        ("degC", 4408652, "°C"),
        ("CEL", 4408652, "°C"),
        ("%", 20529, "%"),
        ("A", 4279632, "A"),
        ("rpm", 5394509, "r/min"),
        ("m3/h", 5067080, "m³/h"),
        ("l/min", 19506, "l/min"),
        ("mm/s", 4403510, "mm/s"),
        ("1", 4404786, "1"),
    ],
)
def test_known_units(written, number, shown):
    namespace, unit_id, display, name = units.described(written)
    assert (namespace, unit_id, display) == (units.UNECE_NAMESPACE, number, shown)
    assert name


def test_a_unit_we_do_not_know_keeps_its_text_and_claims_no_code():
    assert units.described("furlong") == ("", -1, "furlong", "furlong")
