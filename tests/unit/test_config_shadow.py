"""A shadow in the configuration: what the plan makes of it, and what is wrong with one, with its place."""

import pytest
from config_files import CONTENT, TWIN, real_kinds_in_name, write

from agent.config.check import check
from agent.config.load import load
from agent.config.plan import plan
from agent.core.nouns import Role
from agent.engine.asset import Promotion

SHADOW = "file: twin.twin, every: 2, shadow: {file: new.twin, promote_after_h: 24}}]"
YAML = TWIN.replace("file: twin.twin, every: 2}]", SHADOW)
MORE = b"tags lower/level pump/flow\nunits m m3/h"


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    real_kinds_in_name(monkeypatch)


def found(folder, yaml=YAML, **models):
    return [str(p).replace(f"{folder}/", "") for p in check(write(folder, yaml, twin=CONTENT, **models))]


def test_a_model_and_its_shadow_have_one_block_of_points(tmp_path):
    assert SHADOW in YAML
    made = plan(load(write(tmp_path, YAML, twin=CONTENT, new=MORE)))
    asset = made.assets[0]
    (pair,) = asset.pairs
    assert [m.name for m in asset.models] == ["twin", "twin.shadow"]
    assert [m.every for m in asset.models] == [2, 2]
    assert pair.promotion == Promotion(24.0, 1.0, 72.0)
    ids = [p.id for p in asset.points]
    assert len(ids) == len(set(ids))
    assert asset.points[pair.first : pair.first + len(pair.points)] == pair.points
    for model, rows in zip(asset.models, pair.rows, strict=True):
        assert [pair.points[row].id for row in rows] == [p.id for p in model.points]
    assert [p.id for p in pair.points][-2:] == ["a/pump/flow.expected", "a/pump/flow.deviation"]
    assert asset.points[asset.blocks["twin"].stop].id == "a/state/twin.shadow"
    told = [asset.rules[row].point for row in pair.rules]
    assert told == ["lower/level.deviation", "motor/current.deviation", "pump/flow.deviation"]
    assert len({rule.id for rule in asset.rules}) == len(asset.rules)
    assert all(p.role is Role.STATUS for p in asset.points[asset.blocks["twin"].stop :])


def test_with_no_shadow_nothing_changes(tmp_path):
    assert plan(load(write(tmp_path, TWIN, twin=CONTENT))).assets[0].pairs == ()


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ({}, "rig.yaml:19:81: no file new.twin, expected it there"),
        ({"new": CONTENT}, "new.twin: is the model twin itself, expected another beside it: remove its shadow"),
        ({"new": b"tags lower/levl"}, "new.twin: reads tag lower/levl, which class rig@1 does not have"),
        ({"new": b"modes running"}, "new.twin: cannot be used as twin: no tags in it"),
    ],
)
def test_what_is_wrong_with_a_shadow_is_said(tmp_path, models, said):
    lines = found(tmp_path, **models)
    assert any(said in line for line in lines), lines


def test_keys_of_a_shadow_are_checked(tmp_path):
    yaml = YAML.replace("promote_after_h: 24", "promote_after_hours: 24")
    assert any("unknown key promote_after_hours" in line for line in found(tmp_path, yaml, new=MORE))


def test_a_point_that_is_another_thing_in_the_new_file_is_refused(tmp_path, monkeypatch):
    from config_files import Twin

    points = Twin.points

    def other(params):
        made = points(params)
        return made if "pump/flow" not in params.tags else tuple(type(p)(p.id, Role.SCORE, p.of) for p in made)

    monkeypatch.setattr(Twin, "points", staticmethod(other))
    lines = found(tmp_path, new=MORE)
    assert any("gives a/lower/level.expected as score (number, no unit, of a/lower/level), but" in t for t in lines), (
        lines
    )


def test_one_asset_alone_may_have_a_shadow(tmp_path):
    yaml = TWIN.replace("residuals: {on_delay_s: 9}", "models: {twin: {shadow: {file: new.twin}}}")
    assets = plan(load(write(tmp_path, yaml, twin=CONTENT, new=MORE))).assets
    assert [len(asset.pairs) for asset in assets[:2]] == [0, 1]
