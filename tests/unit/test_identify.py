"""Identification by simulation error: exact sensitivities, known systems found again, the choice, what is refused."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from agent.fit import holdout
from agent.fit.identify import choice, noise
from agent.fit.identify.build import Frame, plant
from agent.fit.identify.levenberg import Prior, fit, segments
from agent.fit.identify.linear import linear
from agent.fit.identify.network import Network, jacobian, run
from agent.fit.identify.refine import Stops, refined
from agent.fit.pieces import Piece, chopped, joined
from agent.fit.recording import FitError
from agent.twin.kind import Channel

OPEN = Stops(np.array([-np.inf]), np.array([np.inf]))


def network(seed, sets=2, n=3, m=2, h=4, p=2):
    draw = np.random.default_rng(seed)
    W = 0.3 * draw.standard_normal((sets, n, n + m + 1 + h))
    return Network(W, draw.standard_normal((sets, h, n + m + 1)), draw.standard_normal((sets, p, n + m + 1 + h)))


@pytest.mark.parametrize("h", [0, 4])
@pytest.mark.parametrize("every", [1, 3])
def test_sensitivities_are_those_of_finite_differences(h, every):
    draw = np.random.default_rng(1)
    net, x0, u = network(2, h=h), draw.standard_normal((2, 3, 3)), draw.standard_normal((70, 3, 2))
    chunks = [(first, y.copy(), dy.copy()) for first, y, dy in jacobian(net, x0, u, every)]
    rows = np.arange(0, 70, every)
    assert [first for first, _, _ in chunks] == list(range(0, 70, 32 * every))
    y, dy = (np.concatenate([c[i] for c in chunks]) for i in (1, 2))
    np.testing.assert_allclose(y, run(net, x0, u)[1][rows], rtol=1e-12)
    flat, size = net.flat(), 1e-6
    for i in range(flat.shape[1]):
        away = np.zeros_like(flat)
        away[:, i] = size
        slope = (run(net.like(flat + away), x0, u)[1] - run(net.like(flat - away), x0, u)[1])[rows] / (2 * size)
        np.testing.assert_allclose(dy[..., i], slope, atol=1e-7 * max(1.0, np.abs(slope).max()))
    for i in range(3):
        away = size * np.eye(3)[i]
        slope = (run(net, x0 + away, u)[1] - run(net, x0 - away, u)[1])[rows] / (2 * size)
        np.testing.assert_allclose(dy[..., flat.shape[1] + i], slope, atol=1e-7)


def saturating(rows, seed, *, noise=0.01, gain=0.0):
    """x+ = 0.9 x + 0.4 tanh(2 u), y = x: a static nonlinearity before a lag; u under feedback where gain is not 0."""
    draw = np.random.default_rng(seed)
    x, wanted, out = 0.0, 0.0, []
    for k in range(rows):
        wanted = draw.uniform(-1.5, 1.5) if k % 15 == 0 else wanted
        y = x + noise * draw.standard_normal()
        u = wanted - gain * y
        out.append((u, y))
        x = 0.9 * x + 0.4 * np.tanh(2.0 * u)
    return np.array(out)


def pieces(table, blocks=6):
    """A recording of one input and one output as the fit gets it, in blocks."""
    edges = [len(table) * i // blocks for i in range(blocks + 1)]
    empty = np.zeros((len(table), 0))
    return [Piece(table[a:b, :1], table[a:b, 1:], empty[a:b], i, 0, a) for i, (a, b) in enumerate(pairwise(edges))]


def frame(stops=OPEN):
    return Frame((Channel("u", "", 0.0, 1.0, -2.0, 2.0),), (Channel("y", "", 0.0, 1.0, -4.0, 4.0),), 1.0, stops)


def error(model, table):
    return float(holdout.mean_square(pieces(table, 1), lambda p: choice.free_run(model, frame(), p))[0] ** 0.5)


@pytest.mark.parametrize("gain", [0.0, 0.3])
def test_a_nonlinear_system_is_found_again_also_in_a_closed_loop(gain):
    train, unseen = saturating(600, 3, gain=gain), saturating(400, 4, gain=gain)
    start = linear(pieces(train), [1])[1]
    plain = refined(start, pieces(train), OPEN, units=0, starts=1, iterations=20, seed=0)
    bent = refined(start, pieces(train), OPEN, units=2, starts=3, iterations=30, seed=0)
    straight = error(plant(frame(), start, plain), unseen)
    assert error(plant(frame(), start, bent), unseen) < 0.03 < 0.2 * straight


def test_a_linear_system_is_found_again_under_feedback():
    draw = np.random.default_rng(5)
    x, wanted, out = 0.0, 0.0, []
    for k in range(1500):
        wanted = draw.uniform(-1, 1) if k % 20 == 0 else wanted
        y = x + 0.1 * draw.standard_normal()
        out.append((wanted - 0.5 * y, y))
        x = 0.9 * x + 0.5 * out[-1][0] + 0.05 * draw.standard_normal()
    table = np.array(out)
    start = linear(pieces(table), [1])[1]
    found = refined(start, pieces(table), OPEN, units=0, starts=1, iterations=20, seed=0).net
    A, B, C, D = found.W[0, 0, 0], found.W[0, 0, 1], found.V[0, 0, 0], found.V[0, 0, 1]
    assert pytest.approx(0.9, abs=0.02) == A
    assert pytest.approx(5.0, rel=0.1) == C * B / (1 - A) + D


def test_the_fit_never_leaves_the_stable_matrices():
    # The output runs away: the best linear model is unstable.
    k = np.arange(300)
    table = np.column_stack([np.sin(k / 5.0), np.exp(k / 60.0) / 100.0 + 0.01 * np.sin(k / 5.0)])
    start = linear(pieces(table, 1), [2])[2]
    found = refined(start, pieces(table, 1), OPEN, units=2, starts=2, iterations=20, seed=0)
    assert np.max(np.abs(np.linalg.eigvals(found.net.A))) < 1.0


def test_rows_at_a_stop_pull_only_from_inside():
    rows = segments([np.zeros((3, 1))], [np.array([[1.0], [1.0], [0.5]])], np.array([1.0]), np.array([-np.inf]))
    beyond, inside = np.full((3, 1, 1, 1), 3.0), np.full((3, 1, 1, 1), 0.2)
    off, _ = rows.residual(beyond, slice(None))
    np.testing.assert_allclose(off[:2], 0.0)
    assert off[2] < 0
    assert np.all(rows.residual(inside, slice(None))[0] > 0)


def test_rows_behind_the_end_of_a_segment_do_not_count():
    net = network(6, sets=1, n=2, m=1, h=2, p=1)
    draw = np.random.default_rng(7)
    u, y = [draw.standard_normal((30, 1)), draw.standard_normal((20, 1))], [draw.standard_normal((30, 1))] * 2
    rows = segments(u, [y[0], y[1][:20]], np.array([np.inf]), np.array([-np.inf]))
    wild = replace(rows, y=np.where(rows.weight > 0, rows.y, 1e6))
    prior = Prior(net, np.full(net.flat().shape[1], 1e-4), np.full(2, 1e-4))
    one, other = (fit(net, np.zeros((1, 2, 2)), r, prior, 4) for r in (rows, wild))
    np.testing.assert_allclose(one.net.W, other.net.W)


def test_pieces_are_joined_over_blocks_but_never_over_a_cut():
    table = saturating(120, 8)
    whole = pieces(table)
    assert [len(p.u) for p in joined(whole)] == [120]
    without = [p for p in whole if p.block != 2]
    assert [len(p.u) for p in joined(without)] == [40, 60]
    apart = [replace(p, run=int(p.block > 3)) for p in whole]
    assert [len(p.u) for p in joined(apart)] == [80, 40]
    np.testing.assert_array_equal(joined(whole)[0].y, table[:, 1:])
    assert [len(p.u) for p in chopped(whole, 50)] == [40, 40, 40]


def test_the_smallest_within_one_standard_error_is_taken_and_the_best_family():
    scores = choice.Scores()
    rng = np.random.default_rng(9)
    size = {1: 0.5, 2: 0.21, 3: 0.2}
    for n, e in size.items():
        scores.models[choice.Candidate("linear", n)] = (e * np.exp(0.1 * rng.standard_normal((6, 1)))) ** 2
    assert choice.within_one_error(scores, list(scores.models)).order == 2


def test_noise_is_found_from_innovations():
    draw = np.random.default_rng(10)
    x, out = 0.0, []
    for k in range(1200):
        u = float(np.sin(k / 7.0) + np.sin(k / 31.0))
        out.append((u, x + 0.05 * draw.standard_normal()))
        x = 0.95 * x + 0.1 * u + 0.02 * draw.standard_normal()
    table = np.array(out)
    start = linear(pieces(table), [1])[1]
    found = refined(start, pieces(table), OPEN, units=0, starts=1, iterations=10, seed=0)
    model = plant(frame(), start, found)
    tuned = noise.scaled(model, noise.tuned(model, frame(), joined(pieces(table))))
    C = tuned.params.C[0, 0]
    assert tuned.R[0] == pytest.approx(0.05**2, rel=0.5)
    assert C**2 * tuned.Q[0, 0] == pytest.approx(0.02**2, rel=2.0)


def test_a_model_that_loses_to_the_last_value_or_to_an_arx_is_refused():
    folds = np.array([0.5, 0.6, 0.5, 0.6, 0.5, 0.6])
    far, near = np.full((6, 1), 4.0), np.full((6, 1), 0.04)
    holdout.refuse_a_loser("linear, order 1", folds, {"persistence": far, "ARX": far})
    with pytest.raises(FitError, match="loses to persistence"):
        holdout.refuse_a_loser("linear, order 1", folds, {"persistence": near, "ARX": far})
    with pytest.raises(FitError, match="loses to ARX"):
        holdout.refuse_a_loser("linear, order 1", folds, {"persistence": far, "ARX": near})
