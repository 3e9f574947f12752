"""Which alerts the points of a model make, and how far they are believed."""

from types import SimpleNamespace

import pytest
from config_files import CONTENT, TWIN, Twin, real_kinds_in_name, write

from agent.config import kinds
from agent.config.load import load
from agent.config.plan import plan
from agent.core.conditions import LEARNING, PROVISIONAL, TRUSTED
from agent.core.nouns import Kind, Point, Role
from agent.twin.baseline import Baseline

WORDS = {0: "unknown", 1: "ok", 2: "over-confident", 3: "under-confident", 4: "drifted"}
POINTS = (
    Point("lower/level.deviation", Role.DEVIATION, "lower/level"),
    Point("lower/level.cusum", Role.CUSUM, "lower/level"),
    Point("faults/leak", Role.FAULT, "lower/level", description="a leak of the lower tank"),
    Point("faults/finding", Role.FINDING, kind=Kind.TEXT),
    Point("twin/trust", Role.TRUST, kind=Kind.ENUMERATION, enum=WORDS),
    Point("twin/trust_reason", Role.TRUST, kind=Kind.TEXT),
    Point("health/pump.not_before", Role.LIFE, unit="h"),
    Point("health/pump.p50", Role.LIFE, unit="h"),
    Point("health/valve.not_before", Role.LIFE, unit="d"),
    Point("health/odd.not_before", Role.LIFE),
    Point("health/life_text", Role.LIFE, kind=Kind.TEXT),
    Point("twin/life.not_before", Role.LIFE, unit="h"),
    Point("twin/life.pump.wear.not_before", Role.LIFE, unit="h"),
)


class Knowing(Twin):
    state: str | None = None

    @classmethod
    def load(cls, content):
        found = Twin.load(content)
        made = None if cls.state is None else Baseline("a", "", "", 1.0, {}, cls.state, None, None, approved_by="J")
        return SimpleNamespace(**vars(found), baseline=made)

    @staticmethod
    def points(params):
        return POINTS


@pytest.fixture
def rules(tmp_path, monkeypatch):
    real_kinds_in_name(monkeypatch)

    def made(yaml=TWIN, state=None):
        monkeypatch.setattr(kinds, "model", lambda name: type("Made", (Knowing,), {"state": state}))
        built = plan(load(write(tmp_path, yaml, twin=CONTENT)))
        return {rule.id: rule for rule in built.assets[0].rules}

    return made


def test_each_role_makes_its_alert_and_texts_make_none(rules):
    made = rules()
    assert {(r.id, r.kind, r.side) for r in made.values() if r.kind != "limit"} == {
        ("lower/level.residual", "residual", "both"),
        ("lower/level.cusum", "cusum", "both"),
        ("faults/leak", "isolation", "high"),
        ("twin/trust", "trust", "high"),
        ("health/pump.not_before", "life", "low"),
        ("health/valve.not_before", "life", "low"),
        ("twin/life.pump.wear.not_before", "life", "low"),
    }
    assert {r.category for r in made.values() if r.kind != "limit"} == {"alert"}
    assert made["faults/leak"].of == "lower/level"
    assert made["faults/leak"].message == "residuals speak for a leak of the lower tank"
    assert made["twin/life.pump.wear.not_before"].message == "pump.wear may fail within 72 h"
    assert 1 < made["twin/trust"].limit < 2


def test_the_lead_time_of_a_life_is_in_the_unit_of_its_point(rules):
    made = rules()
    assert (made["health/pump.not_before"].limit, made["health/valve.not_before"].limit) == (72, 3)
    longer = rules(TWIN.replace("every: 2}", "every: 2, life_lead_h: 240}"))
    assert (longer["health/pump.not_before"].limit, longer["health/valve.not_before"].limit) == (240, 10)


def test_what_is_reported_can_be_set_for_a_class(rules):
    made = rules(TWIN.replace("assets:", "    isolation: {limit: 0.8, on_delay_s: 5}\nassets:", 1))
    assert (made["faults/leak"].limit, made["faults/leak"].on_delay_s) == (0.8, 5)


@pytest.mark.parametrize(
    ("state", "standing"), [(None, PROVISIONAL), (LEARNING, LEARNING), (PROVISIONAL, PROVISIONAL), (TRUSTED, TRUSTED)]
)
def test_alerts_of_a_model_are_believed_as_far_as_its_baseline_says(rules, state, standing):
    made = rules(state=state)
    assert {r.standing for r in made.values() if r.kind != "limit"} == {standing}
    assert {r.standing for r in made.values() if r.kind == "limit"} == {TRUSTED}


def test_a_limit_on_a_point_of_a_model_is_believed_no_further_than_the_model(rules):
    limit = "      - {tag: lower/level.cusum, high: 3}\n"
    made = rules(TWIN.replace("      - {tag: pump/flow, low: 0.1}\n", limit), state=LEARNING)
    assert made["lower/level.cusum.high"].standing == LEARNING


def test_a_package_alone_is_a_kind_where_it_is_one(monkeypatch):
    import agent.twin

    for name in ("load", "points", "init", "step"):
        monkeypatch.setattr(agent.twin, name, lambda *a: None, raising=False)
    assert kinds.model("twin") is agent.twin
    with pytest.raises(kinds.NoKind, match="did you mean detect"):
        kinds.model("detect.onxn")
    with pytest.raises(kinds.NoKind, match="'detect'"):
        kinds.model("detect")
