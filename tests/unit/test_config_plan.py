"""The plan: order of points, routes, rules, the gateway's own asset, and keys that only change with their unit."""

import hashlib

import numpy as np
import pytest
from config_files import CONTENT, CSV, TWIN, TWO, real_kinds_in_name, write

from agent.config.load import load
from agent.config.plan import plan
from agent.config.resolved import resolved
from agent.core.nouns import Kind, Mode, Role


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    real_kinds_in_name(monkeypatch)


def planned(folder, yaml=TWIN, csv=CSV, epoch=1, **options):
    return plan(load(write(folder, yaml, csv, twin=CONTENT), **options), epoch)


def test_points_are_measured_then_mode_then_those_of_models(tmp_path):
    made = planned(tmp_path, epoch=4)
    rig = made.assets[0]
    assert [p.id for p in rig.points] == [
        "a/lower/level",
        "a/pump/flow",
        "a/motor/current",
        "a/drive/state",
        "a/process/product",
        "a/state/mode",
        "a/lower/level.expected",
        "a/lower/level.deviation",
        "a/motor/current.expected",
        "a/motor/current.deviation",
        "a/state/twin.baseline",
    ]
    assert rig.names == ("lower/level", "pump/flow", "motor/current", "drive/state", "process/product")
    kinds = [p.kind for p in rig.points[:6]]
    assert kinds == [Kind.NUMBER, Kind.NUMBER, Kind.NUMBER, Kind.ENUMERATION, Kind.TEXT, Kind.ENUMERATION]
    assert (rig.points[6].of, rig.points[6].role) == ("a/lower/level", Role.EXPECTED)
    assert (rig.points[6].unit, rig.points[6].eu_hi, rig.points[7].unit) == ("m", 0.6, "")
    (model,) = rig.models
    assert (model.first, model.every, model.settle_s, model.modes) == (6, 2, 7.0, {Mode.RUNNING})
    assert rig.points[model.first : model.first + len(model.points)] == model.points
    assert rig.epoch == made.catalogue.epoch == 4


def test_the_catalogue_has_the_assets_side_by_side_and_the_gateway_last(tmp_path):
    made = planned(tmp_path)
    assert [p.asset for p in made.catalogue.parts] == ["a", "b", "gateway"]
    for asset in made.assets:
        assert made.catalogue.of(asset.id) == asset.points
    part = made.catalogue.part("a")
    assert (part.title, part.asset_class, part.path, part.period_s) == ("Rig A", "rig@1", ("Site", "Hall"), 1.0)
    assert len({p.id for p in made.catalogue.points}) == len(made.catalogue.points)


def test_routes_lead_each_source_tag_to_its_row(tmp_path):
    made = planned(tmp_path)
    sources = {s.id: s for s in made.sources}
    assert [s.id for s in made.sources] == ["plc1", "plc2", "self"]
    assert [t.id for t in sources["plc1"].tags] == [
        "a/lower/level",
        "a/pump/flow",
        "a/drive/state",
        "b/lower/level",
        "b/pump/flow",
        "b/motor/current",
        "b/drive/state",
        "b/process/product",
    ]
    first, second = made.routes["plc1"]
    assert (first.asset, second.asset) == ("a", "b")
    assert first.to.dtype == np.int32
    assert first.to.tolist() == [0, 1, 3, -1, -1, -1, -1, -1]
    assert second.to.tolist() == [-1, -1, -1, 0, 1, 2, 3, 4]
    for source, routes in made.routes.items():
        for route in routes:
            asset = next(a for a in made.assets if a.id == route.asset)
            for tag, row in zip(sources[source].tags, route.to, strict=True):
                assert row < 0 or asset.tags[row] == tag


def test_overrides_hold_for_their_asset_alone(tmp_path):
    one, other, _ = planned(tmp_path).assets
    limit = [next(r for r in a.rules if r.id == "lower/level.high") for a in (one, other)]
    assert [(r.limit, r.message) for r in limit] == [(0.4, "lower/level is above 0.4"), (0.5, "Full")]
    flow = [a.tags[1] for a in (one, other)]
    assert [(t.address, t.scan_s, t.eu_hi) for t in flow] == [("input:2", 1.0, 3.0), ("input:102", 5.0, 4.0)]
    assert [a.tags[0].scan_s for a in (one, other)] == [1.0, 0.5]
    assert [a.stale_s[1] for a in (one, other)] == [3.0, 15.0]
    assert (one.summary_s, other.summary_s) == (60.0, 30.0)
    residual = [next(r for r in a.rules if r.kind == "residual") for a in (one, other)]
    assert [r.on_delay_s for r in residual] == [3.0, 9.0]


def test_a_wrong_override_is_told_at_its_place(tmp_path):
    from agent.config.check import check

    yaml = TWO.replace("high: 0.5, message", "hihg: 0.5, message").replace("eu_hi: 4", "eu_hi: four")
    yaml = yaml.replace("residuals: {on_delay_s: 9}", "models: {twin: {file: x}}")
    found = [(p.line, p.text) for p in check(write(tmp_path, yaml))]
    line = TWO[: TWO.index("overrides:")].count("\n") + 1
    assert [n for n, _ in found] == [line + 1, line + 2, line + 3]
    assert "did you mean high?" in found[0][1]
    assert "expected a number" in found[1][1]
    assert "has no models twin" in found[2][1]


def test_rules_come_from_limits_deviations_and_sources(tmp_path):
    made = planned(tmp_path)
    rig, own = made.assets[0], made.assets[-1]
    assert [(r.id, r.kind, r.side, r.category) for r in rig.rules] == [
        ("lower/level.high", "limit", "high", "alarm"),
        ("pump/flow.low", "limit", "low", "alert"),
        ("lower/level.residual", "residual", "both", "alert"),
        ("motor/current.residual", "residual", "both", "alert"),
    ]
    assert rig.rules[0].modes == {Mode.RUNNING}
    assert (rig.rules[2].point, rig.rules[2].of, rig.rules[2].limit) == ("lower/level.deviation", "lower/level", 1.0)
    assert [(r.id, r.point, r.limit, r.category, r.message) for r in own.rules] == [
        ("plc1.communication", "plc1/connected", 0.5, "event", "plc1 does not answer"),
        ("plc2.communication", "plc2/connected", 0.5, "event", "plc2 does not answer"),
        ("mqtt.taken_over", "mqtt/taken_over", 0.5, "event", "mqtt: another client seems to use our client id"
         "; each id may be used once"),
        ("journal.writing", "journal/writing", 0.5, "event", "The disk does not take the journal: what is measured and "
         "told waits in memory"),
        ("journal.damaged", "journal/damaged", 0.5, "event", "A damaged journal was set aside, a new one is begun: see "
         "edgetwin store gaps"),
    ]  # fmt: skip
    assert own.rules[0].modes == set(Mode)
    assert all(rule.point in own.names for rule in own.rules)


def test_the_gateway_is_an_asset_whose_addresses_are_meters(tmp_path):
    made = planned(tmp_path)
    own, source = made.assets[-1], made.sources[-1]
    assert (own.id, source.id, source.type, source.tags) == ("gateway", "self", "self", own.tags)
    assert all(tag.id == f"gateway/{tag.address}" for tag in own.tags)
    for name in ("plc1/connected", "plc2/jitter_s", "mqtt/restarts", "mqtt/pending", "process/rss_mib"):
        assert name in own.names
    assert not any(name.startswith("opcua/") for name in own.names)
    assert len(set(own.names)) == len(own.names)
    assert own.modes.otherwise is Mode.RUNNING


def test_the_catalogue_says_which_models_an_asset_runs(tmp_path):
    made = planned(tmp_path)
    rig, own = made.catalogue.parts[0], made.catalogue.parts[-1]
    assert rig.models == {"twin": hashlib.sha256(CONTENT).hexdigest()}
    assert own.models == {}


def test_modes_and_context_are_the_engines(tmp_path):
    rig = planned(tmp_path).assets[0]
    assert (rig.modes.tag, rig.modes.words) == ("drive/state", {0: Mode.OFF, 2: Mode.RUNNING})
    assert rig.modes.otherwise is Mode.UNKNOWN
    assert rig.context == {"product": "process/product"}


def test_rules_of_modes_and_a_constant_mode(tmp_path):
    words = "{tag: drive/state, words: {0: off, 2: running}}"
    rules = "{rules: [{mode: running, tag: pump/flow, at_least: 1, for_s: 3}], otherwise: off}"
    modes = planned(tmp_path, TWIN.replace(words, rules)).assets[0].modes
    assert modes.tag is None
    assert (modes.rules[0].at_least, modes.rules[0].at_most, modes.rules[0].for_s) == (1.0, float("inf"), 3.0)
    assert modes.otherwise is Mode.OFF
    assert planned(tmp_path, TWIN.replace(words, "{always: running}")).assets[0].modes.otherwise is Mode.RUNNING


def keys(made):
    units = {("source", s.id): s.key for s in made.sources} | {("sink", s.id): s.key for s in made.sinks}
    return units | {("asset", name): key for name, key in made.asset_keys.items()}


def changed_units(before, after):
    one, other = keys(before), keys(after)
    return {unit for unit in one.keys() | other.keys() if one.get(unit) != other.get(unit)}


@pytest.mark.parametrize(
    ("old", "new", "units"),
    [
        ("gateway:", "# a remark\ngateway:", set()),
        ("high: 0.4\n", "high: 0.41\n", {("asset", "a")}),  # b overrides it
        ("port: 1883", "port: 1884", {("sink", "mqtt")}),
        ("{id: plc2, type: opcua, host: 127.0.0.1}", "{id: plc2, type: opcua, host: 127.0.0.2}", {("source", "plc2")}),
        ("on_delay_s: 9", "on_delay_s: 8", {("asset", "b")}),
        ("name: Rig A", "name: Rig B", set()),
        ("every: 2", "every: 3", {("asset", "a"), ("asset", "b")}),
        ("scan: 5", "scan: 6", {("asset", "b"), ("source", "plc1")}),
        ("drive: plc2}", "drive: plc1}", {("source", "plc1"), ("source", "plc2")}),
    ],
)
def test_a_key_changes_with_its_unit_alone(tmp_path, old, new, units):
    assert TWIN.count(old) == 1, old
    assert changed_units(planned(tmp_path), planned(tmp_path, TWIN.replace(old, new))) == units


def test_keys_know_model_files_and_not_the_epoch(tmp_path):
    before = planned(tmp_path)
    assert changed_units(before, planned(tmp_path, epoch=9)) == set()
    loaded = load(write(tmp_path, TWIN, twin=CONTENT + b"\nmore"))
    assert changed_units(before, plan(loaded)) == {("asset", "a"), ("asset", "b")}


def test_a_new_source_changes_only_itself_and_the_gateway(tmp_path):
    more = TWIN.replace("sinks:", "  - {id: plc3, type: modbus, host: 127.0.0.1}\nsinks:")
    assert changed_units(planned(tmp_path), planned(tmp_path, more)) == {
        ("source", "plc3"),
        ("source", "self"),
        ("asset", "gateway"),
    }


def test_paths_are_beside_the_file_or_in_the_state_directory(tmp_path):
    made = planned(tmp_path)
    assert made.state_dir == tmp_path / "state"
    assert made.journal.path == tmp_path / "state" / "journal.db"
    assert made.feed_socket == tmp_path / "state" / "feed.sock"
    assert (made.sinks[0].id, made.sinks[0].config.socket) == ("feed", made.feed_socket)
    moved = planned(tmp_path, state_dir=tmp_path / "other", settings={"feed.socket": "f.sock"})
    assert moved.journal.path == tmp_path / "other" / "journal.db"
    assert moved.feed_socket == tmp_path / "f.sock"
    assert (made.journal.cap_bytes, made.journal.raw) == (512_000_000, True)


def test_one_source_needs_no_names(tmp_path):
    csv = "group,tag,address,unit\npump,flow,input:0,m3/h\n"
    yaml = (
        "gateway: {id: g}\nclasses:\n  p@1: {tags: rig.csv, modes: {always: running}}\n"
        "assets:\n  - {id: p, class: p@1}\nsources:\n  - {id: plc9, type: modbus}\n"
    )
    made = plan(load(write(tmp_path, yaml, csv)))
    assert [t.id for t in made.sources[0].tags] == ["p/pump/flow"]


def test_every_value_is_shown_with_its_origin(tmp_path):
    path = write(tmp_path, TWIN, twin=CONTENT)
    text = resolved(load(path, settings={"sources.plc1.port": "5021"}))

    def origin(part, after=""):
        rest = text[text.index(after) :] if after else text
        line = next(line for line in rest.split("\n") if line.strip().startswith(part))
        return line.rpartition("# ")[2]

    def line_of(part):
        return f"{path}:{TWIN[: TWIN.index(part)].count(chr(10)) + 1}"

    assert origin("id: g1") == line_of("id: g1")
    assert origin("cap_mb: 512") == "default"
    assert origin("high: 0.4 ") == line_of("high: 0.4")
    assert origin("high: 0.5 ", "- id: b") == line_of("high: 0.5")
    assert origin("hysteresis: 0.01", "- id: b") == line_of("hysteresis: 0.01")
    assert origin("on_delay_s: 9") == line_of("on_delay_s: 9")
    assert origin("port: 5021") == "--set sources.plc1.port=5021"
    assert origin("port: 502 ", "- id: plc2") == "default"
    assert origin("address: input:0") == f"{tmp_path / 'rig.csv'}:2"
    assert origin("address: input:102") == line_of("address: input:102")
    assert origin("deadband: 0") == "default"
    assert all("# " in line or line.endswith(":") for line in text.strip().split("\n")), text


def test_two_thousand_tags_load_in_seconds(tmp_path):
    import time

    rows = "".join(f"g{n},t,input:{2 * n},float32,CDAB,0,1,m\n" for n in range(2000))
    csv = "group,tag,address,type,order,eu_lo,eu_hi,unit\n" + rows
    yaml = (
        "gateway: {id: g}\nclasses:\n  p@1: {tags: rig.csv, modes: {always: running}}\n"
        "assets:\n  - {id: p, class: p@1}\nsources:\n  - {id: plc9, type: modbus}\n"
    )
    start = time.perf_counter()
    made = plan(load(write(tmp_path, yaml, csv)))
    took = time.perf_counter() - start
    assert len(made.sources[0].tags) == 2000
    print(f"{took:.2f} s")
    assert took < 30  # quadratic growth would take minutes


def test_what_a_driver_counts_are_tags_of_the_gateway(tmp_path, monkeypatch):
    from agent.config import kinds
    from agent.core.nouns import Meter

    breaker = Meter("breaker", "1", "Whether it is asked", {0: "closed", 1: "open"})
    driver = kinds.driver("modbus")
    monkeypatch.setattr(driver, "meters", lambda config, tags: [breaker, Meter("rtt_s", "s")], raising=False)
    own = planned(tmp_path).assets[-1]
    tag = next(t for t in own.tags if t.id == "gateway/plc1/breaker")
    assert (tag.address, tag.kind, tag.enum) == ("plc1/breaker", Kind.ENUMERATION, {0: "closed", 1: "open"})
    assert tag.description == "plc1: Whether it is asked"
    assert {"plc1/rtt_s", "plc2/rtt_s", "plc1/age_s"} <= set(own.names)


def test_a_silent_unit_is_one_event(tmp_path, monkeypatch):
    from agent.config import kinds
    from agent.core.nouns import Meter

    driver = kinds.driver("modbus")
    meters = [Meter("breaker"), Meter("unit_7_breaker"), Meter("unit_7_age_s", "s")]
    monkeypatch.setattr(driver, "meters", lambda config, tags: meters, raising=False)
    own = planned(tmp_path).assets[-1]
    (rule,) = [r for r in own.rules if r.id == "plc1.unit_7.communication"]
    assert (rule.point, rule.side, rule.category) == ("plc1/unit_7_breaker", "high", "event")
    assert rule.message == "plc1 unit 7 does not answer"
    assert sum(r.id.startswith("plc") for r in own.rules) == 4


def test_drivers_tell_their_meters_without_their_protocol_library():
    import subprocess
    import sys

    code = (
        "import sys; from agent.drivers import modbus, opcua; "
        "print([m.name for d, at in ((modbus, {'host': 'h'}), (opcua, {'endpoint': 'opc.tcp://h'})) "
        "for m in d.meters(d.Config(id='x', type=d.__name__.split('.')[-1], **at), ())], "
        "[n for n in ('pymodbus', 'asyncua') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "timeouts" in done.stdout
    assert "resubscribed" in done.stdout
    assert done.stdout.strip().endswith(" []")
