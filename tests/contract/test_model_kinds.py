"""What every kind of model keeps to, whatever it computes: asked of two models we ship, and of a small life model."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import rul_models
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stnp

from agent.core import quality, wire
from agent.core.nouns import Frame, Kind, Mode, Names, Role, Values

MODELS = Path(__file__).parents[2] / "configs" / "models"
KINDS = [("twin", "two-tank.twin.json"), ("detect.onnx", "two-tank.detector.onnx"), ("detect.rul", None)]
SECOND = 1_000_000_000
HEALTHY = {
    "pump/speed": 68.7, "pump/flow": 0.992, "pump/pressure": 0.159, "valve/position": 50.9, "upper/level": 0.302,
    "lower/level": 0.25, "motor/current": 0.439, "motor/vibration": 1.24,
}  # fmt: skip
NAMES = Names(HEALTHY)


@pytest.fixture(params=KINDS, ids=[kind for kind, _ in KINDS], scope="module")
def model(request):
    kind, file = request.param
    module = importlib.import_module(f"agent.{kind}")
    content = (MODELS / file).read_bytes() if file else rul_models.content(rul_models.about(tuple(HEALTHY)))
    return module, module.load(content)


def frame(t_s, value=None, status=None, dt_s=1.0):
    n = len(NAMES)
    value = np.array(list(HEALTHY.values())) if value is None else np.asarray(value, float)
    status = np.zeros(n, np.uint32) if status is None else status
    none = np.full(n, np.nan)
    zeros = np.zeros(n, np.int64)
    return Frame(
        names=NAMES, t_ns=int(t_s * SECOND), dt_ns=int(dt_s * SECOND), value=value, status=status, age_ns=zeros,
        source_ns=zeros, mean=none, min=none, max=none, count=np.zeros(n, np.int32), texts={}, batches=(),
        mode=Mode.RUNNING,
    )  # fmt: skip


# What is known only after hours of running.
LATER = {Role.ACCURACY, Role.TRUST, Role.LIFE}


def well_formed(values, points):
    k = len(points)
    assert isinstance(values, Values)
    assert (values.value.shape, values.value.dtype) == ((k,), np.float64)
    assert (values.status.shape, values.status.dtype) == ((k,), np.uint32)
    # A value that is not there says so, and one that is said to be there is a number, or a text.
    text = np.array([p.kind is Kind.TEXT for p in points])
    assert np.isfinite(values.value[~quality.bad_mask(values.status) & ~text]).all()
    assert {row for row, here in enumerate(text) if here} >= set(values.texts)


def played(model, frames):
    module, params = model
    state, given = module.init(params), []
    for one in frames:
        state, values = module.step(params, state, one, {})
        given.append(values)
    return state, given


def test_what_it_gives_is_named_once_and_belongs_to_its_tags(model):
    module, params = model
    points = module.points(params)
    ids = [p.id for p in points]
    assert len(ids) == len(set(ids))
    assert all(p.of is None or p.of in {*ids, *params.tags} for p in points)
    assert len(params.tags) == len(params.units)
    assert set(params.modes) <= {m.word for m in Mode}


def test_a_healthy_machine_gives_good_values_in_the_end(model):
    module, params = model
    _, given = played(model, [frame(t) for t in range(1, 120)])
    for values in given:
        well_formed(values, module.points(params))
    assert quality.good_mask(given[-1].status).any()
    soon = np.array([p.role not in LATER for p in module.points(params)])
    assert not quality.bad_mask(given[-1].status[soon]).any()


def test_the_same_frames_give_the_same_bits(model):
    frames = [frame(t, np.array(list(HEALTHY.values())) * (1 + 0.01 * np.sin(t))) for t in range(1, 80)]
    one, other = played(model, frames)[1], played(model, frames)[1]
    assert [v.value.tobytes() for v in one] == [v.value.tobytes() for v in other]


def test_a_state_goes_through_a_checkpoint_to_the_bit(model):
    module, params = model
    state, _ = played(model, [frame(t) for t in range(1, 50)])
    thawed = wire.decode(module.State, wire.encode(state))
    after, again = (module.step(params, s, frame(50), {}) for s in (state, thawed))
    assert after[1].value.tobytes() == again[1].value.tobytes()
    assert wire.encode(after[0]) == wire.encode(again[0])


@settings(max_examples=25, deadline=None)
@given(
    stnp.arrays(np.float64, (6, len(NAMES)), elements=st.floats(width=64)),
    stnp.arrays(np.uint32, (6, len(NAMES)), elements=st.sampled_from([0, 0, quality.UNCERTAIN, quality.BAD_TIMEOUT])),
    st.lists(st.sampled_from([0.0, 0.3, 1.0, 2.5, 3600.0]), min_size=6, max_size=6),
)
def test_nothing_that_a_plc_can_send_raises(model, value, status, dt_s):
    module, params = model
    healthy = [frame(t) for t in range(1, 40)]
    strange = [frame(40 + i, value[i], status[i], dt_s[i]) for i in range(6)]
    after = [frame(50 + i) for i in range(3)]
    for values in played(model, [*healthy, *strange, *after])[1]:
        well_formed(values, module.points(params))


@pytest.mark.parametrize("junk", [b"", b"{}", b"\x00" * 100, b"[1, 2", b"\x08\x07\x12\x00"])
def test_a_file_that_is_no_model_is_refused_in_words(model, junk):
    module, _ = model
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        module.load(junk)
