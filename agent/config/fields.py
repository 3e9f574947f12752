"""The sorts of value that stand in a configuration, and what is refused in each."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PrivateAttr

from agent.config.model import Model
from agent.config.problems import hint
from agent.config.tree import At
from agent.core import byteorder, units
from agent.core.nouns import Mode

ID = r"^[A-Za-z0-9_-]+$"
TYPES = (
    r"^((bool|bit\d{1,2}|u?int(8|16|32|64)(\.\d{1,2})?|u?int8[lh]|float(16|32|64)|bcd(16|32))(\[\d{0,4}\])?"
    r"|string(\(\d+\))?)$"
)


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def _mode(value: Any) -> Any:
    if isinstance(value, Mode):
        return value
    words = {m.word: m for m in Mode}
    if isinstance(value, str) and value in words:
        return words[value]
    raise ValueError(f"expected a mode{hint(value, words)}")


def _modes(value: Any) -> Any:
    if value == "all" or value == ["all"]:
        return tuple(Mode)
    return [value] if isinstance(value, str) else value


def unit_of(value: Any) -> Any:
    """The name of a unit in any known spelling; ValueError suggests the nearest."""
    return units.named(value) if isinstance(value, str) else value


def order_of(value: Any) -> Any:
    """The letters of a byte order in any known spelling (1234 in YAML is a number); ValueError lists them."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return byteorder.named(value) if isinstance(value, str) else value


def words_of(value: Any) -> Any:
    """`0=off;1=starting` as a mapping."""
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(";") if pair.strip()]
    try:
        words = {int(number): word.strip() for number, _, word in pairs}
    except ValueError:
        words = {}
    if len(words) != len(pairs) or not all(words.values()):
        raise ValueError("expected words as 0=off;1=starting, each number once")
    return words


def options_of(value: Any) -> Any:
    """`sampling=0.1;queue=20` as a mapping."""
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(";") if pair.strip()]
    found = {name.strip(): text.strip() for name, _, text in pairs}
    if len(found) != len(pairs) or not all(name and text for name, text in found.items()):
        raise ValueError("expected options as sampling=0.1;queue=20, each once")
    return found


Number = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_number)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Seconds = NotNegative
Id = Annotated[str, Field(pattern=ID)]
ModeWord = Annotated[Mode, BeforeValidator(_mode)]
ModeWords = Annotated[tuple[ModeWord, ...], BeforeValidator(_modes), Field(min_length=1)]
TagName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+/[A-Za-z0-9_.-]+$")]

IMMUTABLE = "Letters, digits, _ and -. It never changes: NodeIds, topics and stored records are keyed by it."


class Part(Model):
    """A part of the file that knows its path there, so that a problem or an origin can name the line."""

    _at: At = PrivateAttr(default=())

    @property
    def at(self) -> At:
        """Its path in the tree it was read from."""
        return self._at
