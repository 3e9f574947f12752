"""Where a gateway of a fleet stands: every change of it, without a disk."""

from dataclasses import replace

from fleet_rig import bundle

from agent.control.deploy import manifest as manifests
from agent.control.deploy import state as states
from agent.control.deploy.health import Vitals, worse
from agent.control.deploy.state import Deployment, Override

ALICE = Override("alice", "PLC replaced", "2026-11-24T20:00:00Z", "2026-11-25T20:00:00Z")


def tried(now, version):
    """A version accepted, staged and started."""
    made = bundle(version)
    manifest = manifests.read(made.text)
    now = states.accepted(now, manifest, made.digest, "office")
    now = states.staged(now, states.folder_of(manifest, made.digest))
    return states.begun(states.applying(states.validating(now), frozenset({"cloud"}), frozenset()), "boot-1")


def confirmed(now, version):
    return states.confirmed(tried(now, version))


def number(now):
    return states.version_of(now.in_force)


def test_a_version_that_is_well_stays_and_the_one_before_is_kept():
    now = confirmed(confirmed(Deployment(), 1), 2)
    assert (number(now), states.version_of(now.previous), now.state) == (2, 1, "confirmed")
    assert {states.version_of(name) for name in now.folders} == {1, 2}


def test_a_version_that_is_not_well_gives_way_to_the_last_that_was():
    now = states.fallen_back(tried(confirmed(Deployment(), 1), 2), "not well")
    assert (number(now), now.desired, now.state) == (1, 2, "rolled_back")
    assert now.reason.endswith("not well")


def test_the_first_version_gives_way_to_the_local_file():
    now = states.fallen_back(tried(Deployment(), 1), "not well")
    assert (now.in_force, now.state) == ("", "rolled_back")


def test_three_starts_that_do_not_last_and_the_last_good_runs_again():
    now = tried(confirmed(Deployment(), 1), 2)
    for start in (2, 3):
        now = states.begun(now, f"boot-{start}")
        assert (number(now), now.starts) == (2, start)
    now = states.begun(now, "boot-4")
    assert (number(now), now.state, now.starts) == (1, "rolled_back", 1)
    assert "started 3 times" in now.reason


def test_a_confirmed_version_gives_way_too_unless_power_was_cut():
    crashed = cut = confirmed(confirmed(Deployment(), 1), 2)
    for start in range(4):
        crashed, cut = states.begun(crashed, "boot-1"), states.begun(cut, f"boot-{start}")
    assert (number(crashed), number(cut)) == (1, 2)


def test_the_local_file_is_the_last_and_is_started_for_ever():
    now = Deployment()
    for _ in range(10):
        now = states.begun(now, "boot-1")
    assert (now.in_force, now.state) == ("", "local")


def test_what_is_older_or_another_of_the_same_number_or_for_another_gateway_is_not_for_us():
    now = confirmed(Deployment(), 5)
    older, same = bundle(4), bundle(5, {"edgetwin.yaml": "other: 1"})
    assert "older than 5" in states.why_not(now, manifests.read(older.text), older.digest, "hall-2")
    assert "something else before" in states.why_not(now, manifests.read(same.text), same.digest, "hall-2")
    assert "this one is hall-3" in states.why_not(now, manifests.read(bundle(6).text), "d", "hall-3")
    assert states.why_not(now, manifests.read(bundle(6).text), "d", "hall-2") == ""


def test_configuration_and_models_are_told_apart():
    def changed(**files):
        kept = {"edgetwin.yaml": "a", "t.csv": "b", "m.onnx": "c", **{k.replace("_", "."): v for k, v in files.items()}}
        return manifests.read(bundle(1, kept).text)

    before = changed()
    assert states.step_of(None, before) == "first"
    assert states.step_of(before, changed()) == "nothing"
    assert states.step_of(before, changed(t_csv="x")) == "configuration"
    assert states.step_of(before, changed(m_onnx="x")) == "models"
    assert states.step_of(before, changed(n_onnx="new")) == "models"
    assert states.step_of(before, changed(m_onnx="x", edgetwin_yaml="x")) == "both"


def test_a_local_configuration_runs_until_its_time_is_over():
    now = states.overridden(confirmed(Deployment(), 1), ALICE, "local-abc")
    now = states.begun(states.applying(now, frozenset(), frozenset()), "boot-1")
    assert now.in_force == "local-abc"
    now = states.confirmed(now)
    assert (now.in_force, now.running[:3], now.trial) == ("local-abc", "v1-", "")
    now = states.override_over(now, "its time is over")
    assert (number(now), now.state, now.override) == (1, "confirmed", None)


def test_what_waited_for_the_end_of_an_override_is_still_what_is_spoken_of():
    over = replace(confirmed(Deployment(), 1), override=replace(ALICE, folder="local-abc"))
    made = bundle(2)
    now = states.accepted(over, manifests.read(made.text), made.digest, "office")
    now = states.override_over(states.staged(now, "v2-" + made.digest[:16]), "its time is over")
    assert (now.state, now.about, states.version_of(now.candidate)) == ("staged", made.digest[:16], 2)


def test_each_report_speaks_of_one_version_while_another_is_on_its_way():
    first, second = tried(Deployment(), 1), bundle(2)
    both = states.accepted(first, manifests.read(second.text), second.digest, "office")
    assert (both.waiting, both.about) == (True, second.digest[:16])
    for over, state in ((states.confirmed(both), "confirmed"), (states.fallen_back(both, "not well"), "rolled_back")):
        assert (over.state, over.about, over.desired, over.waiting) == (state, bundle(1).digest[:16], 2, True)
        there = states.staged(over, f"v2-{second.digest[:16]}")
        assert (there.state, there.about, there.waiting) == ("staged", second.digest[:16], False)


def test_a_local_configuration_that_is_not_well_ends_its_override():
    now = states.overridden(confirmed(Deployment(), 1), ALICE, "local-abc")
    now = states.begun(states.applying(now, frozenset(), frozenset()), "boot-1")
    now = states.fallen_back(now, "not well")
    assert (number(now), now.override) == (1, None)


def test_it_is_read_as_it_was_written():
    now = replace(states.overridden(tried(Deployment(), 3), replace(ALICE, promoted=("promote a/b",))), ill=("x", "y"))
    assert states.read(states.written(now)) == now
    later = states.written(now).replace(b'"desired"', b'"new": [1], "desired"').replace(b'"by"', b'"new": 2, "by"')
    assert states.read(later) == now, "what a later release knew besides"


def test_health_asks_for_what_was_well_and_for_all_that_is_ours():
    before = Vitals(frozenset({"source a", "source b", "cloud", "model r/m"}), frozenset({"source a", "cloud"}))
    asked = (before.well, before.ill)
    known = frozenset({"source a", "source b", "source new", "asset r", "model r/m", "model r/n", "unit a"})
    assert worse(*asked, Vitals(known, frozenset())) == ["asset r", "cloud", "model r/n", "source a", "unit a"]
    assert worse(*asked, Vitals(known, frozenset({"asset r", "model r/n", "source a", "unit a", "cloud"}))) == []
    assert worse(*asked, Vitals(frozenset({"cloud"}), frozenset({"cloud"}))) == [], "a source may be taken away"
