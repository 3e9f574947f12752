"""What `check` recommends about a configuration that can be used as it is."""

from agent.config.advice import advice
from agent.config.load import load

YAML = """\
gateway: {id: g}
classes:
  p@1: {tags: t.csv, modes: {always: running}}
assets:
  - {id: a, class: p@1, sources: {plc: p1}}
  - {id: b, class: p@1, sources: {plc: p2}}
sources:
  - {id: p1, type: modbus, host: 127.0.0.1}
  - {id: p2, type: modbus, host: 127.0.0.1, port: PORT}
"""


def told(folder, port):
    (folder / "t.csv").write_text("group,tag,address,type\ng,a,input:0,float32\n")
    (folder / "t.yaml").write_text(YAML.replace("PORT", str(port)))
    return [str(found) for found in advice(load(folder / "t.yaml"))]


def test_an_endpoint_is_best_read_by_one_source(tmp_path):
    (found,) = told(tmp_path, 502)
    assert found.startswith(f"{tmp_path / 't.yaml'}:9:10: advice: 127.0.0.1:502 is read by source p1 too, ")


def test_two_endpoints_are_two(tmp_path):
    assert told(tmp_path, 503) == []


def test_raw_history_around_alarms_needs_raw_history(tmp_path):
    (tmp_path / "t.csv").write_text("group,tag,address,type\ng,a,input:0,float32\n")
    sink = "sinks: [{type: mqtt, host: 127.0.0.1, raw_around_event: {before_s: 5}}]\n"
    (tmp_path / "t.yaml").write_text(YAML.replace("PORT", "503") + sink + "journal: {raw: false}\n")
    (found,) = map(str, advice(load(tmp_path / "t.yaml")))
    assert found.startswith(f"{tmp_path / 't.yaml'}:10:57: advice: raw_around_event has nothing to send, ")
    (tmp_path / "t.yaml").write_text(YAML.replace("PORT", "503") + sink)
    assert advice(load(tmp_path / "t.yaml")) == []
