"""Byte orders by byte position, and the names that other products give them."""

import pytest

from agent.core.byteorder import NAMES, named, positions


# Value bytes 1..8, most significant first, as they come over the wire.
@pytest.mark.parametrize(
    ("order", "wire"),
    [
        ("ABCD", "12 34 56 78"),
        ("CDAB", "78 56 34 12"),
        ("BADC", "21 43 65 87"),
        ("DCBA", "87 65 43 21"),
        ("CDABGHEF", "34 12 78 56"),
        ("EFGHABCD", "56 78 12 34"),
    ],
)
def test_all_orders_of_64_bits_by_byte_position(order, wire):
    digits = wire.replace(" ", "")
    assert [int(digits[p]) for p in positions(order, 8)] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert positions(named(digits), 8) == positions(order, 8)


@pytest.mark.parametrize(
    ("wire", "names"),
    [
        ("1234", ["big-endian", "Big Endian", "motorola", "none", "#LL", "abcd", "1234", "#l"]),
        ("4321", ["little-endian", "LITTLE_ENDIAN", "Intel", "word_byte", "#BB", "DCBA", "4321", "#B"]),
        ("2143", ["byte-swapped", "swap bytes", "byte", "mid-big", "isByteSwap", "#LB", "badc", "2143"]),
        ("3412", ["word-swapped", "swap words", "word", "mid-little", "isWordSwap", "#BL", " CDAB ", "3412"]),
        ("2143", ["big-endian byte swap"]),
        ("3412", ["little-endian byte swap"]),
    ],
)
def test_names_of_other_products_by_byte_position(wire, names):
    for name in names:
        assert [int(wire[p]) for p in positions(named(name), 4)] == [1, 2, 3, 4], name


def test_names_of_16_bits():
    assert [positions(named(name), 2) for name in ("#L", "AB", "big", "word")] == [(0, 1)] * 4
    assert [positions(named(name), 2) for name in ("#B", "BA", "21", "byte")] == [(1, 0)] * 4


def test_each_name_stands_for_one_order():
    assert all(named(name) == letters for letters, names in NAMES.items() for name in names)
    words = [name.lower() for names in NAMES.values() for name in names]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("text", ["", "ACBD", "middle", "#XX", "12345", "ABC", "swap"])
def test_an_unknown_name_lists_those_known(text):
    with pytest.raises(ValueError, match=r"ABCD \(big-endian, .*CDAB \(word-swapped, .*#BL.*EFGHABCD \(56781234\)"):
        named(text)


@pytest.mark.parametrize(("order", "size"), [("EFGHABCD", 4), ("CDABGHEF", 2), ("AB", 4), ("ABCD" * 2, 8)])
def test_an_order_of_another_length_is_refused(order, size):
    with pytest.raises(ValueError, match=f"{8 * size} bits, expected one of ABCD, CDAB, BADC, DCBA"):
        positions(order, size)
