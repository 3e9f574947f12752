"""How far a model is believed: learning, provisional, trusted, each with its numbers."""

import json
from dataclasses import replace

import pytest
from scipy import stats

from agent.core.conditions import LEARNING, PROVISIONAL, TRUSTED
from agent.twin import baseline, jsontree
from agent.twin.baseline import Alerts, Baseline, Coverage

WELL = Coverage(0.9, 0.91, 0.88, 0.93)
GOOD = Baseline(
    "rig", "commissioning", "2026-11-24T13:00:00Z", 96.0, {"running": 0.9}, PROVISIONAL, WELL, Alerts(0, 4.0, 1.0)
)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40])
def test_the_upper_bound_is_that_of_garwood(count):
    assert baseline.most(count) == pytest.approx(stats.chi2.ppf(0.95, 2 * (count + 1)) / 2, rel=1e-9)


@pytest.mark.parametrize(
    ("given", "met"),
    [
        (Coverage(0.9, 0.91, 0.89, 0.93), True),
        (Coverage(0.9, 0.80, 0.70, 0.86), True),
        (Coverage(0.9, 0.80, 0.76, 0.84), False),
        (Coverage(0.9, 0.99, 0.98, 1.00), False),
        (Alerts(0, 3.0, 1.0), True),
        (Alerts(0, 2.9, 1.0), False),
        (Alerts(1, 3.0, 1.0), False),
        (Alerts(0, 0.0, 1.0), False),
    ],
)
def test_what_is_met_is_decided_by_the_interval(given, met):
    assert given.met is met


def test_a_person_approves_it_by_name_where_all_is_met():
    done = baseline.approved(GOOD, "Jane", "2026-11-25T08:00:00Z")
    assert (done.state, done.approved_by, done.anyway) == (TRUSTED, "Jane", "")
    assert baseline.text(done).startswith(
        "trusted: approved by Jane 2026-11-25; made 2026-11-24 for rig (commissioning)"
    )


def test_it_is_refused_with_numbers_or_approved_anyway_with_the_reason_kept():
    poor = replace(GOOD, alerts=Alerts(2, 0.5, 1.0), coverage=None)
    with pytest.raises(ValueError, match=r"nobody knows .*; 2 alerts in 0.5 healthy days: at most 12.6 a day"):
        baseline.approved(poor, "Jane", "")
    done = baseline.approved(poor, "Jane", "2026-11-25T08:00:00Z", "the line must start")
    assert (done.state, done.anyway) == (TRUSTED, "the line must start")
    assert "although not all was met: the line must start" in baseline.text(done)
    assert baseline.approved(GOOD, "Jane", "", "just so").anyway == ""


def test_what_was_approved_on_one_machine_is_provisional_on_another():
    done = baseline.approved(GOOD, "Jane", "2026-11-25T08:00:00Z")
    assert baseline.here(done, "rig") is done
    assert baseline.standing(baseline.here(done, "rig-2")) == PROVISIONAL
    assert baseline.text(baseline.here(done, "rig-2")).startswith("provisional: made 2026-11-24 for rig (")
    assert baseline.here(replace(done, asset=""), "rig-2").state == TRUSTED
    assert baseline.here(None, "rig") is None


def test_none_and_learning_say_what_they_mean():
    assert baseline.standing(None) == PROVISIONAL
    assert "no baseline" in baseline.text(None)
    assert "no alerts from this model" in baseline.text(replace(GOOD, state=LEARNING))


@pytest.mark.parametrize("made", [GOOD, replace(GOOD, coverage=None, alerts=None, modes={})])
def test_it_is_a_section_of_a_file(made):
    tree = json.loads(json.dumps(jsontree.tree(made)))
    assert jsontree.read(Baseline, tree) == made


def test_what_makes_no_sense_is_named():
    wrong = replace(GOOD, state="sure", hours=-1.0, modes={"running": 2.0}).problems()
    assert len(wrong) == 3
    assert replace(GOOD, state=TRUSTED).problems() == ["baseline.approved_by where it is trusted"]
