"""Orders of bytes: letters that say where each byte of a value lies on the wire, and the names others give them.

An order names the bytes of a value as they come over the wire, register by register, high byte first; A is the most
significant byte of the value. So the float32 1.0 (3F 80 00 00) is read from the registers

    ABCD  3F80 0000      CDAB  0000 3F80      BADC  803F 0000      DCBA  0000 803F

For 64 bits the four letters mean ABCDEFGH, GHEFCDAB, BADCFEHG and HGFEDCBA (also accepted as such); there are two more,
CDABGHEF (the registers of each half swapped) and EFGHABCD (the halves swapped). For 16 bits and strings an order only
says whether the bytes of a register are swapped (BADC, DCBA, BA).
"""

from __future__ import annotations

from functools import cache

LETTERS = "ABCDEFGH"
DIGITS = str.maketrans("12345678", LETTERS)
HALVES = ("CDABGHEF", "EFGHABCD")
IN_FULL = {"AB", "BA", "ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA"}

# Telegraf says mid-big, Modbus Poll little-endian byte swap, Home Assistant `swap: word`, EdgeX isWordSwap. #BB and #BL
# are those of Neuron's present manual for Modbus TCP and RTU; older ones had them the other way round.
NAMES = {
    "ABCD": ["big-endian", "big", "Motorola", "none", "#LL", "#L", "1234"],
    "CDAB": [
        "word-swapped",
        "swap-words",
        "word",
        "isWordSwap",
        "mid-little",
        "little-endian-byte-swap",
        "#BL",
        "3412",
    ],
    "BADC": ["byte-swapped", "swap-bytes", "byte", "isByteSwap", "mid-big", "big-endian-byte-swap", "#LB", "2143"],
    "DCBA": ["little-endian", "little", "Intel", "word-byte", "byte-and-word-swapped", "#BB", "#B", "4321"],
    "CDABGHEF": ["34127856"],
    "EFGHABCD": ["56781234"],
}
EXPECTED = "expected " + "; ".join(f"{letters} ({', '.join(names)})" for letters, names in NAMES.items())


def named(text: str) -> str:
    """The letters of an order in any known spelling. ValueError lists the letters with their names."""
    word = _word(text)
    letters = word.upper().translate(DIGITS)
    if letters in NAMES or letters in IN_FULL:
        return letters
    if word not in LETTERS_OF:
        raise ValueError(EXPECTED)
    return LETTERS_OF[word]


def _word(text: str) -> str:
    """A name without what people write in different ways: case, blanks, - and _."""
    return "".join(c for c in text.lower() if c not in " \t-_")


LETTERS_OF = {_word(name): letters for letters, names in NAMES.items() for name in names}


@cache
def positions(order: str, size: int) -> tuple[int, ...]:
    """For each byte of a value of `size` bytes, most significant first, its position among the bytes read."""
    natural = LETTERS[:size]
    words = [natural[i : i + 2] for i in range(0, size, 2)]
    swapped = [w[::-1] for w in words]
    known = {
        "ABCD": natural,
        "CDAB": "".join(words[::-1]),
        "BADC": "".join(swapped),
        "DCBA": natural[::-1],
    }
    if size == 8:
        known |= dict(zip(HALVES, HALVES, strict=True))
    wire = known.get(order, order)
    if wire not in known.values():
        expected = ", ".join({**known, natural: ""})
        raise ValueError(f"order {order!r} is not understood for {8 * size} bits, expected one of {expected}")
    return tuple(wire.index(letter) for letter in natural)
