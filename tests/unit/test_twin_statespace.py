"""The file of a linear twin: written as it was read, and every mistake in it named."""

import json

import numpy as np
import pytest
from twin_rig import params

from agent.twin.statespace import dump, load


def tree(**changes):
    content = json.loads(dump(params(products=True)))
    content.update(changes)
    return json.dumps(content).encode()


def test_a_file_comes_back_as_it_was_written():
    content = dump(params(products=True))
    again = load(content)
    assert dump(again) == content
    np.testing.assert_array_equal(again.A, params().A)
    assert again.tags == ("pump/speed", "upper/level", "lower/level")
    assert again.units == ("%", "m", "m")
    assert again.modes == ("running",)


def test_a_file_is_readable_in_a_diff():
    lines = dump(params()).decode().splitlines()
    assert max(len(line) for line in lines) < 500
    assert "    [0.95, 0.0]," in lines


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00\x01", "not a twin"),
        (b"[1, 2]", "not a twin"),
        (b'{"format": "something"}', "not a twin"),
        (tree(version=9), "version 9"),
        (tree(A=[[0.5]]), "A has shape"),
        (tree(A=[[0.5, 0.0], [0.0]]), "A"),
        (tree(A=[[1.01, 0.0], [0.0, 0.5]]), "stable A"),
        (tree(radius=0.0), "radius over 0"),
        (tree(products=[[0, 0], [0, 9]]), "products of signals that exist"),
        (tree(D=[["x"] * 3] * 3), "D"),
        (tree(period_s=0), "period_s"),
        (tree(period_s=None), "wrong type"),
        (tree(inputs=[]), "shape"),
        (dump(params()).replace(b'"settle_s"', b'"settle"'), "settle_s"),
        (dump(params()).replace(b"[0.95, 0.0]", b"[NaN, 0.0]"), "not finite"),
        (dump(params()).replace(b'"upper/level"', b'"lower/level"'), "each tag once"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(content, words):
    with pytest.raises(ValueError, match=words):
        load(content)
