"""The report of a fit: what is on the page, and that its numbers and shapes are right."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
from whatif_rig import LOWER, POWER, SPEED, UPPER, domain, plant, twin

from agent.fit import report
from agent.fit.report import Candidate, Material, Parameter, Run, choices, runs, seen, style
from agent.twin.domain import learned

pytest.importorskip("matplotlib")


def stretch(rows, seed, start_s=0.0):
    """A held-out stretch in which the free run is the truth and the measurement has noise of 0.01 m."""
    machine, draw, x, u, free = plant(), np.random.default_rng(seed), np.zeros(2), [], []
    for k in range(rows):
        u.append([60.0 + 10.0 * np.sign(np.sin(k / 25))])
        free.append(machine.observe(x, np.array(u[-1])))
        x = machine.advance(x, np.array(u[-1]))
    y = np.array(free)[:, :2] + 0.01 * draw.standard_normal((rows, 2))
    y[rows // 2, 0] = np.nan
    return Run(start_s + np.arange(rows), np.array(u), y, np.array(free), np.zeros((rows, 0)))


@pytest.fixture(scope="module")
def material():
    stretches = (stretch(300, 1), stretch(200, 2, 4000.0))
    u, y = np.concatenate([r.u for r in stretches]), np.nan_to_num(np.concatenate([r.y for r in stretches]), nan=0.3)
    return Material(
        twin=replace(twin(), domain=learned(u, y)),
        recording="healthy <1>.csv",
        u=u,
        y=y,
        runs=stretches,
        residuals=tuple(r.y - r.free[:, :2] for r in stretches),
        candidates=(
            Candidate("order 1", "linear", 1, np.array([0.5, 0.6, np.nan])),
            Candidate("order 2", "linear", 2, np.array([0.2, 0.3, 0.25])),
            Candidate("4 units", "nonlinear", 4, np.array([0.21, 0.31, 0.26])),
        ),
        rivals={"persistence": np.array([1.0, 1.1, 0.9])},
        chosen="order 2",
        why="The smallest within one standard error of the best.",
        parameters=(
            Parameter("tank.area", "m2", 0.05, 0.04, 0.06, 0.01, 0.2),
            Parameter("valve.leak", "m3/h", 0.01, 0.0, 0.05, 0.0, 0.05, identified=False),
        ),
        modes={"running": 0.8, "off": 0.2},
        notes=("The room was never cold.",),
    )


@pytest.fixture(scope="module")
def page(material):
    return report.html(material)


def test_the_page_has_every_part_and_no_raw_text(page):
    for part in (
        "Measured and free run", "Residuals", "Choice of the model", "Parameters", "Step responses",
        "Where it should not be trusted", "The room was never cold.", "valve.leak", "persistence",
        UPPER, LOWER, POWER, SPEED,
    ):  # fmt: skip
        assert part in page, part
    assert "healthy &lt;1&gt;.csv" in page
    assert "<1>" not in page
    assert "http" not in page.replace("http://www.w3.org/", "")  # it needs nothing from anywhere


def test_each_picture_is_sound_xml(page):
    pictures = page.split("<svg")[1:]
    assert len(pictures) == 8
    for picture in pictures:
        ET.fromstring("<svg" + picture[: picture.index("</svg>") + 6])


def test_the_same_material_gives_the_same_bytes(material, page, tmp_path):
    report.write(tmp_path / "a.html", material)
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == page


def test_what_is_not_given_is_left_out():
    bare = Material(twin(), "r.csv", np.zeros((0, 1)), np.zeros((0, 2)))
    page = report.html(bare)
    assert "Step responses" in page
    for part in ("Measured and free run", "Residuals", "Choice of the model", "Parameters"):
        assert f"<h2>{part}" not in page


def test_the_scores_are_those_of_the_runs(material):
    for rmse, nrmse, left in report.scores(material):
        assert rmse == pytest.approx(0.01, rel=0.15)
        assert left == pytest.approx(0.01, rel=0.15)
        assert 0.0 < nrmse < 0.3


def test_autocorrelation_of_a_known_process():
    draw, x, out = np.random.default_rng(3), 0.0, []
    for _ in range(20000):
        x = 0.8 * x + draw.standard_normal()
        out.append(x)
    whole = np.array(out)
    whole[::100] = np.nan
    rho, count = runs.autocorrelation([whole[:12000], whole[12000:]], 5)
    assert count == 19800
    assert rho[0] == 1.0
    np.testing.assert_allclose(rho[1:4] / 0.98, [0.8, 0.64, 0.512], atol=0.04)


def test_the_outline_is_the_edge_of_the_domain():
    """The ellipse of a pair is the farthest that the ellipsoid reaches: the other signals where that is largest."""
    whole = learned(
        *np.split(
            np.random.default_rng(1).multivariate_normal(
                [60, 0.3, 0.2], [[90, 0.5, 0.1], [0.5, 0.01, 0.004], [0.1, 0.004, 0.01]], 4000
            ),
            [1],
            axis=1,
        )
    )
    some = Material(replace(twin(), domain=whole), "r.csv", np.zeros((0, 1)), np.zeros((0, 2)))
    S = np.linalg.inv(whole.precision)
    for point in seen.ellipse(some, 0, 2)[::17]:
        pair = np.array([0, 2])
        # The third signal at its conditional mean given the pair lies on the ellipsoid's surface.
        rest = whole.mean[1] + S[[1]][:, pair] @ np.linalg.solve(S[np.ix_(pair, pair)], point - whole.mean[pair])
        assert whole.remoteness(point[:1], np.array([rest[0], point[1]])) == pytest.approx(1.0, rel=1e-6)


def test_thin_places_of_an_input_are_named():
    u = np.concatenate([np.full(500, 45.0), np.full(500, 75.0)])[:, None]
    some = Material(replace(twin(), domain=domain()), "r.csv", u, np.zeros((1000, 2)))
    said = " ".join(seen.distrust(some))
    assert "pump/speed at 30 to 42, 48 to 72, 78 to 90 %" in said
    assert "outside 30 to 90 %" in said


def test_geometric_means_leave_out_what_is_absent():
    assert choices.geometric_mean(np.array([0.1, np.nan, 0.4])) == pytest.approx(0.2)


def test_a_thinned_line_keeps_its_peaks():
    t, value = np.arange(100_000.0), np.random.default_rng(2).standard_normal(100_000)
    value[77_777] = 40.0
    short_t, short = style.thinned(t, value)
    assert len(short) < 3 * style.MOST_POINTS
    assert short.max() == 40.0
    assert short.min() == value.min()
    assert (np.diff(short_t) > 0).all()
