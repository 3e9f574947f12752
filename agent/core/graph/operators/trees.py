"""Ensembles of decision trees: all rows go down all trees side by side, one level a pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from agent.core.graph.nouns import Array, Node
from agent.core.graph.operators.arithmetic import Operator

LEAF = "LEAF"
COMPARE: Mapping[str, Any] = {
    "BRANCH_LEQ": np.less_equal, "BRANCH_LT": np.less, "BRANCH_GTE": np.greater_equal, "BRANCH_GT": np.greater,
    "BRANCH_EQ": np.equal, "BRANCH_NEQ": np.not_equal,
}  # fmt: skip
AGGREGATES = {"SUM": np.sum, "AVERAGE": np.mean, "MIN": np.min, "MAX": np.max}


@dataclass(frozen=True, slots=True, eq=False)
class Trees:
    """Nodes of all trees in one numbering. feature, yes, no i8[k]: a leaf leads to itself; value f4[k].

    missing bool[k]. roots i8[t]. weight f4[k, targets] of the leaves. depth: levels at most.
    compare: the one way all of them compare.
    """

    feature: Array
    value: Array
    yes: Array
    no: Array
    missing: Array
    roots: Array
    weight: Array
    depth: int
    compare: Any


def regressor(node: Node, opset: int, x: Array) -> Array:
    """f4[N, targets] of x[N, C]: base values and what the leaves reached say, summed (or averaged, ...)."""
    trees, of = _trees(node), node.attributes.get
    if of("post_transform", "NONE") != "NONE":
        raise ValueError(f"post_transform {of('post_transform')} has no numpy evaluation")
    rows = np.arange(len(x))[:, None]
    at = np.repeat(trees.roots[None], len(x), axis=0)
    for _ in range(trees.depth):
        held = x[rows, trees.feature[at]]
        goes = trees.compare(held, trees.value[at]) | (np.isnan(held) & trees.missing[at])
        at = np.where(goes, trees.yes[at], trees.no[at])
    aggregate: Any = AGGREGATES[of("aggregate_function", "SUM")]
    said = aggregate(trees.weight[at], axis=1)
    return np.asarray(said + np.array(of("base_values", ()) or 0.0, np.float32), np.float32)


@lru_cache(maxsize=64)
def _trees(node: Node) -> Trees:
    """The trees of a node, unpacked once."""
    of, arrays = node.attributes.get, node.attributes
    tree, own = np.array(arrays["nodes_treeids"], np.int64), np.array(arrays["nodes_nodeids"], np.int64)
    place = {pair: n for n, pair in enumerate(zip(tree.tolist(), own.tolist(), strict=True))}
    modes, k = arrays["nodes_modes"], len(tree)
    if len(place) != k or len(modes) != k:
        raise ValueError("nodes of trees stand there twice, or have no mode")
    compare = set(modes) - {LEAF}
    if len(compare) > 1 or not compare <= set(COMPARE):
        raise ValueError(f"nodes compare by {', '.join(sorted(compare))}, which has no numpy evaluation")
    leaf = np.array([mode == LEAF for mode in modes])
    here = np.arange(k)
    yes, no = (
        np.where(leaf, here, [place.get((t, n), -1) for t, n in zip(tree.tolist(), arrays[name], strict=True)])
        for name in ("nodes_truenodeids", "nodes_falsenodeids")
    )
    if min(yes.min(), no.min()) < 0:
        raise ValueError("a branch of a tree leads nowhere")
    missing = np.array(of("nodes_missing_value_tracks_true") or (0,) * k, np.bool_)
    feature, value = np.array(arrays["nodes_featureids"]), np.array(arrays["nodes_values"], np.float32)
    roots = _roots(tree, leaf, yes, no)
    depth = _depth(roots, leaf, yes, no)
    how = COMPARE[next(iter(compare), "BRANCH_LEQ")]
    return Trees(np.where(leaf, 0, feature), value, yes, no, missing, roots, _weights(node, place), depth, how)


def _weights(node: Node, place: Mapping[tuple[int, int], int]) -> Array:
    arrays = node.attributes
    weight = np.zeros((len(place), arrays.get("n_targets", 1)), np.float32)
    columns = (arrays[f"target_{name}"] for name in ("treeids", "nodeids", "ids", "weights"))
    for t, n, target, w in zip(*columns, strict=True):
        weight[place[t, n], target] += np.float32(w)
    return weight


def _roots(tree: Array, leaf: Array, yes: Array, no: Array) -> Array:
    """Those that nothing leads to, one a tree."""
    led = np.zeros(len(tree), np.bool_)
    led[yes[~leaf]] = led[no[~leaf]] = True
    roots = np.flatnonzero(~led)
    if sorted(tree[roots].tolist()) != sorted(set(tree.tolist())):
        raise ValueError("a tree has no root, or several")
    return roots


def _depth(roots: Array, leaf: Array, yes: Array, no: Array) -> int:
    """Levels below the deepest root; ValueError where the branches go in a circle."""
    at, depth = roots, 0
    while len(at := at[~leaf[at]]):
        at, depth = np.unique(np.concatenate([yes[at], no[at]])), depth + 1
        if depth > len(leaf):
            raise ValueError("the branches of a tree go in a circle")
    return depth


OPERATORS: Mapping[str, Operator] = {"ai.onnx.ml.TreeEnsembleRegressor": regressor}
