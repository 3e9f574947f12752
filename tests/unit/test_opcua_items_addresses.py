"""Browse paths, members and options of tags, and the items that tags share."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.nouns import Tag
from agent.drivers.opcua import items, members
from agent.drivers.opcua.node import OBJECTS, ROOT, Address, NodeRef, PathRef, Step, address_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ns=2;s=Motor#Status.Speed", Address(NodeRef(2, "", "Motor"), ("Status", "Speed"))),
        ("ns=2;s=Motor#[2]", Address(NodeRef(2, "", "Motor"), (2,))),
        ("i=7#Axes[1].Position[0,2]", Address(NodeRef(0, "", 7), ("Axes", 1, "Position", 0, 2))),
        ("ns=2;s=Tank##4", Address(NodeRef(2, "", "Tank#4"))),
        ("ns=2;s=Tank##4#Level", Address(NodeRef(2, "", "Tank#4"), ("Level",))),
        (
            "path:/Objects/2:Plant/{http://maker/plc}Pump",
            Address(PathRef(ROOT, (Step(0, "", "Objects"), Step(2, "", "Plant"), Step(0, "http://maker/plc", "Pump")))),
        ),
        ("path:2:Plant/2:A&/B", Address(PathRef(OBJECTS, (Step(2, "", "Plant"), Step(2, "", "A/B"))))),
        ("path:ns=2;s=Pump/2:Speed", Address(PathRef(NodeRef(2, "", "Pump"), (Step(2, "", "Speed"),)))),
        (
            "path:nsu=http://maker/plc;s=A&/B/Speed#[0]",
            Address(PathRef(NodeRef(0, "http://maker/plc", "A/B"), (Step(0, "", "Speed"),)), (0,)),
        ),
    ],
)
def test_addresses(text, expected):
    assert address_of(text) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ns=2;s=Motor#", "nothing after #"),
        ("ns=2;s=Motor#.Speed", "is no member"),
        ("ns=2;s=Motor#a#b", "more than one #"),
        ("ns=2;s=Motor#a[x]", "is no member"),
        ("path:", "has no browse name"),
        ("path:/", "has no browse name"),
        ("path:/Objects//2:Plant", "'/2:Plant' does not begin with a browse name"),
        ("path:/Objects/2:Plant/", "does not begin with a browse name"),
        ("path:ns=2;s=Pump", "has no browse name"),
        ("Pump.Speed", "or path:/Objects"),
    ],
)
def test_what_is_wrong_with_an_address(text, says):
    with pytest.raises(ValueError, match=r"address '|nothing") as error:
        address_of(text)
    assert says in str(error.value)


@given(st.text("nsui=;:/&{}#[].ab1 path", max_size=25))
def test_any_text_is_an_address_or_a_plain_error(text):
    try:
        address_of(text)
    except ValueError as error:
        assert str(error).startswith("address ")


NAMES = st.text("abcXYZ_ 019", min_size=1, max_size=5)


@given(st.lists(NAMES | st.integers(0, 99), min_size=1, max_size=5))
def test_members_are_read_as_they_are_shown(parts):
    member = tuple(parts)
    assert members.parse(members.shown(member)) == member


def test_members_are_picked_and_what_is_not_there_is_told():
    value = {"Status": {"Speed": 1.5}, "Samples": [[1, 2], [3, 4]]}
    assert members.pick(value, ("Status", "Speed")) == 1.5
    assert members.pick(value, ("Samples", 1, 0)) == 3
    for member, says in (
        (("Status", "Sped"), "Status.Sped is not there, it has Speed"),
        (("Samples", 2), r"Samples\[2\] is beyond the end, the array has 2 elements"),
        (("Samples", "x"), "Samples.x is not there"),
    ):
        with pytest.raises(LookupError, match=says):
            members.pick(value, member)


def tag(address, options="", **more):
    return Tag("a/b/c", address, options=dict(o.split("=") for o in options.split(";") if o), **more)


def test_options_and_the_deadband_in_the_raw_unit():
    wish = items.wish_of(tag("i=1", "acquire=subscribe;sampling=0;queue=20;discard=newest;trigger=timestamp"))
    assert wish == items.Wish("subscribe", 0.0, 20, False, "timestamp")
    assert items.wish_of(tag("i=1", deadband=0.5, scale=-0.1, type="int16")).deadband == 5.0
    assert items.wish_of(tag("i=1", deadband=0.5, type="string")).deadband == 0.0
    assert items.wish_of(tag("i=1", "acquire=read", scan_s=2.0, phase_s=0.5)).scan_s == 2.0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("acquire=poll", "expected both, read, subscribe"),
        ("queue=0", "from 1 to 100000"),
        ("sampling=fast", "expected a number"),
        ("deadband_percent=101", "from 0 to 100"),
    ],
)
def test_what_is_wrong_with_options(options, says):
    with pytest.raises(ValueError, match="option") as error:
        items.wish_of(tag("i=1", options))
    assert says in str(error.value)


def test_tags_of_one_node_share_an_item_and_are_spread_again():
    tags = [tag("i=1#a"), tag("i=2"), tag("bad"), tag("i=1#b"), tag("i=1", "acquire=read")]
    plan = items.plan(tags, frozenset({2}))
    assert plan.of.tolist() == [0, 1, -1, 0, 2]
    place, rows = plan.spread(np.array([1, 0, 2, 0]))
    assert place.tolist() == [0, 1, 1, 2, 3, 3]
    assert rows.tolist() == [1, 0, 3, 4, 0, 3]
    assert items.periods(plan)[(1.0, 0.0)].tolist() == [2]
    assert plan.where("both").tolist() == [0, 1]
