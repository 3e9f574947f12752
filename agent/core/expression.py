"""The language of derived tags: text to an immutable tree and back. Data, never code: nothing in it can be called.

    {motor/voltage} * {motor/current} / 1000        if({pump/flow} > 0.5 and not {valve/open}, 1, 0)
    total(increase({meter/pulses}, 65536)) * 0.1    {oven/zones}[2] - {oven/zones}[0]

From weakest to strongest: `or`; `and`; `not`; `< <= > >= == !=` (1 or 0, they do not chain); `+ -`; `* /`; unary `-`;
`^` (from the right, 2^-1 is allowed). FUNCTIONS lists what can stand before a bracket; those of MEMORIES remember.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

LONGEST, DEEPEST = 4000, 100

COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
# How strongly an operator binds; `^` binds from the right, comparisons to neither side.
STRENGTH = {
    "or": 1,
    "and": 2,
    "not": 3,
    **dict.fromkeys(COMPARISONS, 4),
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
    "neg": 7,
    "^": 8,
}
PREFIX = {"-": "neg", "not": "not"}

# (fewest, most) arguments of each function.
MEMORIES = {"rate": (1, 1), "integral": (1, 1), "hold": (2, 2), "increase": (1, 2), "total": (1, 1)}
FUNCTIONS = {
    "if": (3, 3),
    "min": (2, 100),
    "max": (2, 100),
    "abs": (1, 1),
    "sqrt": (1, 1),
    "exp": (1, 1),
    "log": (1, 1),
    "clamp": (3, 3),
    **MEMORIES,
}
TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<tag>\{[^{}]*\})|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<sign><=|>=|==|!=|[-+*/^<>(),\[\]])|(?P<end>$)|(?P<other>.))",
    re.ASCII | re.DOTALL,
)
TAG = re.compile(r"[A-Za-z0-9_-]+/[A-Za-z0-9_-]+", re.ASCII)
SHAPE = "a number, a tag such as {group/tag}, a function or ("


class ExpressionError(ValueError):
    """What is wrong with an expression, and at which character of it (`at`, from 0)."""

    def __init__(self, at: int, text: str) -> None:
        """Say `text` about the character `at`."""
        super().__init__(text)
        self.at = at


@dataclass(frozen=True, slots=True)
class Number:
    """A constant, finite and not negative (a minus is an operator)."""

    value: float


@dataclass(frozen=True, slots=True)
class Read:
    """The value of a tag `group/name`, or of one element (from 0) of an array tag."""

    tag: str
    element: int | None = None


@dataclass(frozen=True, slots=True)
class Apply:
    """An operator or function over its operands; unary minus is `neg`."""

    op: str
    args: tuple[Expression, ...]


Expression = Number | Read | Apply


def parse(text: str) -> Expression:
    """The tree of a text; ExpressionError says at which character what was expected."""
    if len(text) > LONGEST:
        raise ExpressionError(LONGEST, f"{len(text)} characters, expected at most {LONGEST}")
    parser = _Parser(_tokens(text))
    tree = parser.expression(0)
    parser.expect("", "an operator or the end")
    if depth(tree) > DEEPEST:
        raise ExpressionError(0, f"{depth(tree)} operations deep, expected at most {DEEPEST}: use tags in between")
    if not any(True for _ in reads(tree)):
        raise ExpressionError(0, "no tag in it, expected at least one such as {group/tag}")
    return tree


def nodes(tree: Expression) -> Iterator[Expression]:
    """All nodes of a tree, each before its operands, from the left."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Apply):
            waiting.extend(reversed(node.args))


def reads(tree: Expression) -> Iterator[Read]:
    """The tags of a tree as they stand in it, from the left."""
    return (node for node in nodes(tree) if isinstance(node, Read))


def depth(tree: Expression) -> int:
    """How many operations lie in one another."""
    deepest, level = 0, [tree]
    while level := [a for node in level if isinstance(node, Apply) for a in node.args]:
        deepest += 1
    return deepest


def text(tree: Expression) -> str:
    """A text that parses to the same tree, with no more brackets than needed."""
    if isinstance(tree, Number):
        return repr(tree.value).removesuffix(".0")
    if isinstance(tree, Read):
        return "{" + tree.tag + "}" + ("" if tree.element is None else f"[{tree.element}]")
    if tree.op in FUNCTIONS:
        return f"{tree.op}({', '.join(map(text, tree.args))})"
    own = STRENGTH[tree.op]
    if tree.op in ("neg", "not"):
        return ("-" if tree.op == "neg" else "not ") + _within(tree.args[0], own)
    left, right = tree.args
    from_right, alone = tree.op == "^", tree.op in COMPARISONS
    return f"{_within(left, own + (from_right or alone))} {tree.op} {_within(right, 7 if from_right else own + 1)}"


def _within(tree: Expression, least: int) -> str:
    """The text of an operand, in brackets where it binds less than `least`."""
    weak = isinstance(tree, Apply) and STRENGTH.get(tree.op, 9) < least
    return f"({text(tree)})" if weak else text(tree)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(text: str) -> list[_Token]:
    found, at = list[_Token](), 0
    while not found or found[-1].kind != "end":
        match = TOKEN.match(text, at)
        if match is None or match.lastgroup is None:  # the pattern ends in "any character": cannot be
            raise ExpressionError(at, f"expected {SHAPE}")
        kind, start, at = match.lastgroup, match.start(match.lastgroup), match.end()
        if kind == "other":
            raise ExpressionError(start, _odd(match[kind]))
        found.append(_Token(kind, match[kind], start))
    return found


def _odd(character: str) -> str:
    meant = {"=": "== to compare", "{": "a tag closed with }, such as {group/tag}", "&": "and", "|": "or", "!": "not"}
    return f"{character!r} is not of this language, expected {meant.get(character, SHAPE)}"


class _Parser:
    """Precedence climbing over the tokens (Pratt 1973): each operator takes operands that bind more than itself."""

    def __init__(self, tokens: Sequence[_Token]) -> None:
        self.tokens = tokens
        self.n = 0
        self.inside = 0

    @property
    def next(self) -> _Token:
        return self.tokens[self.n]

    def take(self) -> _Token:
        self.n += 1
        return self.tokens[self.n - 1]

    def expect(self, text: str, expected: str) -> None:
        found = self.next
        if found.text != text:
            raise ExpressionError(found.at, f"expected {expected}, found {_named(found)}")
        self.n += found.kind != "end"

    def expression(self, least: int) -> Expression:
        """The longest expression from here whose operators bind at least so strongly."""
        self.inside += 1
        if self.inside > DEEPEST:
            raise ExpressionError(self.next.at, f"nested deeper than {DEEPEST}, expected less: use tags in between")
        left = self.operand()
        while self.next.text in STRENGTH and self.next.text not in ("not", "neg"):
            op = self.next
            if STRENGTH[op.text] < least:
                break
            self.take()
            right = self.expression(STRENGTH[op.text] + (op.text != "^"))
            left = Apply(op.text, (left, right))
            if op.text in COMPARISONS and self.next.text in COMPARISONS:
                raise ExpressionError(
                    self.next.at, f"a second comparison, expected 'and' before it: a {op.text} b and ..."
                )
        self.inside -= 1
        return left

    def operand(self) -> Expression:
        token = self.take()
        if token.text in PREFIX:
            op = PREFIX[token.text]
            return Apply(op, (self.expression(STRENGTH[op]),))
        if token.kind == "number":
            return _number(token)
        if token.kind == "tag":
            return self.read(token)
        if token.text == "(":
            inner = self.expression(0)
            self.expect(")", "an operator or )")
            return inner
        if token.kind == "word" and token.text not in STRENGTH:
            return self.function(token)
        raise ExpressionError(token.at, f"expected {SHAPE}, found {_named(token)}")

    def read(self, token: _Token) -> Read:
        name = token.text[1:-1].strip()
        if TAG.fullmatch(name) is None:
            raise ExpressionError(token.at, f"{token.text} is no tag, expected {{group/tag}}")
        if self.next.text != "[":
            return Read(name)
        self.take()
        element = self.take()
        if not element.text.isdecimal():
            raise ExpressionError(element.at, f"expected the number of an element from 0, found {_named(element)}")
        self.expect("]", "]")
        return Read(name, int(element.text))

    def function(self, token: _Token) -> Apply:
        if self.next.text != "(" or token.text not in FUNCTIONS:
            raise ExpressionError(token.at, _unknown(token.text, self.next.text == "("))
        self.take()
        starts, args = [self.next.at], [self.expression(0)]
        while self.next.text == ",":
            self.take()
            starts.append(self.next.at)
            args.append(self.expression(0))
        self.expect(")", f"an operator, a comma or ) of {token.text}(")
        fewest, most = FUNCTIONS[token.text]
        if not fewest <= len(args) <= most:
            wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            raise ExpressionError(token.at, f"{token.text} has {len(args)} arguments, expected {wanted}")
        if token.text in MEMORIES and len(args) == 2 and not (isinstance(args[1], Number) and args[1].value > 0):
            what = "seconds" if token.text == "hold" else "the value at which the counter begins again"
            raise ExpressionError(starts[1], f"expected a number above 0: {what}")
        return Apply(token.text, tuple(args))


def _number(token: _Token) -> Number:
    value = float(token.text)
    if not math.isfinite(value):
        raise ExpressionError(token.at, f"{token.text} is too large, expected a finite number")
    return Number(value)


def _named(token: _Token) -> str:
    return "the end" if token.kind == "end" else repr(token.text)


def _unknown(word: str, called: bool) -> str:
    near = get_close_matches(word.lower(), FUNCTIONS, 1, 0.6)
    if called:
        return f"no function {word}" + (
            f"; did you mean {near[0]}?" if near else f", expected one of {', '.join(FUNCTIONS)}"
        )
    if word in FUNCTIONS:
        return f"{word} without (, expected {word}(...)"
    return f"expected {SHAPE}, found {word!r}"
