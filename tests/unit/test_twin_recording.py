"""Recordings: separators, stamps, absent cells, and cuts that nothing may span."""

import numpy as np
import pytest

from agent.fit.recording import FitError, cut, read


def csv(tmp_path, text):
    path = tmp_path / "recording.csv"
    path.write_text(text)
    return path


def test_both_separators_and_both_kinds_of_time_give_the_same(tmp_path):
    plain = read(csv(tmp_path, "time,a/x,product\n0,1.5,water\n1,2.5,water\n2,,milk\n"))
    german = read(
        csv(
            tmp_path,
            "datetime;a/x;product\n2020-03-09 10:14:33;1,5;water\n2020-03-09T10:14:34Z;2,5;w\n2020-03-09 10:14:35;;m\n",
        )
    )
    np.testing.assert_array_equal(plain.value, german.value)
    np.testing.assert_array_equal(plain.time_s, german.time_s - german.time_s[0])
    assert plain.names == german.names == ("a/x",)
    assert plain.texts == ("product",)
    assert np.isnan(plain.value[2, 0])


def test_segments_end_at_gaps_at_absent_cells_and_where_time_goes_back(tmp_path):
    rows = ["0,1", "1,2", "2,", "3,4", "4,5", "9,6", "10,7", "5,8", "6,9"]
    found = cut(read(csv(tmp_path, "time,x\n" + "\n".join(rows) + "\n")), ["x"])
    assert [s.value[:, 0].tolist() for s in found] == [[1, 2], [4, 5], [6, 7], [8, 9]]
    assert [s.row.tolist() for s in found] == [[0, 1], [3, 4], [5, 6], [7, 8]]


def test_where_and_settling_drop_rows_after_each_entry(tmp_path):
    states = [2, 2, 2, 2, 0, 2, 2, 2, 2]
    text = "time,state,x\n" + "\n".join(f"{k},{s},{k}" for k, s in enumerate(states)) + "\n"
    found = cut(read(csv(tmp_path, text)), ["x"], where={"state": 2}, settle_s=2.0)
    assert [s.value[:, 0].tolist() for s in found] == [[2, 3], [7, 8]]


def test_a_longer_period_holds_the_last_row(tmp_path):
    text = "time,x\n" + "\n".join(f"{0.5 * k},{k}" for k in range(9)) + "\n"
    (segment,) = cut(read(csv(tmp_path, text)), ["x"], period_s=2.0)
    assert segment.value[:, 0].tolist() == [0, 4, 8]
    with pytest.raises(FitError, match=r"one row each 0\.5 s"):
        cut(read(csv(tmp_path, text)), ["x"], period_s=0.1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("time,x\n0,1\n1,abc\n2,3\n", r"csv:3: x is 'abc'"),
        ("time,x\n0,1\n1\n2,3\n", r"csv:3: 1 cells, expected 2"),
        ("time,x,x\n0,1,1\n1,2,2\n", "x stands there twice"),
        ("a,x\nfoo,1\nbar,2\n", "time 'foo'"),
        ("time,x\nnoon,1\n1,2\n", r"csv:2: time 'noon'"),
        ("time,x\n0,1\n", "at least two rows"),
        ("time,x\n3,1\n3,1\n", "never goes forward"),
    ],
)
def test_what_is_wrong_with_a_recording_is_said(tmp_path, text, words):
    with pytest.raises(FitError, match=words):
        read(csv(tmp_path, text))


def test_a_missing_column_is_named(tmp_path):
    recording = read(csv(tmp_path, "time,x,product\n0,1,a\n1,2,b\n"))
    with pytest.raises(FitError, match=r"no numeric column product \(text\), y"):
        recording.columns(["product", "y"])
