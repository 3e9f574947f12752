"""Tags of a summary by columns: the same JSON as of a tree of them, number by number."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.nouns import Mode, Summary
from agent.sinks.mqtt import FIGURES
from agent.sinks.mqtt.tags import columns, named, numbers, rounded

MEASURED = st.one_of(
    st.floats(1e-12, 1e22), st.floats(-1e22, -1e-12), st.integers(-(10**9), 10**9).map(float), st.just(0.0)
)


def summary(names, *columns):
    return Summary("a", 0, 1, Mode.RUNNING, {}, "window", names, *map(np.array, columns), float("nan"))


@given(st.lists(MEASURED, max_size=30), st.sampled_from([4, 6, 10]))
def test_rounding_a_column_gives_the_float_of_each_decimal(values, digits):
    # Halfway between two decimals either is right: the last digit may differ by one.
    found = rounded(np.array(values), digits).tolist()
    for value, short in zip(values, found, strict=True):
        decimal = float(f"{value:.{digits}g}")
        assert short == decimal or abs(short - value) <= abs(decimal - value) * (1 + 1e-6)
        assert float(f"{short:.{digits}g}") == short


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300, 5e-324, 0.0])
def test_what_cannot_be_rounded_exactly_stays_as_it_is(value):
    assert rounded(np.array([value]), 6).tobytes() == np.array([value]).tobytes()


@given(st.lists(st.floats(), max_size=30))
def test_numbers_are_exact_and_what_is_none_is_null(values):
    back = [json.loads(said) for said in numbers(np.array(values, float))]
    assert back == [value if np.isfinite(value) else None for value in values]


@given(MEASURED, st.floats(0, 1e6))
def test_a_mean_is_told_to_a_thousandth_of_the_spread_or_to_ten_digits(mean, std):
    window = summary(("a",), [0.0], [mean], [0.0], [0.0], [std], [1.0])
    said = json.loads(named(window, ("mean",)))["a"]["mean"]
    assert abs(said - mean) <= max(1e-3 * std, 1e-9 * abs(mean))
    digits = len(repr(said).replace(".", "").strip("0-").split("e")[0])
    assert digits <= 10 or abs(mean) > 1e16 or abs(mean) < 1e-4


def test_every_tag_has_its_own_figures():
    names = ("pump/flow", 'odd "name" \\ ä')
    said = named(summary(names, [1.0, np.nan], [1.5, np.nan], [2.0, np.nan], [2.0, np.nan], [0.5, np.nan], [1.0, 0.0]))
    assert json.loads(said) == {
        "pump/flow": {"min": 1.0, "mean": 1.5, "max": 2.0, "last": 2.0, "std": 0.5, "good": 1.0},
        names[1]: {"min": None, "mean": None, "max": None, "last": None, "std": None, "good": 0.0},
    }
    assert named(summary((), [], [], [], [], [], [])) == "{}"
    assert json.loads(named(summary(names, *[[1.0, 2.0]] * 6), ("last",))) == {
        "pump/flow": {"last": 1.0},
        names[1]: {"last": 2.0},
    }


def test_the_newest_of_an_array_is_all_of_its_numbers():
    figures = [np.nan, 1.0]
    two = replace(summary(("a/x", "a/y"), *[figures] * 6), arrays={0: np.array([1.0, np.nan])})
    said = json.loads(named(two))
    assert said["a/x"] == {"min": None, "mean": None, "max": None, "last": [1.0, None], "std": None, "good": None}
    assert said["a/y"]["last"] == 1.0


FIGURE = st.lists(st.floats(), min_size=3, max_size=3)


@given(st.lists(FIGURE, min_size=6, max_size=6), st.permutations(FIGURES), st.integers(1, 6), st.booleans())
def test_columns_say_what_names_say(values, order, many, with_array):
    figures = tuple(order[:many])
    given = summary(("a/x", "a/y", "a/z"), *values)
    given = replace(given, arrays={1: np.array([1.0, np.inf, 2.5])}) if with_array else given
    by_name, by_place = json.loads(named(given, figures)), json.loads(columns(given, figures))
    assert tuple(by_place) == figures
    rows = zip(*by_place.values(), strict=True)
    assert {name: dict(zip(figures, row, strict=True)) for name, row in zip(given.names, rows, strict=True)} == by_name


def test_columns_of_no_tags():
    assert json.loads(columns(summary((), [], [], [], [], [], []), ("last", "good"))) == {"last": [], "good": []}
