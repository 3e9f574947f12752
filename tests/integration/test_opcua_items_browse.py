"""`edgetwin browse` on real servers: every row can be pasted into a tag list."""

import csv
import io

import pytest
from peers import opcua_server
from typer.testing import CliRunner

from agent.cli.browsing import rows
from agent.cli.commands import app
from agent.config.schema import TagRow
from agent.core.nouns import Found, Tag
from agent.drivers import opcua

URI = "http://edgetwin.test/plc"


@pytest.fixture(scope="module")
def shared():
    with opcua_server() as peer:
        yield peer


def config(peer):
    return opcua.Config(id="plc2", type="opcua", endpoint=f"opc.tcp://127.0.0.1:{peer.port}/plc")


@pytest.mark.anyio
async def test_all_variables_with_type_value_and_access(shared):
    found = {one.path[-1]: one for one in await opcua.browse(config(shared))}
    assert found["fixed3"] == Found(("Plant", "fixed3"), f"nsu={URI};s=fixed3", "float64", "3.0", description="fixed3")
    assert found["word"].writable
    assert (found["word"].type, found["word"].value) == ("int16", "5")
    assert (found["matrix"].type, found["matrix"].value) == ("int16[6]", "[[1,2,3],[4,5,6]]")
    assert found["motor"].value.startswith('{"Speed":1480.5,"State":2,"Axes":[{')
    assert found["unknown"].value == "(a structure that cannot be decoded)"
    assert found["pressure"].unit == "bar"
    assert "Server" not in {one.path[0] for one in found.values()}
    assert not opcua.check(config(shared), [Tag("a/b/c", one.address, one.type) for one in found.values()])


@pytest.mark.anyio
async def test_bounds_cycles_and_a_start(shared):
    assert len(await opcua.browse(config(shared), most=5)) == 5
    assert not await opcua.browse(config(shared), depth=1)
    plant = await opcua.browse(config(shared), f"nsu={URI};s=Plant", depth=1)
    assert {"ramp", "motor"} <= {one.path[-1] for one in plant}
    deep = [one for one in await opcua.browse(config(shared), depth=50) if one.path[-1] == "ramp"]
    assert len(deep) == 1  # a folder in Plant leads back to Plant
    with pytest.raises(ValueError, match="no node"):
        await opcua.browse(config(shared), "path:2:Nothing")


def test_the_command_prints_lines_and_rows(shared, tmp_path):
    (tmp_path / "tags.csv").write_text("group,tag,address\nplc,a,i=2258\n")
    file = tmp_path / "edgetwin.yaml"
    file.write_text(
        f"""gateway: {{id: gw}}
classes:
  pump@1: {{tags: tags.csv, modes: {{rules: [{{mode: running, tag: plc/a, at_least: 1, for_s: 3}}], otherwise: off}}}}
assets: [{{id: p1, class: pump@1}}]
sources: [{{id: plc2, type: opcua, endpoint: "opc.tcp://127.0.0.1:{shared.port}/plc"}}]
"""
    )
    shown = CliRunner().invoke(app, ["browse", str(file), "plc2"])
    assert shown.exit_code == 0, shown.output
    assert f"nsu={URI};s=fixed3" in shown.output
    printed = CliRunner().invoke(app, ["browse", str(file), "plc2", "path:2:Plant", "--csv", "--depth", "1"])
    assert printed.exit_code == 0, printed.output
    text = printed.stdout
    listed = list(csv.DictReader(io.StringIO(text)))
    assert {row["tag"] for row in listed} >= {"ramp", "fixed1", "motor"}
    for row in listed:
        TagRow.model_validate({k: v for k, v in row.items() if v})
    failed = CliRunner().invoke(app, ["browse", str(file), "plc3"])
    assert failed.exit_code == 1
    assert "expected one of" in failed.output


def test_rows_have_names_of_their_own():
    found = [Found(("A b", "x/y"), "i=1", "bool"), Found(("A b", "x y"), "i=2", "bool"), Found(("z",), "i=3", "bool")]
    assert [(row["group"], row["tag"]) for row in rows(found)] == [("A_b", "x_y"), ("A_b", "x_y_2"), ("main", "z")]
