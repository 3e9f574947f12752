"""A graph in the place of a part of a twin's output map: what it gives, what it is kept from, what is refused."""

import base64
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from cycle_world import frame
from onnx import TensorProto, helper, numpy_helper
from twin_rig import TAGS, twin
from typer.testing import CliRunner

from agent.cli.commands import app
from agent.core import quality
from agent.core.nouns import Names
from agent.twin import cycle
from agent.twin.surrogate import Surrogate
from agent.twin.twin import dump, fingerprint, load

INPUTS, OUTPUTS = ("pump/speed", "upper/level"), ("upper/flow",)


def linear(weights, bias, k=2):
    """The bytes of an ONNX graph: z W + b, of f4[N, k]."""
    W, b = np.asarray(weights, np.float32), np.asarray(bias, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["z", "W", "b"], ["y"])],
        "surrogate",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N", k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", W.shape[1]])],
        [numpy_helper.from_array(W, "W"), numpy_helper.from_array(b, "b")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return made.SerializeToString()


FLOW = linear([[0.01], [2.0]], [0.1])


def surrogate(content=FLOW, inputs=INPUTS, outputs=OUTPUTS, low=(30.0, 0.1), high=(70.0, 0.5)):
    sha256 = hashlib.sha256(content).hexdigest()
    return Surrogate(inputs, np.array(low), np.array(high), outputs, sha256, base64.b64encode(content).decode())


def attached(made=None, **changes):
    whole = twin()
    return replace(whole, plant=replace(whole.plant, surrogate=made or surrogate(**changes)))


def row(made, name):
    return [p.id for p in cycle.points(made)].index(name)


def played(made, speeds):
    """The Values of a machine that answers as its own model does, without noise."""
    plant, names, given = twin().plant, Names(TAGS), []
    x, state = plant.prior[0], cycle.init(made)
    for k, speed in enumerate(speeds):
        u = np.array([speed])
        state, values = cycle.step(made, state, frame(names, np.concatenate([u, plant.observe(x, u)[:2]]), k), {})
        given.append(values)
        x = plant.advance(x, u)
    return given


def test_its_outputs_are_those_of_the_graph_from_what_the_twin_estimates():
    made = attached()
    last = played(made, [55.0] * 120)[-1]
    level = last.value[row(made, "upper/level.expected")]
    assert last.value[row(made, "upper/flow")] == pytest.approx(0.01 * 55.0 + 2.0 * level + 0.1, rel=1e-3)
    assert last.status[row(made, "upper/flow")] == quality.GOOD


def test_one_that_is_the_twins_own_map_changes_nothing_that_is_seen():
    # y = mean + scale (C x), upper/flow of the two levels: 1 + 0.2 (0.8 (h1 - 0.3) / 0.05 + 0.1 (h2 - 0.2) / 0.05)
    own = linear([[3.2], [0.4]], [1.0 - 3.2 * 0.3 - 0.4 * 0.2])
    tags = ("upper/level", "lower/level")
    made = attached(content=own, inputs=tags, low=(0.1, 0.05), high=(0.5, 0.4))
    speeds = 50.0 + 8.0 * np.sin(np.arange(150) / 9.0)
    with_it, without = played(made, speeds), played(twin(), speeds)
    for one, other in zip(with_it[5:], without[5:], strict=True):
        np.testing.assert_allclose(one.value, other.value, rtol=2e-3, atol=2e-3)
        assert one.status.tolist() == other.status.tolist()


def test_a_measured_output_may_come_from_it_and_corrects_the_filter():
    own = linear([[0.0, 0.0]] * 2, [0.25, 0.15])
    made = attached(content=own, inputs=("pump/speed", "upper/flow"), outputs=("upper/level", "lower/level"),
                    low=(30.0, 0.4), high=(70.0, 1.6))  # fmt: skip
    last = played(made, [55.0] * 60)[-1]
    assert last.value[row(made, "upper/level.expected")] == pytest.approx(0.25)
    assert last.value[row(made, "lower/level.expected")] == pytest.approx(0.15)


def test_outside_its_training_it_is_held_at_the_edge_uncertain_wide_and_said():
    made = attached(high=(60.0, 0.5))
    given = played(made, [55.0] * 60 + [68.0] * 30)
    inside, outside = given[59], given[-1]
    flow, spread, finding = (row(made, name) for name in ("upper/flow", "upper/flow.spread", "twin/finding"))
    assert inside.status[flow] == quality.GOOD
    assert outside.status[flow] == quality.UNCERTAIN_SUB_NORMAL
    assert outside.value[spread] >= 0.6 > 5 * inside.value[spread]  # half of the range of the flow
    assert outside.texts[finding] == "outside the surrogate's training: pump/speed 68 beyond 30 to 60"
    level = outside.value[row(made, "upper/level.expected")]
    assert outside.value[flow] == pytest.approx(0.01 * 60.0 + 2.0 * min(level, 0.5) + 0.1, rel=0.02)


def test_it_stands_in_the_file_and_is_part_of_what_the_daemon_computes_with():
    made = attached()
    again = load(dump(made))
    assert again.plant.surrogate.sha256 == made.plant.surrogate.sha256
    assert dump(again) == dump(made)
    assert fingerprint(made) != fingerprint(twin())
    one, other = played(made, [55.0] * 20)[-1], played(again, [55.0] * 20)[-1]
    np.testing.assert_allclose(one.value, other.value, rtol=1e-7, atol=1e-12)  # the file keeps 9 digits


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"inputs": ("pump/sped", "upper/level")}, "not pump/sped"),
        ({"outputs": ("upper/flw",)}, "outputs among upper/level, lower/level, upper/flow, not upper/flw"),
        ({"outputs": ("upper/level",)}, "not upper/level"),
        ({"low": (30.0, 0.5)}, "low below high"),
        ({"content": linear([[1.0], [1.0], [1.0]], [0.0], 3)}, "a graph that runs"),
        ({"content": linear([[1.0, 2.0]] * 2, [0.0, 0.0])}, "finite outputs of shape (3, 1), it gives (3, 2)"),
        ({"content": linear([[np.inf], [1.0]], [0.0])}, "finite outputs"),
        ({"content": b"no graph"}, "a graph that runs"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_reason(changes, said):
    with pytest.raises(ValueError, match="twin: expected a surrogate with") as raised:
        load(dump(attached(**changes)))
    assert said in str(raised.value)


def test_a_changed_graph_is_not_the_one_that_was_attached():
    other = surrogate(content=linear([[0.0], [0.0]], [9.0]))
    with pytest.raises(ValueError, match="not the file whose hash stands beside it"):
        load(dump(attached(replace(surrogate(), onnx=other.onnx))))


def attach(folder, *more, onnx=FLOW):
    (folder / "t.json").write_bytes(dump(twin()))
    (folder / "s.onnx").write_bytes(onnx)
    return CliRunner().invoke(app, ["model", "attach", str(folder / "t.json"), str(folder / "s.onnx"), *more])


def test_the_command_takes_ranges_from_the_twin_or_as_given(tmp_path):
    done = attach(tmp_path, "--inputs", ",".join(INPUTS), "--outputs", "upper/flow", "--range", "pump/speed=40..60")
    assert done.exit_code == 0, done.output
    made = load((tmp_path / "t.json").read_bytes()).plant.surrogate
    assert (made.low.tolist(), made.high.tolist()) == ([40.0, 0.1], [60.0, 0.5])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--inputs", "pump/speed,upper/lvl", "--outputs", "upper/flow"), "no upper/lvl in"),
        (("--inputs", "pump/speed", "--outputs", "upper/flow"), "a graph that runs"),
        (
            ("--inputs", "pump/speed,upper/level", "--outputs", "upper/flow", "--range", "pump/speed=4"),
            "NAME=LOW..HIGH",
        ),
    ],
)
def test_wrong_input_to_the_command_is_one_line_and_leaves_the_file(tmp_path, more, said):
    done = attach(tmp_path, *more)
    assert done.exit_code in (1, 2)
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert (tmp_path / "t.json").read_bytes() == dump(twin())
