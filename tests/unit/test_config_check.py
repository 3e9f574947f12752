"""Every mistake is told, all at once, at its line and column, with what was expected."""

import json
from pathlib import Path

import pytest
from config_files import CSV, TWIN, YAML, real_kinds_in_name, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.config import fields, schema
from agent.config.check import check
from agent.config.load import load
from agent.config.problems import ConfigErrors


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    real_kinds_in_name(monkeypatch)


def problems(path, **options):
    """(line, col, text) by the name of the file."""
    return [(p.file.rpartition("/")[2], p.line, p.col, p.text) for p in check(path, **options)]


def place(text, part):
    """Line and column of the first place where a part stands in a text."""
    at = text.index(part)
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def changed(old, new, text=YAML):
    assert text.count(old) == 1, old
    return text.replace(old, new)


def one(path, part):
    """The only problem; it must hold the part."""
    found = problems(path)
    assert len(found) == 1, found
    assert part in found[0][3], found
    return found[0]


def test_the_example_has_no_problem(tmp_path):
    assert check(write(tmp_path)) == []


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path):
    yaml = changed("hysteresis: 0.01", "hysteresys: 0.01")
    yaml = changed("high: 0.4", "high: much", yaml)
    yaml = changed("priority: high", "priority: hi", yaml)
    yaml = changed("{type: mqtt, port: 1883}", "{type: mqtt, port: 1883, prot: 3}", yaml)
    yaml = changed("host: 127.0.0.1}\nsinks", "hots: 127.0.0.1}\nsinks", yaml)
    yaml = changed("class: rig@1", "class: rig@2", yaml)
    csv = changed("m3/h", "m3/hour", CSV)
    csv = changed("input:40,uint16", "input:40,unit16", csv)
    found = problems(write(tmp_path, yaml, csv))
    assert [(file, line, col) for file, line, col, _ in found] == [
        ("rig.csv", *place(csv, "m3/hour")),
        ("rig.csv", *place(csv, "unit16")),
        ("rig.yaml", *place(yaml, "much")),
        ("rig.yaml", *place(yaml, "hysteresys")),
        ("rig.yaml", *place(yaml, "hi\n")),
        ("rig.yaml", *place(yaml, "rig@2")),
        ("rig.yaml", *place(yaml, "hots")),
        ("rig.yaml", *place(yaml, "prot:")),
    ]
    texts = "\n".join(text for *_, text in found)
    for said in (
        "did you mean m3/h?",
        "did you mean hysteresis?",
        "did you mean host?",
        "did you mean port?",
        "did you mean rig@1?",
        "high is 'much', expected a number",
    ):
        assert said in texts


def test_the_form_is_file_line_col(tmp_path):
    path = write(tmp_path, changed("id: g1", "id: g 1"))
    assert str(check(path)[0]) == f"{path}:1:15: id is 'g 1', expected letters, digits, _ and - only"


@pytest.mark.parametrize(
    ("text", "line", "col", "part"),
    [
        ("gateway: {id: g1}\ngateway: {id: g2}\n", 2, 1, "key gateway stands here twice (first in line 1)"),
        ("gateway:\n\tid: g1\n", 2, 1, "a tab, expected spaces"),
        ("gateway: {id: [}\n", 1, 16, "expected YAML 1.2"),
        ("gateway: {id: \x01}\n", 1, 15, "not allowed"),
        ("- 1\n", 1, 1, "expected a mapping with gateway"),
    ],
)
def test_yaml_that_is_none_is_told_with_its_place(tmp_path, text, line, col, part):
    found = problems(write(tmp_path, text))
    assert any(f[1:3] == (line, col) and part in f[3] for f in found), found


def test_a_file_that_is_not_there_is_a_plain_line(tmp_path):
    path = tmp_path / "none.yaml"
    assert [str(p) for p in check(path)] == [f"{path}: no such file"]


def test_a_tag_list_that_is_not_there_is_told_where_it_is_named(tmp_path):
    yaml = changed("rig.csv", "rag.csv")
    assert one(write(tmp_path, yaml), "no file")[1:3] == place(yaml, "rag.csv")


def test_bytes_that_are_not_utf8_are_told(tmp_path):
    path = write(tmp_path)
    (tmp_path / "rig.csv").write_bytes(CSV.replace("pump,flow", "pümp,flow").encode("latin-1"))
    file, line, col, text = problems(path)[0]
    assert (file, line, col) == ("rig.csv", 3, 2)
    assert "UTF-8" in text


@pytest.mark.parametrize("key", ["priority", "consequence", "response", "respond_within_s"])
def test_an_alarm_needs_all_that_an_operator_needs(tmp_path, key):
    yaml = "\n".join(line for line in YAML.split("\n") if not line.strip().startswith(key + ":"))
    _, line, col, _ = one(write(tmp_path, yaml), f"alarm lower/level.high has no {key}")
    assert (line, col) == place(yaml, "tag: lower/level")


def test_an_alert_needs_none_of_it(tmp_path):
    yaml = changed("category: alarm", "category: alert")
    yaml = "\n".join(line for line in yaml.split("\n") if "consequence" not in line and "response" not in line)
    assert check(write(tmp_path, yaml)) == []


@pytest.mark.parametrize(
    ("old", "new", "at", "part"),
    [
        ("low: 0.1", "low: 0.1, high: 1", "{tag: pump/flow", "expected high or low, one of them"),
        (", low: 0.1", "", "{tag: pump/flow", "expected high or low, one of them"),
        ("{tag: pump/flow", "{tag: pump/flwo", "pump/flwo", "did you mean pump/flow?"),
        ("tag: drive/state", "tag: drive/stat", "drive/stat,", "did you mean drive/state?"),
        ("2: running", "2: runing", "runing", "did you mean running?"),
        ("process/product}", "process/produce}", "process/produce", "did you mean process/product?"),
        ("{tag: pump/flow", "{tag: process/product", "process/product, low", "is text"),
        ("drive: plc2", "drive: plc3", "plc3", "did you mean plc2"),
        ("drive: plc2", "drives: plc2", "drives:", "did you mean drive?"),
        ("type: opcua", "type: opc", "opc, ", "did you mean opcua?"),
        ("{id: plc2", "{id: plc1", "plc1, type: opcua", "source or sink plc1 stands here twice"),
        ("{id: plc2", "{id: self", "self, ", "the gateway's own"),
        ("type: mqtt, port", "type: mqtt, id: plc1, port", "plc1, port", "stands here twice"),
        ("{id: plc2", "{id: feed", "feed, ", "the gateway's own"),
        ("port: 1883", "port: none", "none", "expected a whole number"),
        ("modes: {tag: drive/state, words: {0: off, 2: running}}", "modes: {}", "modes: {}", "modes has none"),
        ("modes: {tag", "modes: {always: running, tag", "modes: {", "tag and always"),
        (", words: {0: off, 2: running}", "", "{tag: drive/state", "tag and words together"),
        ("high: 0.4", "high: .nan", ".nan", "expected a finite number"),
        ("high: 0.4", "high: true", "true", "expected a number"),
        ("hysteresis: 0.01", "hysteresis: -1", "-1", "expected at least 0"),
        ("{id: a, ", "{id: gateway, ", "gateway, name", "gateway's own"),
        (
            "sources:\n",
            "  - {id: a, class: rig@1, sources: {plc: plc1, drive: plc2}}\nsources:\n",
            "a, class",
            "asset a stands here twice",
        ),
        ("state_dir: state", "state_dir: " + "s" * 120, "sss", "expected at most 107"),
    ],
)
def test_one_mistake_gives_one_problem_at_its_place(tmp_path, old, new, at, part):
    yaml = changed(old, new)
    found = [f for f in problems(write(tmp_path, yaml)) if part in f[3]]
    assert found, problems(write(tmp_path, yaml))
    assert found[0][1:3] == place(yaml, at)


@pytest.mark.parametrize("section", ["gateway", "classes", "assets", "sources"])
def test_a_missing_section_is_told(tmp_path, section):
    kept, inside = [], False
    for line in YAML.split("\n"):
        inside = line.startswith(section) or (inside and line.startswith(" "))
        if not inside:
            kept.append(line)
    assert any(f"{section} is missing" in f[3] for f in problems(write(tmp_path, "\n".join(kept))))


def test_a_missing_id_hides_no_problem_elsewhere(tmp_path):
    yaml = changed("gateway: {id: g1}", "gateway: {}")
    found = problems(write(tmp_path, yaml, changed("m3/h", "m3/hour", CSV)))
    assert [f[0] for f in found] == ["rig.csv", "rig.yaml"]


@pytest.mark.parametrize(
    ("old", "new", "at", "part"),
    [
        ("unit,enum", "unit,enums", "enums", "did you mean enum?"),
        ("group,tag,source,address", "group,tag,source,adress", "group", "no column address"),
        ("0,3,m3/h", "3,0,m3/h", "3,0,m3/h", "not below eu_hi"),
        ("0,3,m3/h", "0,three,m3/h", "three", "expected a number"),
        ("pump,flow,plc", "pump,flow,plk", "plk", "did you mean plc?"),
        ("pump,flow,plc", "pump,fl ow,plc", "fl ow", "letters, digits"),
        ("pump,flow,plc,input:2", "pump,flow,plc,", "pump,flow", "no address"),
        ("pump,flow,plc,input:2", "lower,level,plc,input:2", "lower,level,plc,input:2", "twice (first in line 2)"),
        ("pump,flow,plc,input:2", 'pump,flow,plc,"input:2', "unused", "a quote that is not closed"),
        ("pump,flow,plc,input:2", "pump,flow,plc,input!2", "input!2", "address 'input!2' is wrong"),
        ("m3/h,", "m3/h,,,", "unused", "cells, expected 10"),
        ("0=off;2=running", "0=off;running", "0=off;running", "0=off;1=starting"),
        ("drive,state,plc", "state,mode,plc", "state,mode", "asset's own mode"),
        ("float32,,0,3", "float32,0,0,3", "0,0,3", "scale is 0"),
    ],
)
def test_mistakes_in_the_tag_list_have_the_place_of_their_cell(tmp_path, old, new, at, part):
    csv = changed(old, new, CSV)
    found = [f for f in problems(write(tmp_path, csv=csv)) if part in f[3]]
    assert found, problems(write(tmp_path, csv=csv))
    assert found[0][0] == "rig.csv"
    if at != "unused":
        assert found[0][1:3] == place(csv, at)


def test_an_unknown_column_is_told_once_and_not_for_each_row(tmp_path):
    assert one(write(tmp_path, csv=changed("unit,enum", "unit,enums", CSV)), "enums")[1] == 1


def test_semicolons_quotes_and_decimal_commas_are_read(tmp_path):
    lines = [
        "group;tag;source;address;type;scale;eu_lo;eu_hi;unit;enum;description",
        'lower;level;plc;input:0;float32;;0;0,6;m;;"Level; lower ""tank"""',
        "pump;flow;plc;input:2;float32;1,5;0;3;m³/h;;",
        'drive;state;plc;input:40;uint16;;;;;"0=off;2=running";',
        "process;product;drive;s=x;string;;;;;;",
        ";;;;;;;;;;",
    ]
    path = write(tmp_path, csv="\ufeff" + "\r\n".join(lines))
    loaded = load(path)
    level, flow, state, _ = loaded.assets[0].rows
    assert (level.eu_hi, level.description) == (0.6, 'Level; lower "tank"')
    assert (flow.scale, flow.unit) == (1.5, "m3/h")
    assert state.enum == {0: "off", 2: "running"}


MODEL = "    models: [{name: twin, type: twin, file: twin.twin}]\nassets:"


@pytest.mark.parametrize(
    ("content", "file", "part"),
    [
        (b"tags lower/level\nunits m", None, ""),
        (b"tags lower/level\nunits MTR", None, ""),
        (b"tags lower/level", None, ""),
        (b"tags lower/level\nunits mm", "twin.twin", "reads tag lower/level in mm, but the tag is in m"),
        (b"tags lower/level\nunits parsec", "twin.twin", "'parsec' is not known"),
        (b"tags lower/levle", "twin.twin", "did you mean lower/level?"),
        (b"tags process/product", "twin.twin", "which is text"),
        (b"tags lower/level\nmodes runing", "twin.twin", "did you mean running?"),
        (b"\x00\xff", "twin.twin", "no tags in it"),
    ],
)
def test_a_model_file_is_held_against_the_tags(tmp_path, content, file, part):
    found = problems(write(tmp_path, changed("assets:", MODEL), twin=content))
    assert [f[0] for f in found] == ([file] if file else [])
    assert not file or part in found[0][3]


def test_a_model_that_is_not_there_hides_limits_on_its_points_only(tmp_path):
    yaml = changed("assets:", MODEL)
    yaml = changed("tag: pump/flow", "tag: pump/flow.expected", yaml)
    path = write(tmp_path, yaml)
    assert "no file" in one(path, "twin.twin")[3]
    (tmp_path / "twin.twin").write_text("tags pump/flow")
    assert check(path) == []
    (tmp_path / "twin.twin").write_text("tags lower/level")
    assert "no tag pump/flow.expected" in one(path, "")[3]


def test_two_models_may_not_give_the_same_point(tmp_path):
    two = MODEL.replace("}]", "}, {name: other, type: twin, file: other.twin}]")
    path = write(tmp_path, changed("assets:", two), twin=b"tags lower/level", other=b"tags lower/level")
    assert {f[0] for f in problems(path)} == {"other.twin"}


def test_settings_replace_single_values(tmp_path):
    loaded = load(
        write(tmp_path),
        state_dir=tmp_path / "x",
        settings={
            "sources.plc1.port": "5021",
            "sinks.mqtt.port": "99",
            "assets.a.period_s": "0.5",
            "journal.cap_mb": "7",
            "classes.rig@1.summary_s": "5",
        },
    )
    assert [s.config.port for s in loaded.sources] == [5021, 502]
    assert loaded.sinks[0].config.port == 99
    assert loaded.assets[0].asset.period_s == 0.5
    assert loaded.journal.cap_mb == 7
    assert loaded.assets[0].kind.summary_s == 5
    assert loaded.places.state_dir == tmp_path / "x"


def test_of_two_sinks_of_a_type_the_one_without_an_id_is_called_as_the_type(tmp_path):
    yaml = changed("sinks:\n", "sinks:\n  - {type: mqtt, id: other, port: 1}\n")
    loaded = load(write(tmp_path, yaml), settings={"sinks.mqtt.port": "99", "sinks.other.port": "98"})
    assert {s.id: s.config.port for s in loaded.sinks if s.type == "mqtt"} == {"mqtt": 99, "other": 98}


@pytest.mark.parametrize(
    ("path", "text", "part"),
    [
        ("sources.plc9.port", "1", "there is no plc9"),
        ("sources.plc1.prot", "1", "did you mean port?"),
        ("sources.plc1.port", "many", "expected a whole number"),
        ("sources.plc1", "1", "holds more than one value"),
        ("sources.plc1.port.x", "1", "is not a mapping or list"),
        ("gateway.id.x", "1", "is not a mapping or list"),
        ("", "1", "an empty name"),
        ("satte_dir", "x", "did you mean state_dir?"),
    ],
)
def test_a_wrong_setting_names_itself(tmp_path, path, text, part):
    yaml = changed("{id: plc1, type: modbus, ", "{id: plc1, type: modbus, port: 1, ")
    found = check(write(tmp_path, yaml), settings={path: text})
    assert len(found) == 1
    assert str(found[0]).startswith(f"--set {path}={text}: ")
    assert part in found[0].text


def test_config_errors_carry_all_problems_once(tmp_path):
    two = changed(
        "class: rig@1, sources: {plc: plc1, drive: plc2}}",
        "class: rig@1, sources: {plc: plc1, drive: plc2}}"
        "\n  - {id: b, class: rig@1, sources: {plc: plc1, drive: plc2}}",
    )
    with pytest.raises(ConfigErrors) as caught:
        load(write(tmp_path, changed("high: 0.4", "high: x", two)))
    assert len(caught.value.problems) == 1


words = st.sampled_from(
    [
        "gateway",
        "classes",
        "rig@1",
        "tags",
        "rig.csv",
        "limits",
        "assets",
        "sources",
        "sinks",
        "id",
        "type",
        "modbus",
        "mqtt",
        "modes",
        "words",
        "overrides",
        "models",
        "a",
        "-",
        ":",
        "{",
        "}",
        "[",
        "]",
        "&x",
        "*x",
        "!!int",
        "|",
        ">",
        "\n",
        "\n  ",
        "\t",
        "'",
        '"',
        "#",
        "%YAML 1.1",
        "---",
        "...",
        "?",
        "<<",
        ",",
        "0x",
        "1e9",
        "~",
        "null",
        "high",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    junk=st.one_of(
        st.text(max_size=80), st.lists(words, max_size=30).map(" ".join), st.lists(words, max_size=30).map("".join)
    )
)
def test_junk_is_told_and_never_a_traceback(tmp_path, junk):
    path = write(tmp_path, "")
    path.write_bytes(junk.encode("utf-8", "surrogatepass"))
    assert check(path)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=5,
)
edits = st.lists(
    st.tuples(st.integers(0, len(TWIN.splitlines()) - 1), st.sampled_from(["value", "key", "drop", "copy"]), values),
    min_size=1,
    max_size=3,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=edits)
def test_a_file_edited_at_random_is_no_traceback(tmp_path, edits):
    lines = TWIN.splitlines()
    for number, what, value in edits:
        key, colon, rest = lines[number].partition(":")
        word = json.dumps(value)
        pad = key[: len(key) - len(key.lstrip(" -"))]
        new = {
            "value": f"{key}: {word}",
            "key": f"{pad}{word}:{rest}",
            "drop": "",
            "copy": f"{key}:{rest}\n{key}:{rest}",
        }
        lines[number] = new[what] if colon else ""
    for problem in check(write(tmp_path, "\n".join(lines), twin=b"tags lower/level")):
        assert problem.text
        assert problem.file


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.one_of(st.text(max_size=60), st.text(alphabet='abc,;"\n=01 ', max_size=60)), header=st.booleans())
def test_a_junk_tag_list_is_no_traceback(tmp_path, junk, header):
    path = write(tmp_path)
    (tmp_path / "rig.csv").write_bytes((("group,tag,address\n" if header else "") + junk).encode("utf-8", "replace"))
    assert check(path)


def test_every_key_is_explained():
    parts = [kind for kind in vars(schema).values() if isinstance(kind, type) and issubclass(kind, fields.Part)]
    assert len(parts) > 10
    for kind in parts:
        for name, field in kind.model_fields.items():
            assert field.description, f"{kind.__name__}.{name}"


def _model(line):
    return CONFIGS / line.partition("file: ")[2].rstrip(" }")


CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize("name", ["minimal", "two-tank"])
def test_the_configurations_we_ship_have_no_problem(tmp_path, monkeypatch, name):
    monkeypatch.undo()  # with the real drivers, sinks and models
    for file in CONFIGS.glob("*.csv"):
        (tmp_path / file.name).write_text(file.read_text())
    lines = (CONFIGS / f"{name}.yaml").read_text().split("\n")
    models = [line for line in lines if "file: models/" in line]
    gone = [line for line in models if not _model(line).exists()]
    gone += ["    models:"] if gone == models else []
    lines = [line for line in lines if line not in gone]
    (tmp_path / "models").symlink_to(CONFIGS / "models")
    (tmp_path / f"{name}.yaml").write_text("\n".join(lines))
    assert [str(p) for p in check(tmp_path / f"{name}.yaml")] == []


def test_a_source_may_not_have_the_name_of_another_sinks_type(tmp_path):
    yaml = changed("{id: plc2", "{id: mqtt").replace("drive: plc2", "drive: mqtt")
    yaml = changed("type: mqtt, port", "type: mqtt, id: cloud, port", yaml)
    assert one(write(tmp_path, yaml), "name of the sink type")[1:3] == place(yaml, "mqtt, type: opcua")


def test_a_word_in_the_options_of_a_tag_that_its_driver_does_not_know_is_told_with_its_hint(tmp_path, monkeypatch):
    from agent.config import kinds

    monkeypatch.setattr(kinds.driver("modbus"), "TAG_OPTIONS", {"atomic": "a name"}, raising=False)
    csv = CSV.replace("unit,enum\n", "unit,enum,options\n").replace("m,\n", "m,,atomc=x\n").replace("A,\n", "A,,\n")
    csv = (
        csv.replace("m3/h,\n", "m3/h,,atomic=x\n").replace("2=running\n", "2=running,\n").replace(",,,,,\n", ",,,,,,\n")
    )
    file, line, _, text = one(write(tmp_path, csv=csv), "unknown option")
    assert (file, line, text) == ("rig.csv", 2, "lower/level: unknown option atomc; did you mean atomic?")
    monkeypatch.setattr(kinds.driver("modbus"), "TAG_OPTIONS", {})
    assert [text for *_, text in problems(write(tmp_path, csv=csv))] == [
        "lower/level: unknown option atomc: a tag of modbus has none",
        "pump/flow: unknown option atomic: a tag of modbus has none",
    ]


@pytest.mark.parametrize(
    ("first", "second", "file", "part"),
    [
        (b"tags lower/level\nunits m", b"tags lower/level.expected pump/flow\nunits m m3/h", None, ""),
        (b"tags lower/level\nunits m", b"tags lower/level.expected\nunits mm", "other.twin", "in mm, but"),
        (b"tags lower/level", b"tags lower/level.expcted", "other.twin", "did you mean lower/level.expected?"),
        (
            b"tags pump/flow.expected",
            b"tags pump/flow",
            "twin.twin",
            "reads pump/flow.expected, which model other gives after it; expected other before it",
        ),
    ],
)
def test_a_model_may_read_what_a_model_before_it_gives(tmp_path, first, second, file, part):
    two = MODEL.replace("}]", "}, {name: other, type: twin, file: other.twin}]")
    found = problems(write(tmp_path, changed("assets:", two), twin=first, other=second))
    assert [f[0] for f in found] == ([file] if file else [])
    assert not file or part in found[0][3]
