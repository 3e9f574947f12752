"""Derived tags, heartbeats and arrays in a tag list: what is taken, what is refused and where, what is planned."""

import math

import pytest
from config_files import CSV, YAML, real_kinds_in_name, write

from agent.config.check import check
from agent.config.load import load
from agent.config.plan import plan
from agent.config.resolved import resolved
from agent.core.nouns import Kind

HEAD = "group,tag,source,address,expression,heartbeat,type,scale,eu_lo,eu_hi,unit,enum\n"
ROWS = """\
lower,level,plc,input:0,,,float32,,0,0.6,m,
pump,flow,plc,input:2,,,float32,,0,3,m3/h,
motor,current,drive,s=current,,,,,0,2,A,
drive,state,plc,input:40,,,uint16,,,,,0=off;2=running
drive,beat,plc,input:41,,5,uint16,,,,,
oven,zones,plc,input:50,,,float32[4],,,,degC,
process,product,drive,s=product,,,string,,,,,
"""
POWER = 'motor,power,,,"{motor/current} * 230 / 1000",,,,0,0.5,kW,\n'
ENERGY = "motor,energy,,,integral({motor/power}) / 3600,,,,,,kW.h,\n"


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    real_kinds_in_name(monkeypatch)


def planned(folder, rows, yaml=YAML):
    return plan(load(write(folder, yaml, HEAD + ROWS + rows)))


def test_a_row_with_an_expression_is_measured_and_belongs_to_no_source(tmp_path):
    made = planned(tmp_path, ENERGY + POWER)
    rig = made.assets[0]
    assert rig.names[-2:] == ("motor/energy", "motor/power")
    assert all("motor/power" not in tag.id for source in made.sources for tag in source.tags)
    point = next(p for p in rig.points if p.id == "a/motor/power")
    assert (point.role, point.kind, point.unit, point.eu_hi) == ("measured", Kind.NUMBER, "kW", 0.5)
    assert rig.derived.texts == ("integral({motor/power}) / 3600", "{motor/current} * 230 / 1000")
    assert rig.derived.rows.tolist() == [7, 8]
    assert rig.stale_s == (3.0,) * 7 + (math.inf,) * 2
    for source, routes in made.routes.items():
        for route in routes:
            assert {7, 8}.isdisjoint(route.to.tolist()) or source == "self"


def test_a_list_of_derived_tags_needs_no_column_address(tmp_path):
    csv = "group,tag,expression\nd,x,{d/y} + 1\nd,y,{d/x}\n"
    texts = [p.text for p in check(write(tmp_path, csv=csv))]
    assert not any("column" in text for text in texts)


@pytest.mark.parametrize(
    ("cell", "at", "said"),
    [
        ("{motor/current} * * 2", 18, "expected a number, a tag such as {group/tag}, a function or (, found '*'"),
        ('"max({motor/current}, {motor/curent})"', 21, "there is no tag motor/curent; did you mean motor/current?"),
        ("sqt({motor/current})", 0, "did you mean sqrt?"),
        ("1 + {process/product}", 4, "tag process/product is text, expected a number"),
        ("{oven/zones} * 2", 0, "is an array, expected one element of it, such as {oven/zones}[0]"),
        ("{oven/zones}[4]", 0, "has no element 4, expected 0 to 3"),
        ("{motor/current}[0]", 0, "is a number, expected no [0]"),
        ("{motor/power} + 1", 0, "in a circle, motor/power reads motor/power"),
        ("230", 0, "no tag in it"),
    ],
)
def test_what_is_wrong_with_an_expression_is_told_at_its_character(tmp_path, cell, at, said):
    path = write(tmp_path, csv=HEAD + ROWS + f"motor,power,,,{cell},,,,,,kW,\n")
    (found,) = check(path)
    assert (found.file, found.line) == (str(tmp_path / "rig.csv"), 9)
    begins = len("motor,power,,,") + 1 + cell.startswith('"')
    assert found.col == begins + at
    assert found.text.startswith("expression: ")
    assert said in found.text


def test_a_circle_names_its_tags_in_order(tmp_path):
    rows = "d,x,,,{d/y} + 1,,,,,,,\nd,y,,,{d/z},,,,,,,\nd,z,,,2 * {d/x},,,,,,,\n"
    (found,) = check(write(tmp_path, csv=HEAD + ROWS + rows))
    assert any(f"{a} reads {b} reads {c} reads {a};" in found.text for a, b, c in (
        ("d/x", "d/y", "d/z"), ("d/y", "d/z", "d/x"), ("d/z", "d/x", "d/y")))  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("motor,power,plc,,{motor/current},,,,,,,", "expected no source"),
        ("motor,power,,input:7,{motor/current},,,,,,,", "expected no address"),
        ("motor,power,,,{motor/current},5,,,,,,", "expected no heartbeat"),
        ("motor,power,,,{motor/current},,int16,,,,,", "expected no type"),
        ("motor,power,,,{motor/current},,,2,,,,", "expected no scale"),
        ("motor,power,,,,,,,,,,", "no address, expected a value"),
        ("motor,power,plc,input:7,,1.5,uint16,,,,,", "read each 1 s: expected two scans or more"),
        ("motor,power,plc,input:7,,5,string,,,,,", "is text, expected a number as a heartbeat"),
        ("motor,power,plc,input:7,,0,uint16,,,,,", "expected more than 0"),
    ],
)
def test_columns_that_do_not_go_together_are_refused(tmp_path, row, said):
    texts = [p.text for p in check(write(tmp_path, csv=HEAD + ROWS + row + "\n"))]
    assert len(texts) == 1, texts
    assert said in texts[0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("{tag: pump/flow, low", "{tag: oven/zones, low", "is an array, expected a number to have a limit"),
        ("modes: {tag: drive/state", "modes: {tag: oven/zones", "is an array, expected a number to tell the mode"),
        ("modes: {tag: drive/state", "modes: {tag: process/product", "is text, expected a number to tell the mode"),
        ("product: process/product", "product: oven/zones", "is an array, expected text or a number"),
    ],
)
def test_what_needs_a_number_takes_no_array(tmp_path, old, new, said):
    (found,) = check(write(tmp_path, YAML.replace(old, new), HEAD + ROWS))
    assert said in found.text


def test_a_model_takes_no_array_and_a_derived_tag_gladly(tmp_path):
    yaml = YAML.replace("assets:", "    models: [{name: twin, type: twin, file: twin.twin}]\nassets:")
    path = write(tmp_path, yaml, HEAD + ROWS + POWER, twin=b"tags oven/zones\nunits degC")
    (found,) = check(path)
    assert "is an array in class rig@1, expected a number" in found.text
    assert check(write(tmp_path, yaml, HEAD + ROWS + POWER, twin=b"tags motor/power\nunits kW")) == []


def test_a_limit_holds_for_a_derived_tag(tmp_path):
    yaml = YAML.replace("{tag: pump/flow, low: 0.1}", "{tag: motor/power, high: 0.4}")
    rule = planned(tmp_path, POWER, yaml).assets[0].rules[1]
    assert (rule.point, rule.limit) == ("motor/power", 0.4)


def test_a_heartbeat_is_a_rule_and_guards_the_tags_of_its_source(tmp_path):
    rig = planned(tmp_path, POWER).assets[0]
    (beat,) = rig.heartbeats
    assert (beat.tag, beat.within_s, beat.row) == ("drive/beat", 5.0, 4)
    assert [rig.names[row] for row in beat.rows] == [
        "lower/level",
        "pump/flow",
        "drive/state",
        "drive/beat",
        "oven/zones",
    ]
    rule = rig.rules[-1]
    assert (rule.id, rule.kind, rule.category, rule.message) == (
        "drive/beat.heartbeat",
        "heartbeat",
        "event",
        "heartbeat of plc1",
    )


def test_two_names_for_one_source_share_its_heartbeat(tmp_path):
    rig = planned(tmp_path, "", YAML.replace("drive: plc2}}", "drive: plc1}}")).assets[0]
    assert rig.heartbeats[0].rows == tuple(range(7))


def test_an_override_of_an_expression_changes_the_key_of_its_asset_alone(tmp_path):
    over = "drive: plc2}, overrides: {tags: {motor/power: {expression: '{motor/current} * 400'}}}}"
    one, other = planned(tmp_path, POWER), planned(tmp_path, POWER, YAML.replace("drive: plc2}}", over))
    assert other.assets[0].derived.texts == ("{motor/current} * 400",)
    assert one.asset_keys["a"] != other.asset_keys["a"]
    assert [s.key for s in one.sources] == [s.key for s in other.sources]


def test_an_expression_is_shown_with_its_origin(tmp_path):
    path = write(tmp_path, csv=HEAD + ROWS + POWER)
    line = next(line for line in resolved(load(path)).split("\n") if "expression: {motor" in line)
    assert line.split("# ") == [
        f"{'        expression: {motor/current} * 230 / 1000':<56} ",
        f"{tmp_path / 'rig.csv'}:9",
    ]


def test_old_lists_mean_what_they_did(tmp_path):
    assert check(write(tmp_path, csv=CSV)) == []
