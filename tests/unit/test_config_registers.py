"""Tag lists as other tools write them, with the Modbus driver itself: types, orders by name, addresses from 1."""

import pytest
from config_files import write

from agent.config.check import check
from agent.config.load import load
from agent.config.plan import plan
from agent.core.address import parse

YAML = """\
gateway: {id: g1}
classes:
  p@1: {tags: rig.csv, modes: {always: running}}
assets:
  - {id: p, class: p@1}
sources:
  - {id: plc1, type: modbus, host: 127.0.0.1, address_base: 1}
"""
HEADER = "group,tag,address,type,order\n"


def tags_of(path):
    (source,) = (s for s in plan(load(path)).sources if s.id == "plc1")
    return source


def told(path):
    return [(p.file.rpartition("/")[2], p.line, p.col, p.text) for p in check(path)]


@pytest.mark.parametrize(
    ("order", "letters"),
    [("word-swapped", "CDAB"), ("#LB", "BADC"), ("cdab", "CDAB"), ("Little Endian", "DCBA"), ("56781234", "EFGHABCD")],
)
def test_an_order_by_name_becomes_letters(tmp_path, order, letters):
    csv = f"{HEADER}a,b,input:1,float64,{order}\n"
    assert [t.order for t in tags_of(write(tmp_path, YAML, csv)).tags] == [letters]


def test_an_order_in_an_override_may_be_a_number_to_yaml(tmp_path):
    yaml = YAML.replace("class: p@1}", "class: p@1, overrides: {tags: {a/b: {order: 3412}}}}")
    assert [t.order for t in tags_of(write(tmp_path, yaml, f"{HEADER}a,b,input:1,float32,\n")).tags] == ["CDAB"]


@pytest.mark.parametrize("order", ["true", "34.12", "ACBD"])
def test_an_override_that_is_no_order_is_told(tmp_path, order):
    yaml = YAML.replace("class: p@1}", f"class: p@1, overrides: {{tags: {{a/b: {{order: {order}}}}}}}}}")
    (found,) = told(write(tmp_path, yaml, f"{HEADER}a,b,input:1,float32,\n"))
    assert found[:2] == ("rig.yaml", 5)
    assert "expected" in found[3]


def test_an_unknown_order_is_told_at_its_cell_with_all_names(tmp_path):
    (found,) = told(write(tmp_path, YAML, f"{HEADER}a,b,input:1,float32,middle\n"))
    assert found[:3] == ("rig.csv", 2, 21)
    assert found[3].startswith("order is 'middle', expected ABCD (big-endian, ")
    assert "CDAB (word-swapped, " in found[3]


def test_an_order_of_64_bits_does_not_fit_32(tmp_path):
    (found,) = told(write(tmp_path, YAML, f"{HEADER}a,b,input:1,float32,56781234\n"))
    assert found[:2] == ("rig.csv", 2)
    assert "'EFGHABCD' is not understood for 32 bits" in found[3]


def test_types_of_parts_of_registers_and_decimals(tmp_path):
    kinds = ["int8l", "int8h", "uint8l", "uint8h", "float16", "bcd16", "bcd32", "string(8)"]
    csv = HEADER + "".join(f"g,t{n},holding:{2 * n + 1},{kind},BADC\n" for n, kind in enumerate(kinds))
    assert [t.type for t in tags_of(write(tmp_path, YAML, csv)).tags] == kinds


def test_parts_of_registers_can_be_written_but_not_arrays_of_them(tmp_path):
    csv = HEADER.replace("order", "writable") + "a,b,holding:1,uint8l,true\na,c,holding:3,uint8[4],true\n"
    (found,) = told(write(tmp_path, YAML, csv))
    assert found[:2] == ("rig.csv", 3)
    assert "parts of registers are written one by one, expected no array of them" in found[3]


def test_addresses_from_1_reach_from_1_to_65536(tmp_path):
    csv = HEADER + "a,b,input:1,uint16,\na,c,input:65536,uint16,\na,d,30001,uint16,\n"
    source = tags_of(write(tmp_path, YAML, csv))
    assert [parse(t.address, source.config.address_base).offset for t in source.tags] == [0, 65535, 0]
    (found,) = told(write(tmp_path, YAML, HEADER + "a,b,input:0,uint16,\n"))
    assert "PDU offset -1 does not exist, expected 0 to 65535 (input:1 is offset 0 here)" in found[3]


def test_an_address_base_is_0_or_1(tmp_path):
    (found,) = told(
        write(tmp_path, YAML.replace("address_base: 1", "address_base: 2"), HEADER + "a,b,input:1,int16,\n")
    )
    assert found[3] == "address_base is 2, expected 0 or 1"
