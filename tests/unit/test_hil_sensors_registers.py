"""Sensors, the register codec, recordings and replays without a socket."""

import math
import statistics
import struct

import pytest

from hil.csv_table import load
from hil.record import main as record
from hil.registers import (
    HOLDING_REGISTERS,
    INPUT_REGISTERS,
    Register,
    block_words,
    decoded,
    encode,
    float_words,
    read_columns,
    seen,
    words_float,
)
from hil.sensors import SENSORS, Reading, Sensor
from hil.simulation import Choices, Simulation


def test_a_sensor_has_its_noise_and_bias():
    sensor = Sensor("x", 0.0, 1.0, 16, 0.0, 0.01, 0.02)
    reading = Reading(sensor, "1")
    values = [reading.sample(0.5, 0.1) for _ in range(4000)]
    assert statistics.mean(values) == pytest.approx(0.52, abs=0.001)
    assert statistics.stdev(values) == pytest.approx(0.01, rel=0.05)


def test_a_sensor_follows_with_its_lag():
    reading = Reading(Sensor("x", 0.0, 10.0, 16, 2.0, 0.0), "1")
    reading.sample(0.0, 0.1)
    for _ in range(20):
        value = reading.sample(1.0, 0.1)
    assert value == pytest.approx(1.0 - math.exp(-1.0), abs=1e-3)


def test_a_sensor_steps_and_clamps():
    reading = Reading(Sensor("x", 0.0, 1.0, 4, 0.0, 0.0), "1")
    values = {reading.sample(k / 100.0, 0.1) for k in range(-20, 140)}
    assert values == {round(k / 15, 6) for k in range(16)}


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda s: s.tag)
def test_noise_is_above_the_converters_step(sensor):
    step = (sensor.hi - sensor.lo) / (2**sensor.bits - 1)
    assert 12 <= sensor.bits <= 16
    assert step < 3 * sensor.noise


@pytest.mark.parametrize("value", [0.0, 0.25, -1.5, 3.14159, 1e-30, 3e38, math.inf])
def test_float32_stands_low_word_first(value):
    words = float_words(value)
    assert struct.pack(">HH", words[1], words[0]) == struct.pack(">f", value)
    assert words_float(words) == struct.unpack(">f", struct.pack(">f", value))[0]


def test_a_value_beyond_float32_is_infinite_and_nan_stays_nan():
    assert words_float(float_words(-1e300)) == -math.inf
    assert math.isnan(words_float(float_words(math.nan)))


@pytest.mark.parametrize(
    ("register", "value", "words", "read"),
    [
        (Register("a", 0, "i16", 100.0), 50.004, [5000], 50.0),
        (Register("a", 0, "i16", 10.0), -0.5, [0xFFFB], -0.5),
        (Register("a", 0, "i16", 10.0), 1e9, [0x7FFF], 3276.7),
        (Register("a", 0, "u16"), 7, [7], 7),
        (Register("a", 0, "u32"), 0x12345678, [0x5678, 0x1234], 0x12345678),
    ],
)
def test_integers_are_scaled_clamped_and_ordered(register, value, words, read):
    assert encode(register, value) == words
    assert seen(register, value) == read


def test_the_register_map_is_the_documented_one_and_nothing_overlaps():
    image = Simulation().image()
    words = block_words(INPUT_REGISTERS, image)
    assert len(words) == sum(r.words for r in INPUT_REGISTERS)
    assert set(words) == {*range(10), 20, 21, 22, 30, 31, 40, 41}
    assert set(block_words(HOLDING_REGISTERS, image)) == {0, 1}


def test_what_a_client_sees_differs_from_the_image_by_less_than_a_step():
    plant = Simulation(Choices(seed=2))
    for _ in range(80):
        plant.scan()
    image = plant.image()
    read = decoded(image)
    assert tuple(read) == read_columns()
    for register in INPUT_REGISTERS:
        step = 1e-6 if register.code == "f32" else 0.51 / register.per_unit
        assert float(read[register.tag]) == pytest.approx(float(image[register.tag]), abs=step)


def record_rows(path, *arguments):
    assert record(["--out", str(path), *arguments]) == 0
    header, *rows = (line.split(",") for line in path.read_text().splitlines())
    return header, rows


def test_a_recording_holds_what_a_client_decodes(tmp_path):
    header, rows = record_rows(tmp_path / "a.csv", "--hours", "0.01", "--seed", "4", "--reference")
    assert header == ["time", *read_columns(), "upper/transfer_flow"]
    plant = Simulation(Choices(seed=4))
    for k, row in enumerate(rows):
        assert float(row[0]) == k
        texts = dict(zip(header, row, strict=True))
        for tag, value in decoded(plant.image()).items():
            assert texts[tag] == value if isinstance(value, str) else float(texts[tag]) == float(value)
        for _ in range(10):
            plant.scan()
    assert len(rows) == 36


def test_a_recording_takes_a_fault_at_its_time_and_a_finer_period(tmp_path):
    same = ("--hours", "0.01", "--seed", "4", "--period", "0.5")
    header, healthy = record_rows(tmp_path / "h.csv", *same)
    _, faulty = record_rows(tmp_path / "f.csv", *same, "--fault", "leak", "--fault-at", "20")
    assert [row[0] for row in healthy[:3]] == ["0", "0.5", "1"]
    first = next(k for k, (a, b) in enumerate(zip(healthy, faulty, strict=True)) if a != b)
    assert 40 < first <= 43
    level = header.index("lower/level")
    assert float(faulty[-1][level]) < float(healthy[-1][level]) - 0.008


def test_a_recording_says_what_is_wrong(tmp_path, capsys):
    with pytest.raises(SystemExit):
        record(["--out", str(tmp_path / "a.csv"), "--period", "0.25"])
    assert "multiple" in capsys.readouterr().err
    assert record(["--out", str(tmp_path / "no" / "a.csv"), "--hours", "0.001"]) == 1
    assert "No such file" in capsys.readouterr().err


def table(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text(text)
    return load(path)


def test_a_csv_is_read_with_its_own_separator_time_and_gaps(tmp_path):
    got = table(tmp_path, "datetime;a;name;b\n2020-03-09 10:14:33;1;x;\n2020-03-09 10:14:35;2.5;y;7\n")
    assert got.names == ("a", "b")
    assert got.skipped == ("name",)
    assert got.time_s == (0.0, 2.0)
    assert got.time_name == "datetime"
    assert got.rows[1] == (2.5, 7.0)
    assert math.isnan(got.rows[0][1])


def test_a_csv_without_time_goes_at_one_row_a_second(tmp_path):
    got = table(tmp_path, "a,b\n1,2\n3,4\n5,6\n")
    assert got.time_s == (0.0, 1.0, 2.0)
    assert got.time_name is None
    assert got.rows == ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n", "at least one row"),
        ("a,b\n1,2\n3\n", r"t\.csv:3: 1 cells, expected 2"),
        ("time,b\n0,2\nlater,3\n", r"t\.csv:3: 'later' is no time"),
        ("a,b\nx,y\n", "no column of numbers"),
    ],
)
def test_a_bad_csv_is_named_with_its_line(tmp_path, text, says):
    with pytest.raises(ValueError, match=says):
        table(tmp_path, text)
