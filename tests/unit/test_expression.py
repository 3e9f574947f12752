"""The language of derived tags: what it takes, what it says of the rest, and that no text breaks it."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.core import expression
from agent.core.expression import DEEPEST, LONGEST, Apply, ExpressionError, Number, Read, parse, text

A, B = Read("m/a"), Read("m-1/b_2")


@pytest.mark.parametrize(
    ("written", "tree"),
    [
        ("{m/a}", A),
        ("  { m/a }\n", A),
        ("{m/a}[2]", Read("m/a", 2)),
        ("{m/a} + 1 * 2", Apply("+", (A, Apply("*", (Number(1), Number(2)))))),
        ("{m/a} - 1 - 2", Apply("-", (Apply("-", (A, Number(1))), Number(2)))),
        ("-{m/a}^2", Apply("neg", (Apply("^", (A, Number(2))),))),
        ("2^-{m/a}", Apply("^", (Number(2), Apply("neg", (A,))))),
        ("2^{m/a}^3", Apply("^", (Number(2), Apply("^", (A, Number(3)))))),
        ("not {m/a} > 1", Apply("not", (Apply(">", (A, Number(1))),))),
        ("{m/a} or {m/a} and 0", Apply("or", (A, Apply("and", (A, Number(0)))))),
        ("1 - -.5e1 * {m/a}", Apply("-", (Number(1), Apply("*", (Apply("neg", (Number(5),)), A))))),
        ("if({m/a} >= 3, 1, {m-1/b_2})", Apply("if", (Apply(">=", (A, Number(3))), Number(1), B))),
        ("increase({m/a}, 65536)", Apply("increase", (A, Number(65536)))),
        ("increase({m/a})", Apply("increase", (A,))),
        ("min({m/a}, 1, 2)", Apply("min", (A, Number(1), Number(2)))),
    ],
)
def test_a_text_becomes_its_tree_and_back(written, tree):
    assert parse(written) == tree
    assert parse(text(tree)) == tree


@pytest.mark.parametrize(
    ("written", "at", "said"),
    [
        ("", 0, "found the end"),
        ("{m/a} *", 7, "found the end"),
        ("{m/a} + * 2", 8, "found '*'"),
        ("({m/a} + 1", 10, "expected an operator or )"),
        ("{m/a} {m/a}", 6, "expected an operator or the end, found '{m/a}'"),
        ("{m/a", 0, "closed with }"),
        ("{ma}", 0, "expected {group/tag}"),
        ("m/a", 0, "a tag such as {group/tag}"),
        ("{m/a} = 1", 6, "expected == to compare"),
        ("{m/a} && 1", 6, "expected and"),
        ("1 < {m/a} < 2", 10, "expected 'and' before it"),
        ("sqr({m/a})", 0, "did you mean sqrt?"),
        ("eval({m/a})", 0, "expected one of if, min"),
        ("abs {m/a}", 0, "expected abs(...)"),
        ("abs({m/a}, 2)", 0, "2 arguments, expected 1"),
        ("if({m/a}, 2)", 0, "2 arguments, expected 3"),
        ("hold({m/a}, {m/a})", 12, "expected a number above 0: seconds"),
        ("increase({m/a}, 0)", 16, "the value at which the counter begins again"),
        ("{m/a}[x]", 6, "number of an element from 0, found 'x'"),
        ("{m/a}[1.5]", 6, "number of an element"),
        ("{m/a}[1", 7, "expected ]"),
        ("1 + 2", 0, "no tag in it"),
        ("{m/a} * 1e400", 8, "too large"),
        ("{m/a} . real", 6, "not of this language"),
        ("neg({m/a})", 0, "found 'neg'"),
        ("(" * 500 + "{m/a}", DEEPEST, "nested deeper"),
        ("{m/a}" + "+1" * (DEEPEST + 1), 0, "operations deep"),
        ("{m/a}" + " " * LONGEST, LONGEST, "characters, expected at most"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(written, at, said):
    with pytest.raises(ExpressionError) as caught:
        parse(written)
    assert said in str(caught.value)
    assert caught.value.at == at


words = st.sampled_from(["{m/a}", "{m/a}[0]", "1", "2.5e3", "(", ")", ",", "-", "not", "and", "^", "<", "==", "if(",
                         "rate(", "hold(", "min(", "{", "}", "[", "x", "é", "\0", " ", "\n"])  # fmt: skip


@settings(deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(words, max_size=40).map(" ".join), st.lists(words).map("".join)))
@example("-" * LONGEST)
@example("2^" * 1999 + "1")
def test_any_text_is_a_tree_or_an_error_of_its_own(written):
    try:
        tree = parse(written)
    except ExpressionError as error:
        assert 0 <= error.at <= max(len(written), LONGEST)
        assert "expected" in str(error) or "did you mean" in str(error)
    else:
        assert parse(text(tree)) == tree


numbers = st.floats(0, 1e308).map(Number)
reads = st.builds(Read, st.sampled_from(["m/a", "m-1/b_2"]), st.none() | st.integers(0, 99))


def grown(trees):
    plain = [name for name in expression.FUNCTIONS if name not in expression.MEMORIES]
    called = st.sampled_from(plain).flatmap(
        lambda name: st.lists(
            trees, min_size=expression.FUNCTIONS[name][0], max_size=expression.FUNCTIONS[name][0]
        ).map(lambda args: Apply(name, tuple(args)))
    )
    remembered = st.builds(
        lambda name, x: Apply(name, (x,)), st.sampled_from(["rate", "integral", "total", "increase"]), trees
    )
    held = st.builds(lambda x, s: Apply("hold", (x, Number(s))), trees, st.floats(0.001, 1e6))
    signed = st.builds(lambda op, x: Apply(op, (x,)), st.sampled_from(["neg", "not"]), trees)
    pairs = [op for op in expression.STRENGTH if op not in ("neg", "not")]
    paired = st.builds(lambda op, x, y: Apply(op, (x, y)), st.sampled_from(pairs), trees, trees)
    return st.one_of(called, remembered, held, signed, paired)


forests = st.recursive(st.one_of(numbers, reads), grown, max_leaves=20).map(lambda t: Apply("+", (t, A)))


@settings(deadline=None)
@given(forests)
def test_each_tree_has_a_text_that_gives_it_again(tree):
    assert parse(text(tree)) == tree


@given(forests)
def test_the_tags_of_a_tree_are_all_that_it_reads(tree):
    assert {f"{{{read.tag}}}" for read in expression.reads(tree)} == {
        n for n in ("{m/a}", "{m-1/b_2}") if n in text(tree)
    }
