"""`edgetwin model approve`: by name, with numbers, and without touching what the twin computes with."""

from dataclasses import replace

import numpy as np
import pytest
import whatif_rig as rig
from typer.testing import CliRunner

from agent.cli import approving
from agent.cli.commands import app
from agent.core.conditions import PROVISIONAL
from agent.core.nouns import Case, Condition, Event, Mode, Summary
from agent.twin.baseline import Alerts, Baseline, Coverage
from agent.twin.twin import dump, fingerprint, load

GOOD = Baseline(
    "rig", "commissioning", "2026-11-24T13:00:00Z", 96.0, {"running": 0.9}, PROVISIONAL,
    Coverage(0.9, 0.91, 0.88, 0.93), Alerts(0, 4.0, 1.0),
)  # fmt: skip


def approve(tmp_path, baseline, *more):
    path = tmp_path / "twin.json"
    path.write_bytes(dump(replace(rig.twin(), baseline=baseline)))
    return CliRunner().invoke(app, ["model", "approve", str(path), *more]), path


def test_it_is_trusted_by_name_and_computes_as_before(tmp_path):
    done, path = approve(tmp_path, GOOD, "--by", "Jane")
    assert done.exit_code == 0, done.output
    after = load(path.read_bytes())
    assert (after.baseline.state, after.baseline.approved_by) == ("trusted", "Jane")
    assert after.baseline.approved_utc.endswith("Z")
    assert "trusted: approved by Jane" in done.output
    assert fingerprint(after) == fingerprint(rig.twin())
    assert [p.name for p in tmp_path.iterdir()] == ["twin.json"]


@pytest.mark.parametrize(
    ("baseline", "why"),
    [
        (
            replace(GOOD, alerts=Alerts(3, 4.0, 1.0)),
            "3 alerts in 4 healthy days: at most 1.94 a day (95 %), allowed are 1",
        ),
        (replace(GOOD, coverage=Coverage(0.9, 0.7, 0.6, 0.8)), "70% of healthy values lie in the 90% bands"),
        (None, "nobody knows how well its bands hold; no alerts were counted"),
    ],
)
def test_it_is_refused_with_the_numbers_and_the_file_stays(tmp_path, baseline, why):
    done, path = approve(tmp_path, baseline, "--by", "Jane")
    assert done.exit_code == 1
    assert why in done.output
    assert load(path.read_bytes()).baseline == baseline
    done, path = approve(tmp_path, baseline, "--by", "Jane", "--anyway", "the line must start")
    assert done.exit_code == 0
    assert load(path.read_bytes()).baseline.anyway == "the line must start"


def test_what_is_no_twin_and_nobody_are_refused(tmp_path):
    done, path = approve(tmp_path, GOOD, "--by", " ")
    assert done.exit_code == 2
    path.write_text("{}")
    done = CliRunner().invoke(app, ["model", "approve", str(path), "--by", "Jane"])
    assert (done.exit_code, "not a twin" in done.output) == (1, True)


def raised(name, kind="residual", category="alert"):
    return Event(name, "rig", 1, "raised", "", condition=Condition(name, "rig", name, kind, category))


def closed(cause, *conditions):
    return Event("c", "rig", 2, "case_closed", "", case=Case("c", "rig", 1, conditions, "", 2, cause))


def test_alerts_that_were_right_are_not_held_against_it():
    events = [raised("a"), raised("b", "anomaly"), raised("c", category="alarm"), raised("d", "life"),
              closed("real", "a"), raised("a"), raised("e", "trust"), closed("false", "e")]  # fmt: skip
    assert approving.alerts(events) == 3


def test_healthy_days_are_those_in_the_modes_of_the_twin():
    none = np.zeros(0)
    day_ns = 86_400 * 10**9

    def summary(mode, days):
        return Summary("rig", 0, days * day_ns, mode, {}, "window", (), none, none, none, none, none, none, 0.0)

    told = [summary(Mode.RUNNING, 2), summary(Mode.MAINTENANCE, 5), summary(Mode.RUNNING, 1)]
    assert approving.healthy_days(told, ("running",)) == 3.0
