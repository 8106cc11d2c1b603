"""Near-duplicate guard: the rule by its words, on real graphs, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_fast.duplicates import drop_duplicates
from ds2_fast.knn import Neighbors, find_neighbors


def drop_slow(order, neighbors, threshold):
    """The rule: a row is dropped if a kept one is its neighbor, either way, that near."""
    edges = set()
    for row, (others, values) in enumerate(
        zip(neighbors.indices, neighbors.similarities, strict=True)
    ):
        near = others[values >= np.float32(threshold)]
        edges |= {(row, int(other)) for other in near} | {(int(other), row) for other in near}
    kept, dropped = [], {}
    for row in order.tolist():
        better = next((other for other in kept if (row, other) in edges), None)
        if better is None:
            kept.append(row)
        else:
            dropped[row] = better
    return kept, dropped


@st.composite
def graphs(draw):
    rows = draw(st.integers(3, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    # Few distinct directions, so that chains and equal rows are common.
    embeddings = random.integers(-1, 2, (rows, 4)).astype(np.float32) + 0.5
    neighbors = find_neighbors(embeddings, draw(st.integers(1, min(rows - 1, 6))))
    order = random.permutation(rows)[: draw(st.integers(0, rows))].astype(np.uint32)
    return order, neighbors


@given(graphs(), st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_it_is_the_slow_twin(graph, threshold):
    order, neighbors = graph
    found = drop_duplicates(order, neighbors, threshold=threshold)
    kept, dropped = drop_slow(order, neighbors, threshold)
    assert found.kept.tolist() == kept
    assert dict(zip(found.dropped.tolist(), found.stands_for.tolist(), strict=True)) == dropped
    full = neighbors.indices.shape[1] == len(neighbors.indices) - 1
    last = neighbors.similarities[order, -1] >= np.float32(threshold)
    assert found.saturated == (0 if full else np.count_nonzero(last))


@given(graphs(), st.integers(0, 60))
def test_what_is_kept_first_does_not_depend_on_the_rest(graph, ranked):
    order, neighbors = graph
    part = drop_duplicates(order[:ranked], neighbors, threshold=0.8)
    whole = drop_duplicates(order, neighbors, threshold=0.8)
    assert part.kept.tolist() == whole.kept[: len(part.kept)].tolist()
    assert part.stands_for.tolist() == whole.stands_for[: len(part.stands_for)].tolist()


def test_of_a_chain_the_best_ranked_stays_and_what_is_like_the_dropped_alone():
    angles = np.radians([0, 15, 30, 90])
    rows = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    neighbors = find_neighbors(rows, 2)
    # 15 degrees are a similarity of 0.966, 30 of 0.866.
    first = drop_duplicates(np.array([0, 1, 2, 3], np.uint32), neighbors, threshold=0.95)
    assert first.kept.tolist() == [0, 2, 3]
    assert (first.dropped.tolist(), first.stands_for.tolist()) == ([1], [0])
    middle = drop_duplicates(np.array([1, 2, 0, 3], np.uint32), neighbors, threshold=0.95)
    assert middle.kept.tolist() == [1, 3]
    assert middle.stands_for.tolist() == [1, 1]


def test_misuse_is_named():
    neighbors = Neighbors(np.array([[1], [0]], np.uint32), np.array([[0.5], [0.5]], np.float32))
    order = np.array([0, 1], np.uint32)
    for threshold in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match=r"threshold must lie in \(0, 1\], got"):
            drop_duplicates(order, neighbors, threshold=threshold)
    with pytest.raises(ValueError, match=r"order\[1\] = 0 occurs twice"):
        drop_duplicates(np.zeros(2, np.uint32), neighbors)
    with pytest.raises(ValueError, match=r"order\[0\] = 7 is no row of 2"):
        drop_duplicates(np.array([7], np.uint32), neighbors)
    with pytest.raises(TypeError, match=r"order: expected uint32 \(m,\), got int64"):
        drop_duplicates(order.astype(np.int64), neighbors)
