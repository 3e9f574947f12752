"""Physics fits: the file an engineer writes, parameters found again with their intervals, what cannot be told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agent.core.nouns import F8
from agent.fit.physics import ParameterReport, Run, fit_plant, quantity, reading
from agent.fit.recording import FitError
from agent.twin.kind import Channel
from agent.twin.kinds import physics
from agent.twin.kinds.physics import running
from agent.twin.plant import Plant

CONFIGS = Path(__file__).parents[2] / "configs" / "twins"

TANK = """\
components:
  sump:  {kind: reservoir}
  pump:  {kind: metering pump, drive: drive, gain: 0.5 to 2 l/s}
  tank:  {kind: tank, area: 0.02 to 0.2 m2}
  hole:  {kind: orifice, area: 100 to 1000 mm2}
lines:
  feed:  {from: sump, through: [pump], to: tank}
  drain: {from: tank, through: [hole], to: sump}
inputs: {drive: "1"}
outputs: {level: tank.level in mm}
health:
  hole.area: {new within: 0.1, walk: 0.1 in 30 d, relative: true}
"""

TRUTH = {"pump.gain": 1e-3, "tank.area": 0.07, "hole.area": 3e-4}
NOISE_MM = 4.0


def recorded(text: str, truth: dict[str, float], seed: int, rows: int = 300) -> tuple[Run, tuple[Channel, Channel]]:
    """A run of the machine of a file with these parameters, its level with white noise."""
    rng = np.random.default_rng(seed)
    u = np.repeat(rng.uniform(0.2, 1.5, (rows // 20, 1)), 20, axis=0)
    params = _with(text, truth)
    clean = running.trajectory(params, np.array([0.3]), u, 5.0)[0]
    y = clean + NOISE_MM * rng.normal(size=clean.shape)
    channels = (_channel("drive", "1", u), _channel("level", "mm", y))
    return Run(u, y), channels


def _with(text: str, truth: dict[str, float]) -> physics.Params:
    sketch = reading.read(_file(text))
    components = tuple(
        replace(c, values={n: truth.get(f"{c.name}.{n}", v) for n, v in c.values.items()})
        for c in sketch.params.components
    )
    starts = tuple(replace(s, mean=0.3, sd=0.1, walk=1e-4) for s in sketch.params.starts)
    return replace(sketch.params, components=components, starts=starts, health=())


def _file(text: str) -> Path:
    path = _file.folder / f"{abs(hash(text))}.yaml"  # type: ignore[attr-defined]
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    _file.folder = tmp_path  # type: ignore[attr-defined]


def _channel(tag: str, unit: str, x: F8) -> Channel:
    return Channel(tag, unit, float(x.mean()), float(x.std()), float(x.min()), float(x.max()))


def fitted(text: str, truth: dict[str, float], seed: int = 0, searches: int = 1) -> tuple[Plant, ParameterReport]:
    run, (drive, level) = recorded(text, truth, seed)
    return fit_plant(_file(text), [run], (drive,), (level,), period_s=5.0, searches=searches)


KNOWN_PUMP = TANK.replace("gain: 0.5 to 2 l/s", "gain: 1 l/s")


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    inside = []
    for seed in range(5):
        plant, _ = fitted(KNOWN_PUMP, TRUTH, seed)
        inside += [e.interval_low <= TRUTH[e.parameter] <= e.interval_high for e in plant.params.estimates]
        for e in plant.params.estimates:
            assert e.value == pytest.approx(TRUTH[e.parameter], rel=0.08)
            assert e.remark == ""
    # 10 intervals of 95 %: fewer than 8 inside has a probability of 0.01.
    assert sum(inside) >= 8


def test_noise_and_scaling_are_found() -> None:
    plant, told = fitted(KNOWN_PUMP, TRUTH)
    assert np.sqrt(plant.R[0]) == pytest.approx(NOISE_MM, rel=0.15)
    assert told.rms[0][1] == pytest.approx(NOISE_MM, rel=0.15)
    # Health is new at what was found.
    assert plant.health[0].nominal == pytest.approx(TRUTH["hole.area"], rel=0.08)
    assert physics.check(plant.params, plant.inputs, plant.outputs) == []


def test_what_cannot_be_told_apart_is_named() -> None:
    # The level says gain / area and hole / area, never the three of them.
    plant, told = fitted(TANK, TRUTH)
    remarks = {e.parameter: e.remark for e in plant.params.estimates}
    assert "tank.area" in remarks["pump.gain"]
    assert "pump.gain" in remarks["tank.area"]
    vague = [e.parameter for e in plant.params.estimates if np.isnan(e.interval_low)]
    assert vague
    assert any("not identifiable" in line and vague[0] in line for line in told.lines())
    by_name = {e.parameter: e.value for e in plant.params.estimates}
    ratio = TRUTH["pump.gain"] / TRUTH["tank.area"]
    assert by_name["pump.gain"] / by_name["tank.area"] == pytest.approx(ratio, rel=0.03)


def test_a_parameter_at_its_bound_says_so_and_stays_within() -> None:
    plant, _ = fitted(KNOWN_PUMP.replace("0.02 to 0.2 m2", "0.1 to 0.2 m2"), TRUTH)
    area = next(e for e in plant.params.estimates if e.parameter == "tank.area")
    assert "at its bound" in area.remark
    assert area.value == pytest.approx(0.1, rel=0.01)
    assert area.value >= 0.1


def test_a_far_off_start_is_left_by_another_search() -> None:
    plant, told = fitted(KNOWN_PUMP.replace("100 to 1000 mm2", "1 to 90000 mm2"), TRUTH, searches=3)
    assert len(told.searches) == 3
    assert told.searches == tuple(sorted(told.searches))
    hole = next(e for e in plant.params.estimates if e.parameter == "hole.area")
    assert hole.value == pytest.approx(TRUTH["hole.area"], rel=0.08)


def test_the_report_names_values_intervals_and_what_is_fixed() -> None:
    _, told = fitted(KNOWN_PUMP, TRUTH)
    text = "\n".join(told.lines())
    assert "pump.gain = 3.6 m3/h" in text
    assert "hole.area" in text
    assert "mm2 [" in text


@pytest.mark.parametrize(
    ("before", "after", "line", "said"),
    [
        ("kind: tank", "kind: tnak", 4, "did you mean tank?"),
        ("area: 100 to 1000 mm2", "aera: 100 mm2", 5, "did you mean area?"),
        ("0.02 to 0.2 m2", "0.2 to 0.02 m2", 4, "the low end first"),
        ("0.02 to 0.2 m2", "0.02 to 0.2 bar", 4, "bar is a pressure and m2 a area"),
        ("0.02 to 0.2 m2", "-1 to 0.2 m2", 4, "reaches -1 m2"),
        ("to: tank}", "to: tnk}", 7, "did you mean tank?"),
        ("through: [hole]", "through: [hool]", 8, "did you mean hole?"),
        ("tank.level in mm", "tank.leve in mm", 10, "did you mean tank.level?"),
        ("drive: drive,", "drive: drove,", 3, "did you mean drive?"),
        ("hole.area: {new", "hole.aera: {new", 12, "did you mean hole.area?"),
        ("walk: 0.1 in 30 d", "walk: 0.1", 12, "such as 0.01 in 1 d"),
        ("lines:", "line:", 6, "did you mean lines?"),
        ("in mm", "in furlong", 10, "unit 'furlong' is not known"),
    ],
)
def test_a_mistake_in_the_file_is_named_by_its_line(before: str, after: str, line: int, said: str) -> None:
    path = _file(TANK.replace(before, after, 1))
    with pytest.raises(FitError) as caught:
        reading.read(path)
    assert any(text.startswith(f"{path}:{line}:") and said in text for text in str(caught.value).splitlines()), str(
        caught.value
    )


def test_all_mistakes_come_at_once() -> None:
    text = TANK.replace("kind: reservoir", "kind: reservoir, colour: blue").replace("0.02 to 0.2 m2", "wide")
    with pytest.raises(FitError) as caught:
        reading.read(_file(text))
    assert {line.split(":")[1] for line in str(caught.value).splitlines()} >= {"2", "4"}


def test_columns_that_the_file_does_not_have_are_named() -> None:
    run, (drive, level) = recorded(KNOWN_PUMP, TRUTH, 0)
    with pytest.raises(FitError, match="no output height; it has level"):
        fit_plant(_file(KNOWN_PUMP), [run], (drive,), (replace(level, tag="height"),), period_s=5.0)


def test_a_state_that_nothing_shows_must_be_given_a_start() -> None:
    text = KNOWN_PUMP.replace("level: tank.level in mm", "level: drain.flow in l/s")
    run, (drive, level) = recorded(KNOWN_PUMP, TRUTH, 0)
    with pytest.raises(FitError, match=r"no output shows tank\.level"):
        fit_plant(_file(text), [run], (drive,), (level,), period_s=5.0)


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda p: p.stem)
def test_the_sample_files_can_be_read(file: Path) -> None:
    assert reading.read(file).unknown


def test_the_file_in_the_readme_can_be_read() -> None:
    text = (CONFIGS.parents[1] / "README.md").read_text(encoding="utf-8")
    machine = next(part for part in text.split("```yaml\n")[1:] if part.startswith("components:"))
    sketch = reading.read(_file(machine.split("```")[0]))
    assert [n.parameter for n in sketch.unknown] == ["pump.shutoff", "upper.area", "outlet.area"]


@pytest.mark.parametrize(
    ("written", "unit", "low", "high"),
    [
        (3, "m", 3.0, 3.0),
        ("7 mm", "m", 0.007, 0.007),
        ("2 to 6 m", "m", 2.0, 6.0),
        ("1e-3 to 2e-3", "m3/s", 1e-3, 2e-3),
        ("-0.5 to 0.1 m", "m", -0.5, 0.1),
        ("3.6 m3/h", "m3/s", 1e-3, 1e-3),
        ("20 degC", "degC", 20.0, 20.0),
        ("5 J/K", "J/K", 5.0, 5.0),
    ],
)
def test_values_as_people_write_them(written: object, unit: str, low: float, high: float) -> None:
    found = quantity.value(written, unit)
    assert (found.low, found.high) == pytest.approx((low, high))


def test_a_walk_is_per_square_root_of_a_second() -> None:
    assert quantity.walk("0.02 in 100 s", "1") == pytest.approx(0.002)
    assert quantity.walk("3 mm in 1 h", "m") == pytest.approx(0.003 / 60.0)
