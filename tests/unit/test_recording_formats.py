"""What people and PLC tools write: separators, decimal commas, encodings, and times of every usual form."""

import numpy as np
import pytest

from agent.fit import times
from agent.fit.recording import FitError, read

AT = 1772360073.0  # 2026-03-01T10:14:33Z


def recording(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "recording.csv"
    path.write_bytes(text.encode(encoding))
    return read(path)


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "   "])
def test_each_separator_gives_the_same_columns(tmp_path, separator):
    rows = [["time", "a/x", "a/y"], ["0", "1.5", "7"], ["1", "2.5", "8"], ["2", "3.5", "9"]]
    found = recording(tmp_path, "\n".join(separator.join(row) for row in rows) + "\n")
    assert found.names == ("a/x", "a/y")
    assert found.value.tolist() == [[1.5, 7], [2.5, 8], [3.5, 9]]
    assert found.stamps == ("0", "1", "2")


@pytest.mark.parametrize("separator", [";", "\t", " "])
def test_a_decimal_comma_is_read_where_commas_do_not_separate(tmp_path, separator):
    text = "time;x;y\n0;1,5;2\n1;2,5;3\n".replace(";", separator)
    assert recording(tmp_path, text).value.tolist() == [[1.5, 2], [2.5, 3]]


def test_blanks_and_quotes_within_names_and_cells_are_no_separators(tmp_path):
    found = recording(
        tmp_path, 'datetime;Volume Flow RateRMS;note\n2026-03-01 10:14:33;1;"a; b"\n2026-03-01 10:14:34;2;c\n'
    )
    assert found.names == ("Volume Flow RateRMS",)
    assert found.texts == ("note",)
    assert found.stamps[0] == "2026-03-01 10:14:33"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
def test_encodings_of_windows_tools(tmp_path, encoding):
    assert recording(tmp_path, "time;Öl °C\n0;1\n1;2\n", encoding).names == ("Öl °C",)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2026-03-01T10:14:33Z", "2026-03-01T10:14:34Z"),
        ("2026-03-01T11:14:33+01:00", "2026-03-01T11:14:34+01:00"),
        ("2026-03-01 10:14:33", "2026-03-01 10:14:34.000"),
        ("2026/03/01 10:14:33", "2026/03/01 10:14:34"),
        ("01.03.2026 10:14:33", "01.03.2026 10:14:34"),
        ("01.03.2026 10:14:33,000", "01.03.2026 10:14:34,000"),
        ("1.3.2026 10:14:33", "1.3.2026 10:14:34"),
        ("1772360073", "1772360074"),
        ("1772360073.0", "1772360074.0"),
        ("1772360073000", "1772360074000"),
        ("1772360073000000", "1772360074000000"),
        ("1772360073000000000", "1772360074000000000"),
    ],
)
def test_the_same_moment_in_every_form(tmp_path, first, second):
    found = recording(tmp_path, f"time;x\n{first};1\n{second};2\n")
    np.testing.assert_allclose(found.time_s, [AT, AT + 1], atol=1e-3)
    assert found.stamps == (first, second)
    assert found.period_s == pytest.approx(1.0, abs=1e-3)


def test_the_whole_column_tells_day_from_month(tmp_path):
    def first(*cells):
        return times.column(cells)[0]

    assert first("01/03/2026 10:14:33", "13/03/2026 10:14:33") == AT
    assert first("3/1/2026 10:14:33 AM", "3/13/2026 1:14:33 PM") == AT
    assert first("3/1/2026 10:14:33 PM", "3/13/2026 1:14:33 PM") == AT + 12 * 3600
    with pytest.raises(times.TimeError, match=r"day and month cannot be told apart .*, expected year-month-day"):
        first("01/03/2026 10:14:33", "02/03/2026 10:14:33")


def test_date_and_time_of_day_in_two_columns(tmp_path):
    found = recording(tmp_path, "Datum;Uhrzeit;x\n01.03.2026;10:14:33;1\n01.03.2026;10:14:35;2\n")
    assert found.time_s.tolist() == [AT, AT + 2]
    assert found.names == ("x",)
    assert found.stamps == ("01.03.2026 10:14:33", "01.03.2026 10:14:35")


@pytest.mark.parametrize(
    ("name", "cells", "seconds"),
    [
        ("time_ms", ("0", "500"), [0, 0.5]),
        ("Time [min]", ("0", "1"), [0, 60]),
        ("Time (s)", ("0", "1"), [0, 1]),
        ("t_h", ("0", "1"), [0, 3600]),
        ("time", ("0", "0,5"), [0, 0.5]),
    ],
)
def test_the_name_of_the_column_gives_the_unit_of_a_number(name, cells, seconds):
    assert times.column(cells, name).tolist() == seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,2,3\n4,5,6\n7,8,9\n", r"csv:1: only numbers, expected a header"),
        ("time;x\n01.13.2026 10:00;1\n02.13.2026 10:00;2\n", r"csv:2: time '01.13.2026 10:00': month must be"),
        ("time;x\n01.03.26 10:00;1\n02.03.26 10:00;2\n", r"csv:2: .*no year of four digits"),
        ("time;x\n10:14:33;1\n10:14:34;2\n", r"csv:2: time '10:14:33', expected seconds, an ISO 8601 stamp"),
        ("time;x\n0;1\n\nnan;2\n2;2\n", r"csv:4: time 'nan', expected a number"),
        ("time_s,x\n1772360073000,1\n1772360074000,2\n", r"csv:2: column time_s goes to .* too large for seconds"),
        ("time;a,b\n0;1,2\n1;3,4\n", r"csv:1: ; or , may separate its columns"),
        ("time,x\n0,1\n1,2\0\n", r"no text file"),
    ],
)
def test_what_cannot_be_recognised_is_said_with_its_line(tmp_path, text, words):
    with pytest.raises(FitError, match=words):
        recording(tmp_path, text)
