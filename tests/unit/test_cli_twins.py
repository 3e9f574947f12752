"""What status and watch say of models, by the roles of their points."""

import json

import numpy as np
import pytest

from agent.cli import twins
from agent.cli.status import described, lines
from agent.core import quality
from agent.core.nouns import Catalogue, Kind, Mode, Part, Point, Role, Snapshot

WORDS = {1: "ok", 4: "drifted"}
# point, value or text, status
SAID = (
    (Point("rig/tank/level", Role.MEASURED), 3.0, 0),
    (Point("rig/tank/level.skill", Role.ACCURACY, "rig/tank/level"), 0.42, 0),
    (Point("rig/tank/level.coverage", Role.ACCURACY, "rig/tank/level"), float("nan"), quality.BAD_NO_DATA),
    (Point("rig/twin/pump.wear", Role.HEALTH, unit="%"), 12.0, 0),
    (Point("rig/twin/pump.wear.spread", Role.SPREAD, "rig/twin/pump.wear", unit="%"), 3.0, 0),
    (Point("rig/twin/valve.leak", Role.HEALTH), float("nan"), quality.NOT_APPLICABLE),
    (Point("rig/twin/life", Role.LIFE, kind=Kind.TEXT), "40 d (90 %: 20 d to 60 d), not before 22 d", 0),
    (Point("rig/twin/life.p50", Role.LIFE, unit="h"), 960.0, 0),
    (Point("rig/twin/trust", Role.TRUST, kind=Kind.ENUMERATION, enum=WORDS), 4.0, 0),
    (Point("rig/twin/trust_reason", Role.TRUST, kind=Kind.TEXT), "tank/level is biased", 0),
    (Point("rig/twin/finding", Role.FINDING, kind=Kind.TEXT), "a leak of the tank (93 %)", 0),
    (Point("rig/state/twin.baseline", Role.STATUS, kind=Kind.TEXT), "provisional: made today", 0),
)


def snapshot(said=SAID):
    value = np.array([float("nan") if isinstance(v, str) else v for _, v, _ in said])
    status = np.array([s for _, _, s in said], np.uint32)
    zeros = np.zeros(len(said), np.int64)
    texts = {row: v for row, (_, v, _) in enumerate(said) if isinstance(v, str)}
    return Snapshot("rig", 1, 1, 1, value, status, zeros, zeros, texts, Mode.RUNNING, {}, (), None, (), (), ())


POINTS = tuple(point for point, _, _ in SAID)


def test_each_role_has_its_line():
    shown = list(twins.lines(twins.said(POINTS, snapshot())))
    assert shown == [
        "model twin: provisional: made today",
        "trust: drifted, tank/level is biased",
        "accuracy tank/level: skill 0.42, coverage not known yet",
        "health twin/pump.wear: 12 ± 3 %",
        "health twin/valve.leak: not applicable",
        "life twin/life: 40 d (90 %: 20 d to 60 d), not before 22 d",
        "finding: a leak of the tank (93 %)",
    ]


def test_one_line_holds_what_matters():
    assert twins.line(twins.said(POINTS, snapshot())) == (
        "twin provisional | trust drifted | skill 0.42 at worst | pump.wear 12 ± 3 % | valve.leak not applicable | "
        "life 40 d (90 %: 20 d to 60 d), not before 22 d | a leak of the tank (93 %)"
    )


@pytest.mark.parametrize("kept", [SAID[:1], ()])
def test_an_asset_without_models_says_nothing(kept):
    points = tuple(point for point, _, _ in kept)
    assert twins.said(points, snapshot(kept)) == {}
    assert twins.line({}) == ""
    assert list(twins.lines({})) == []


def test_status_shows_it_and_as_json_too():
    catalogue = Catalogue("g", 1, POINTS, (Part("rig", 0, len(POINTS)),))
    tree = described(catalogue, {"rig": snapshot()}, 2)
    assert json.loads(json.dumps(tree["assets"][0]["twins"]))["health"]["twin/pump.wear"]["spread"] == 3.0
    assert "  life twin/life: 40 d (90 %: 20 d to 60 d), not before 22 d" in lines(tree)
