"""What `check` says of forbidden ranges and atomic groups, before any PLC is asked."""

import pydantic
import pytest

from agent.core.nouns import Tag
from agent.drivers import modbus
from agent.drivers.modbus.polling import scheduled


def config(**more):
    return modbus.Config(**{"id": "plc", "type": "modbus", "host": "h", **more})


def tag(address, kind="uint16", group="", asset="rig", **more):
    options = {"atomic": group} if group else {}
    return Tag(f"{asset}/a/{address}", address, kind, **{"options": options, **more})


def test_a_tag_in_a_forbidden_range_is_named():
    tags = [tag("holding:99"), tag("holding:100"), tag("holding:198", "float64"), tag("2/input:29"), tag("input:30")]
    found = dict(modbus.check(config(forbidden=["holding:100-199", "2/input:30-39"]), tags))
    assert list(found) == [1, 2]
    assert found[1] == "address 'holding:100' lies in the forbidden range holding:100-199"


def test_forbidden_ranges_count_as_the_addresses_of_their_endpoint():
    tags = [tag("input:30"), tag("input:31")]
    assert list(dict(modbus.check(config(forbidden=["input:31"], address_base=1), tags))) == [1]
    assert list(dict(modbus.check(config(forbidden=["30031"]), tags))) == [0]


def test_no_request_touches_a_forbidden_range_even_between_tags():
    tags = [tag(f"holding:{i}") for i in range(0, 100, 3)]
    (scan,) = scheduled(config(forbidden=["holding:10-11", "holding:49-50"]), tags, list).classes
    read = {r.block.start + i for r in scan.plan for i in range(r.block.count)}
    assert not read & {10, 11, 49, 50}
    assert len(scan.plan) == 3


@pytest.mark.parametrize("text", ["holding", "holding:5-1", "hold:1-2", "holding:0-9", 7])
def test_a_range_that_is_none_is_refused_where_it_stands(text):
    with pytest.raises(pydantic.ValidationError) as refused:
        config(forbidden=["input:1", text], address_base=1)
    assert refused.value.errors()[0]["loc"] == ("forbidden", 1)


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ([tag("holding:0", group="g"), tag("holding:200", group="g")], "201 registers long, expected at most 125"),
        ([tag("holding:0", group="g"), tag("holding:20", group="g")], "has the forbidden range holding:9-12 in it"),
        ([tag("holding:0", group="g"), tag("input:0", group="g")], "lies in holding of unit 1 and input of unit 1"),
        ([tag("holding:0", group="g"), tag("2/holding:0", group="g")], "holding of unit 1 and holding of unit 2"),
        (
            [tag("holding:0", group="g", scan_s=1.0), tag("holding:1", group="g", scan_s=1.0, phase_s=0.5)],
            "each 1 s and each 1 s at 0.5 s, expected the same scan and phase",
        ),
    ],
)
def test_a_group_that_one_request_cannot_read_says_why(tags, says):
    found = dict(modbus.check(config(forbidden=["holding:9-12"]), [tag("holding:1"), *tags]))
    assert list(found) == [1, 2]
    assert "atomic group 'rig/g'" in found[1]
    assert says in found[1]


def test_a_group_belongs_to_its_asset():
    tags = [tag("1/holding:0", group="g", asset="one"), tag("2/holding:0", group="g", asset="two")]
    assert modbus.check(config(), tags) == []


def test_meters_of_units_are_there_where_several_share_the_endpoint():
    names = {m.name for m in modbus.meters(config(), [tag("holding:0"), tag("5/holding:0"), tag("what:0")])}
    assert {"breaker", "unit_1_breaker", "unit_5_age_s", "unit_5_errors"} <= names
    alone = {m.name for m in modbus.meters(config(), [tag("holding:0")])}
    assert {"breaker", "timeouts", "rtt_s"} <= alone
    assert not any(name.startswith("unit_") for name in alone)
