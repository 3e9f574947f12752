"""Traces: the lines between kept points miss no sample by more than the bound."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from engine_world import SECOND, asset, batch, tick
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.load import load
from agent.config.plan import plan
from agent.config.problems import ConfigErrors
from agent.core import quality, swinging, wire
from agent.core.nouns import Snapshot
from agent.engine import state as states
from agent.engine.step import step

VALUE = st.one_of(st.floats(-1e3, 1e3), st.sampled_from([0.0, 1.0, 1.0, 2.0]), st.just(float("nan")))
SIGNAL = st.lists(st.tuples(st.floats(1e-6, 10.0), VALUE), max_size=60)
BOUND = st.sampled_from([0.0, 1e-3, 0.5, 5.0, 100.0])


def lines_of(bounds):
    return swinging.begun(np.arange(len(bounds), dtype=np.int32), np.array(bounds, float))


def one_by_one(lines, signal, place=0, first_ns=0):
    """The lines with the samples of a signal, and those as (t_ns, value)."""
    samples, t_ns = [], first_ns
    for wait_s, value in signal:
        t_ns += int(wait_s * 1e9)
        samples.append((t_ns, value))
        lines = swinging.fold(lines, np.array([place]), np.array([t_ns]), np.array([value]))
    return lines, samples


def points(trace, row=0):
    return [(int(t), float(v)) for r, t, v in zip(trace.row, trace.t_ns, trace.value, strict=True) if r == row]


def missed(kept, samples):
    """By how much the line misses each sample; None for one that no line passes."""
    found = []
    for t, x in samples:
        spans = [(a, b) for a, b in pairwise(kept) if a[0] <= t <= b[0]]
        spans = [(a, b) for a, b in spans if np.isfinite([a[1], b[1]]).all()]
        hits = [abs(v - x) for at, v in kept if at == t and np.isfinite(v)]
        hits += [abs(a[1] + (b[1] - a[1]) * (t - a[0]) / (b[0] - a[0]) - x) for a, b in spans]
        found.append(min(hits) if hits else None)
    return found


@settings(max_examples=100, deadline=None)
@given(SIGNAL, BOUND)
def test_no_sample_is_missed_by_more_than_the_bound(signal, bound):
    lines, samples = one_by_one(lines_of([bound]), signal)
    kept = points(swinging.trace(lines))
    assert [t for t, _ in kept] == sorted({t for t, _ in kept})
    measured = dict(samples)
    assert all(np.array_equal(measured[t], v, equal_nan=True) for t, v in kept)  # what is kept was measured then
    for (t, x), off in zip(samples, missed(kept, samples), strict=True):
        if np.isfinite(x):
            assert off is not None
            assert off <= bound * (1 + 1e-9) + 1e-9
        else:  # and no line passes what was Bad
            assert off is None, t


@given(SIGNAL, BOUND, st.integers(0, 60))
def test_the_lines_of_two_windows_join(signal, bound, at):
    first, before = one_by_one(lines_of([bound]), signal[:at])
    last_ns = before[-1][0] if before else 0
    second, after = one_by_one(swinging.carried(first), signal[at:], first_ns=last_ns)
    one, two = points(swinging.trace(first)), points(swinging.trace(second))
    if before and np.isfinite(before[-1][1]):
        assert one[-1] == two[0] == before[-1]  # either window can be read alone
    assert all(
        off is not None and off <= bound * (1 + 1e-9) + 1e-9
        for (_, x), off in zip(before + after, missed(one, before) + missed(two, after), strict=True)
        if np.isfinite(x)
    )


@given(st.lists(st.tuples(st.integers(0, 2), VALUE), max_size=80), st.lists(st.integers(1, 7), max_size=10))
def test_samples_of_several_tags_at_once_are_as_one_by_one(samples, sizes):
    alone, together = lines_of([0.5, 1.0, 0.0]), lines_of([0.5, 1.0, 0.0])
    t_ns = np.arange(1, len(samples) + 1) * SECOND
    place, value = np.array([p for p, _ in samples], np.intp), np.array([v for _, v in samples], float)
    for n in range(len(samples)):
        alone = swinging.fold(alone, place[n : n + 1], t_ns[n : n + 1], value[n : n + 1])
    start = 0
    for size in [*sizes, len(samples)]:
        rows = slice(start, start + size)
        together, start = swinging.fold(together, place[rows], t_ns[rows], value[rows]), start + size
    one, other = swinging.trace(alone), swinging.trace(together)
    assert (one.row.tolist(), one.t_ns.tolist()) == (other.row.tolist(), other.t_ns.tolist())
    assert np.array_equal(one.value, other.value, equal_nan=True)


def test_a_straight_line_is_two_points_and_a_step_four():
    ramp = [(1.0, float(n)) for n in range(100)]
    assert len(points(swinging.trace(one_by_one(lines_of([1e-9]), ramp)[0]))) == 2
    stepped = [(1.0, 0.0 if n < 50 else 10.0) for n in range(100)]
    assert len(points(swinging.trace(one_by_one(lines_of([0.1]), stepped)[0]))) == 4


def test_noise_within_the_bound_costs_nothing_and_beyond_it_no_more_than_the_limit():
    rng = np.random.default_rng(1)
    noise = [(0.1, float(x)) for x in rng.uniform(-1, 1, 600)]
    assert len(points(swinging.trace(one_by_one(lines_of([2.0]), noise)[0]))) == 2
    lines, samples = one_by_one(lines_of([0.01]), noise)
    kept = points(swinging.trace(lines))
    assert len(kept) == swinging.MOST + 1
    assert np.isnan(kept[-1][1])
    told = [s for s in samples if s[0] <= kept[-2][0]]
    assert max(missed(kept, told)) <= 0.01 * (1 + 1e-9)
    assert len(points(swinging.trace(swinging.carried(lines)))) == 0  # the next window begins anew
    lines, _ = one_by_one(swinging.carried(lines), [(1.0, 5.0), (1.0, 6.0)], first_ns=samples[-1][0])
    assert [v for _, v in points(swinging.trace(lines))] == [5.0, 6.0]


def traced(bound=0.5, **options):
    built = asset(**options)
    tags = tuple(replace(tag, trace=bound) if tag.id == "rig/tank/level" else tag for tag in built.tags)
    return replace(built, tags=tags)


def play(built, ticks, state=None):
    state, shots = state or states.initial(built), []
    for one in ticks:
        state, shot = step(built, state, one)
        shots.append(shot)
    return state, shots


def level(t, value, status=quality.GOOD):
    return tick(t, batch(t - 0.25, level=value, status=status), batch(t, state=2))


def test_summaries_carry_the_trace_of_the_tags_that_have_one():
    built = traced(summary_s=5.0)
    _, shots = play(built, [level(t, float(t % 2) / 10) for t in range(101, 111)])
    first, second = [s for shot in shots for s in shot.summaries]
    assert first.names[first.trace.row[0]] == "tank/level"
    assert set(first.trace.row) == {1}
    assert points(first.trace, 1) == [(round(100.75e9), 0.1), (round(104.75e9), 0.1)]
    assert points(second.trace, 1)[0] == points(first.trace, 1)[-1]
    back = wire.decode(Snapshot, wire.encode(next(s for s in shots if s.summaries)))
    assert points(back.summaries[0].trace, 1) == points(first.trace, 1)


def test_bad_stale_and_a_stop_cut_the_line():
    bad = quality.BAD_SENSOR_FAILURE
    ticks = [level(101, 1.0), level(102, 1.0), level(103, float("nan"), bad), level(104, 5.0), level(105, 5.0)]
    silent = [tick(t, batch(t, state=2)) for t in (106, 107, 108)]
    _, shots = play(traced(), [*ticks, *silent, level(109, 7.0), tick(110, last=True)])
    (summary,) = [s for shot in shots for s in shot.summaries]
    told = [(t / 1e9, v) for t, v in points(summary.trace, 1)]
    expected = [(100.75, 1), (101.75, 1), (102.75, np.nan), (103.75, 5), (104.75, 5), (108, np.nan), (108.75, 7),
                (109, np.nan)]  # fmt: skip
    assert np.allclose(told, expected, equal_nan=True)


def test_a_value_confirmed_again_and_again_with_its_old_stamp_is_a_flat_line():
    """A subscription tells only changes; what confirms them must not become a ramp from one to the next."""
    ticks = [tick(t, batch(101, level=1.0), batch(t, state=2)) for t in range(101, 111)]
    _, shots = play(traced(), [*ticks, level(112, 9.0), tick(112, last=True)])
    told = [(t / 1e9, v) for s in shots for w in s.summaries for t, v in points(w.trace, 1)]
    assert np.allclose(told, [(101, 1), (109, 1), (111.75, 9), (112, np.nan)], equal_nan=True)


def test_a_checkpoint_continues_to_the_bit_and_another_bound_begins_anew():
    built = traced(summary_s=4.0)
    ticks = [level(t, float((t * 7) % 5)) for t in range(101, 121)]
    _, whole = play(built, ticks)
    half, _ = play(built, ticks[:10])
    frozen = states.freeze(built, half)
    _, rest = play(built, ticks[10:], states.thaw(built, frozen))
    assert [wire.encode(s) for s in whole[10:]] == [wire.encode(s) for s in rest]
    other = states.thaw(traced(0.25, summary_s=4.0), frozen)
    assert other.window.lines.bound.tolist() == [0.25]
    assert other.window.lines.count.tolist() == [0]


def test_the_bound_is_that_of_the_tag_list():
    assert traced(0.25).lines.bound.tolist() == [0.25]
    assert len(asset().lines.row) == 0
    assert swinging.trace(asset().lines).row.tolist() == []


@pytest.mark.parametrize("bound", [0.1, 1.0])
def test_a_noisy_sine_through_the_engine_stays_within_its_bound(bound):
    rng = np.random.default_rng(7)
    built = traced(bound, summary_s=20.0)
    value = [10 * np.sin(t / 15) + rng.normal(0, 0.05) for t in range(101, 301)]
    _, shots = play(built, [level(t, v) for t, v in zip(range(101, 301), value, strict=True)])
    kept = sorted({p for s in shots for w in s.summaries for p in points(w.trace, 1)})
    samples = [(round((t - 0.25) * 1e9), v) for t, v in zip(range(101, 301), value, strict=True)]
    told = [s for s in samples if s[0] <= kept[-1][0]]
    assert max(missed(kept, told)) <= bound * (1 + 1e-9)
    assert len(kept) < len(told) / 2


YAML = """\
gateway: {id: g}
classes:
  p@1: {tags: t.csv, modes: {always: running}}
assets:
  - {id: a, class: p@1}
sources:
  - {id: p1, type: modbus, host: 127.0.0.1}
"""


def test_the_tag_list_says_the_bound_and_only_numbers_have_one(tmp_path):
    (tmp_path / "t.yaml").write_text(YAML)
    (tmp_path / "t.csv").write_text("group,tag,address,type,trace\ng,x,input:0,float32,\ng,y,input:2,float32,0.25\n")
    made = plan(load(tmp_path / "t.yaml"))
    assert [(p.id, p.trace) for p in made.catalogue.of("a")][:2] == [("a/g/x", None), ("a/g/y", 0.25)]
    lines = made.assets[0].lines
    assert (lines.row.tolist(), lines.bound.tolist()) == ([1], [0.25])
    (tmp_path / "t.csv").write_text("group,tag,address,type,trace\ng,x,input:0,string(8),0.1\n")
    with pytest.raises(ConfigErrors, match=r"t.csv:2:23: g/x is text, expected a number to have a trace"):
        load(tmp_path / "t.yaml")
