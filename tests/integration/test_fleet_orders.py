"""What may be asked of a gateway of the fleet, on a real disk and through the gate: accepted, or why not."""

import datetime
import json
from types import SimpleNamespace

import anyio
import pytest
from fleet_rig import CSV, FILES, NOW, YAML, bundle, hand_in, place

from agent.config import versions
from agent.config.load import load
from agent.control.deploy import manifest as manifests
from agent.control.deploy import orders, report, starting
from agent.control.deploy import state as states
from agent.control.deploy.fleet import Fleet
from agent.control.deploy.health import Vitals
from agent.control.deploy.manifest import CHUNK_BYTES
from agent.control.deploy.orders import Refused
from agent.control.deploy.state import Deployment
from agent.control.gate import Gate
from agent.core.nouns import Request
from agent.runtime.pki import making

MODEL = bytes(range(256)) * 600  # three pieces


@pytest.fixture(autouse=True)
def _the_same_time(monkeypatch):
    monkeypatch.setattr(making, "wall", lambda: NOW)


def offered(made, now, what, **options):
    return orders.offer(made, now, hand_in(made, what, **options))


def confirmed(made, now, what):
    """Accepted, staged, started and confirmed."""
    staged = offered(made, now, what).now
    assert staged.candidate, staged
    return states.confirmed(states.begun(states.applying(staged, frozenset(), frozenset()), "boot"))


def test_a_bundle_is_staged_and_comes_again_without_harm(tmp_path):
    made = place(tmp_path)
    first = offered(made, Deployment(), bundle(1))
    assert first.text == "version 1 accepted and staged"
    assert made.shelf.configuration(first.now.candidate).read_text() == YAML
    assert list(made.shelf.incoming.glob("*.bundle")) == []
    again = offered(made, first.now, bundle(1))
    assert (again.now, again.text) == (first.now, "version 1 is known already: staged")


def test_what_is_refused_changes_nothing(tmp_path):
    made = place(tmp_path)
    now = confirmed(made, Deployment(), bundle(5))
    for what, why in (
        (bundle(4), "older than 5"),
        (bundle(5, {**FILES, "tags.csv": "x"}), "something else before"),
        (bundle(6, gateway="hall-3"), "for gateway hall-3"),
        (bundle(6, expires="2026-11-24T21:00:00Z"), "expired"),
    ):
        with pytest.raises(Refused, match=why) as refused:
            offered(made, now, what)
        assert refused.value.digest == what.digest
    for name in ("../state.json", "no.bundle", ".hidden"):
        with pytest.raises(Refused):
            orders.offer(made, now, name)


def test_a_file_that_is_not_what_the_manifest_says_is_refused(tmp_path):
    made, what = place(tmp_path), bundle(1)
    files = {sha: b"x" * len(content) for sha, content in what.files.items()}
    outcome = offered(made, Deployment(), manifests.Bundle(what.text, what.signature, files))
    assert (outcome.ok, outcome.now.state) == (False, "refused")
    assert "what came is not what the manifest says" in outcome.now.reason


def test_configuration_and_models_come_one_after_the_other(tmp_path):
    made = place(tmp_path)
    now = confirmed(made, Deployment(), bundle(1, {**FILES, "m.onnx": MODEL}))
    both = offered(
        made, now, bundle(2, {"edgetwin.yaml": YAML, "tags.csv": CSV + "a,c,input:1,uint16\n", "m.onnx": "x"})
    )
    assert both.now.reason == (
        "it changes configuration (tags.csv) and models (m.onnx) in one step; send one of them first"
    )
    assert offered(made, both.now, bundle(3, {**FILES, "m.onnx": "x"})).now.state == "staged"


def test_files_that_are_missing_come_in_pieces_and_others_are_known_already(tmp_path):
    made = place(tmp_path)
    now = confirmed(made, Deployment(), bundle(1))
    what = bundle(2, {**FILES, "m.onnx": MODEL})
    waiting = offered(made, now, what, with_files=False)
    assert (waiting.now.reason, waiting.now.candidate) == ("waiting for 1 of 3 files", "")
    (file,) = waiting.missing
    with pytest.raises(ValueError, match=r"chunk 3 of m\.onnx has 1 bytes, expected 0"):
        made.shelf.put_chunk(file, 3, b"x")
    for number in (2, 0, 1):
        piece = MODEL[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]
        made.shelf.put_chunk(file, number, b"x" * len(piece))
    with pytest.raises(ValueError, match="what came is not"):
        made.shelf.put_together(file)
    for number in (2, 0, 1):
        made.shelf.put_chunk(file, number, MODEL[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES])
    made.shelf.put_together(file)
    said = report.report("hall-2", waiting.now, None, (), {}, ())
    assert said["waiting"], "pieces stay at the broker, also after a start that knows of none that is missing"
    staged = offered(made, waiting.now, what, with_files=False).now
    assert not staged.waiting
    assert (made.shelf.versions / staged.candidate / "m.onnx").read_bytes() == MODEL
    made.shelf.tidy(staged.folders)
    assert list((made.shelf.incoming / "files").iterdir()) == []


def test_a_local_change_needs_a_reason_and_an_end_and_is_reported(tmp_path):
    made = place(tmp_path)
    now = confirmed(made, Deployment(), bundle(1))
    until = "2026-11-25T18:00:00Z"
    for args, why in (
        ({"until": until}, "needs a reason"),
        ({"reason": " ", "until": until}, "needs a reason"),
        ({"reason": "r"}, "needs an end"),
        ({"reason": "r", "until": "2026-11-24T23:59:59Z"}, "after 2026-11-25T00:00:00Z"),
        ({"reason": "r", "until": "2027-11-24T23:59:59Z"}, "within 30 days"),
    ):
        with pytest.raises(Refused, match=why):
            orders.override(made, now, "alice", args)
    over = orders.override(made, now, "alice", {"reason": "PLC replaced", "until": until}).now
    with pytest.raises(Refused, match="alice overrides it already"):
        orders.override(made, over, "bob", {"reason": "r", "until": until})
    (drift,) = report.drift(made, over)
    assert (drift["by"], drift["reason"], drift["until"]) == ("alice", "PLC replaced", until)
    assert not orders.expired(over)
    assert orders.expired(orders.release(over, "alice").now)
    adopted = offered(made, over, bundle(2, adopts=True)).now
    assert adopted.override is None
    assert report.drift(made, adopted) == []


def test_edited_files_are_drift_and_never_run(tmp_path):
    made = place(tmp_path)
    now = confirmed(made, confirmed(made, starting.begun(made.shelf, made.local, "boot").now, bundle(1)), bundle(2))
    made.shelf.keep(now)
    assert report.drift(made, now) == []
    made.local.write_text(YAML + "# edited\n")
    tags = made.shelf.versions / now.running / "tags.csv"
    tags.write_text(CSV.replace("input:0", "input:9"))
    files = [each["file"] for each in report.drift(made, now)]
    assert files == [f"{now.running}/tags.csv", str(made.local)]
    start = starting.begun(made.shelf, made.local, "boot")
    assert states.version_of(start.now.in_force) == 1
    assert "tags.csv" in start.now.reason


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("id: hall-2", "id: hall-3", "is of gateway hall-3, expected hall-2"),
        ("managed: fleet", "managed: local", "managed is local, expected fleet"),
        ("managed: fleet", "managed: fleet, models: {signature: warn}", "loads signed models only"),
        ("classes:", "journal: {path: j.db}\nclasses:", "j.db would lie in the folder of this version"),
        ("classes:", "feed: {socket: f.sock}\nclasses:", "f.sock would lie in the folder of this version"),
        ("classes:", "journal: {path: /data/j.db}\nclasses:", ""),
    ],
)
def test_a_version_keeps_the_gateway_s_name_memory_and_guard(tmp_path, old, new, why):
    (tmp_path / "tags.csv").write_text(CSV)
    (tmp_path / "edgetwin.yaml").write_text(YAML.replace("PORT", "1883").replace(old, new))
    found = versions.problems(load(tmp_path / "edgetwin.yaml", tmp_path / "state"), "hall-2")
    assert [why in str(each) for each in found] == ([True] if why else [])


def test_a_state_that_cannot_be_read_is_set_aside(tmp_path):
    made = place(tmp_path)
    (made.shelf.folder / "state.json").write_bytes(b"\0" * 100)
    start = starting.begun(made.shelf, made.local, "boot")
    assert (start.file, start.now.in_force) == (made.local, "")
    assert (made.shelf.folder / "state.json.corrupt").exists()


def gate_of(fleet, told):
    inbox = SimpleNamespace(command=lambda command: told.append(command.do))
    return Gate({"rig": inbox}, {}, lambda event: told.append(event.text), fleet)


@pytest.mark.anyio
async def test_the_gate_refuses_a_promotion_without_an_override_and_undoes_it_at_its_end(tmp_path, monkeypatch):
    made, told = place(tmp_path), []
    fleet = Fleet(made, confirmed(made, Deployment(), bundle(1)), 3.0)
    gate = gate_of(fleet, told)
    promote = Request("1", "promote", "rig/anomaly", "alice", {"reason": "tried"})
    assert "managed by the fleet" in (await gate.ask(promote)).text
    args = {"reason": "tried on Tuesday", "until": "2026-11-25T18:00:00Z"}
    assert "only somebody here" in (await gate.ask(Request("2", "override", "", "cloud:hall-2", args))).text
    assert (await gate.ask(Request("3", "override", "", "alice", args))).ok
    assert (await gate.ask(promote)).ok
    assert fleet.now.override.promoted == ("promote rig/anomaly",)
    monkeypatch.setattr(making, "wall", lambda: NOW + datetime.timedelta(days=1))
    async with anyio.create_task_group() as group:
        group.start_soon(fleet.run, lambda: Vitals(frozenset(), frozenset()), gate.ask, told.append)
        with anyio.fail_after(5):
            while fleet.now.override is not None:
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert [do for do in told if do in ("promote", "rollback")] == ["promote", "rollback"]
    assert not fleet.again
    assert json.loads((made.shelf.folder / "reported.json").read_text())["gateway"] == "hall-2"


@pytest.mark.anyio
async def test_a_gateway_that_manages_itself_takes_no_version():
    told = []
    answer = await gate_of(None, told).ask(Request("1", "apply", "x.bundle", "cloud:hall-2"))
    assert (answer.ok, "managed: local" in answer.text) == (False, True)
    assert "refused" in told[0]


WELL = Vitals(frozenset({"cloud", "asset rig"}), frozenset({"cloud", "asset rig"}))
ILL = Vitals(frozenset({"cloud", "asset rig"}), frozenset({"asset rig"}))


async def until_again(fleet, vitals=WELL, told=None):
    """The daemon's part: run until it is to start again; what a start finds then."""
    with anyio.fail_after(10):
        await fleet.run(lambda: vitals, gate_of(fleet, []).ask, (told if told is not None else []).append)
    assert fleet.again
    return fleet.now


def started(made, confirm_s=3.0):
    """A start of the daemon, as far as versions go."""
    return Fleet(made, starting.begun(made.shelf, made.local, "boot").now, confirm_s)


@pytest.mark.anyio
async def test_it_waits_for_its_time_is_checked_tried_and_taken_back_with_the_cloud(tmp_path, monkeypatch):
    made, told, now = place(tmp_path), [], [NOW]
    monkeypatch.setattr(making, "wall", lambda: now[0])
    fleet = started(made)
    name = hand_in(made, bundle(1, not_before="2026-11-25T02:00:00Z"))
    assert (await fleet.obey(Request("1", "apply", name, "cloud:hall-2"))).ok

    async def passing():
        async for tree in fleet.reported.latest():
            if tree["reason"] == "waits until 2026-11-25T02:00:00Z":
                now[0] = NOW + datetime.timedelta(hours=3)
                return

    async def right(folder):
        return ""

    monkeypatch.setattr(fleet, "_checked", right)
    async with anyio.create_task_group() as group:
        group.start_soon(passing)
        tried = await until_again(fleet, told=told)
    assert (tried.state, states.version_of(tried.trial), tried.well) == ("applying", 1, ("asset rig", "cloud"))
    assert any("is tried, instead of the local file" in event.text for event in told)
    back = await until_again(started(made, 0.2), ILL)
    assert (back.state, back.in_force) == ("rolled_back", "")
    assert back.reason.endswith("not well within 0.2 s: cloud")


@pytest.mark.anyio
async def test_what_the_check_refuses_is_not_tried_and_does_not_stay_on_the_disk(tmp_path, monkeypatch):
    made = place(tmp_path)
    fleet = started(made)

    async def wrong(folder):
        return "edgetwin.yaml:1:1: wrong"

    monkeypatch.setattr(fleet, "_checked", wrong)
    assert (await fleet.obey(Request("1", "apply", hand_in(made, bundle(1)), "cloud:hall-2"))).ok
    async with anyio.create_task_group() as group:
        group.start_soon(fleet.run, lambda: WELL, gate_of(fleet, []).ask, lambda event: None)
        with anyio.fail_after(5):
            async for tree in fleet.reported.latest():
                if tree["state"] == "refused":
                    break
            while list(made.shelf.versions.iterdir()):
                await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert (tree["reason"], tree["desired"], tree["running"]) == ("edgetwin.yaml:1:1: wrong", 1, None)
    assert not fleet.again


@pytest.mark.anyio
async def test_while_one_is_checked_whoever_asks_is_answered_and_a_newer_one_takes_its_place(tmp_path, monkeypatch):
    made, checked, may_end = place(tmp_path), [], anyio.Event()
    fleet = started(made)

    async def slow(folder):
        checked.append(states.version_of(folder))
        if len(checked) == 1:
            await may_end.wait()
        return ""

    monkeypatch.setattr(fleet, "_checked", slow)
    assert (await fleet.obey(Request("1", "apply", hand_in(made, bundle(1)), "cloud:hall-2"))).ok
    async with anyio.create_task_group() as group:
        group.start_soon(until_again, fleet)
        with anyio.fail_after(5):
            while not checked:
                await anyio.sleep(0.01)
            assert (await fleet.obey(Request("2", "apply", hand_in(made, bundle(2)), "cloud:hall-2"))).ok
        may_end.set()
    assert checked == [1, 2]
    assert states.version_of(fleet.now.trial) == 2


@pytest.mark.anyio
async def test_a_refusal_is_reported_until_something_else_happens(tmp_path):
    made = place(tmp_path)
    made.shelf.keep(states.applying(offered(made, Deployment(), bundle(1)).now, frozenset(), frozenset()))
    fleet = started(made, 0.2)
    assert not (await fleet.obey(Request("1", "apply", hand_in(made, bundle(2, gateway="g")), "cloud:hall-2"))).ok
    assert (fleet.reported.newest["state"], fleet.reported.newest["running"]) == ("refused", 1)
    async with anyio.create_task_group() as group:
        group.start_soon(fleet.run, lambda: WELL, gate_of(fleet, []).ask, lambda event: None)
        with anyio.fail_after(5):
            async for tree in fleet.reported.latest():
                if tree["state"] == "confirmed":
                    break
        group.cancel_scope.cancel()
    assert tree["manifest"] == bundle(1).digest[:16]


@pytest.mark.anyio
async def test_a_disk_that_is_full_is_an_answer_and_changes_nothing(tmp_path, monkeypatch):
    made = place(tmp_path)
    fleet = started(made)

    def full(path, content, mode):
        raise OSError(28, "No space left on device")

    name = hand_in(made, bundle(1))
    monkeypatch.setattr(making, "put", full)
    answer = await fleet.obey(Request("1", "apply", name, "cloud:hall-2"))
    assert (answer.ok, "No space left" in answer.text) == (False, True)
    assert fleet.now.desired == 0
