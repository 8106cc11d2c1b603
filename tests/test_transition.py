"""Consensus counts and the fit of T and p."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from ds2_fast import _core
from ds2_fast.knn import Neighbors, find_neighbors
from ds2_fast.transition import fit_transition
from synthetic import RATERS, find_neighbors_slow, make_pool, planted_pool, random_graph

T = np.array([[0.9, 0.1], [0.2, 0.8]])
p = np.array([0.5, 0.5])


def pattern_counts(T, p, samples):
    return samples * np.einsum("i,ia,ib,ic->abc", p, T, T, T)


graphs = st.builds(
    lambda seed, n, depth, num_classes: (
        *random_graph(np.random.default_rng(seed), n, min(depth, n - 1), num_classes),
        num_classes,
    ),
    st.integers(0, 2**32),
    st.integers(12, 60),
    st.integers(2, 14),
    st.integers(2, 8),
)


@given(graphs, st.integers(2, 14))
def test_counts_equal_the_reference(graph, k):
    scores, neighbors, num_classes = graph
    k = min(k, neighbors.indices.shape[1])
    expected = reference.count_consensus(scores, neighbors.indices, num_classes, k)
    if expected.sum() == 0:
        with pytest.raises(ValueError, match="no rated sample has two rated samples"):
            _core.consensus_counts(scores, neighbors.indices, num_classes, k)
        return
    counts = _core.consensus_counts(scores, neighbors.indices, num_classes, k)
    np.testing.assert_allclose(counts, expected, rtol=0, atol=1e-12 * len(scores))


@given(
    st.integers(0, 2**32), st.integers(2, 7), st.sampled_from(["ordinal", "uniform"]), st.booleans()
)
def test_the_fit_equals_the_reference(seed, num_classes, prior, one_missing):
    rng = np.random.default_rng(seed)
    true_T = rng.random((num_classes, num_classes)) + num_classes * np.eye(num_classes)
    true_T /= true_T.sum(axis=1, keepdims=True)
    true_p = rng.dirichlet(np.full(num_classes, 5.0))
    counts = rng.poisson(pattern_counts(true_T, true_p, 3000)).astype(float)
    if one_missing and num_classes > 2:
        counts[1], counts[:, 1], counts[:, :, 1] = 0, 0, 0
    fit = _core.fit_transition(counts, prior, None)
    symmetric = sum(np.transpose(counts, a) for a in reference.permutations(range(3))) / 6
    expected = reference.fit_transition(symmetric, prior)
    assert fit["objective"] == pytest.approx(expected["objective"], rel=1e-9)
    # The objective is flat at its top: a gain of 1e-12 a sample moves T by up to about 1e-5.
    np.testing.assert_allclose(fit["T"], expected["T"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(fit["p"], expected["p"], rtol=0, atol=1e-4)
    assert np.flatnonzero(fit["unidentified"]).tolist() == expected["unidentified"]
    np.testing.assert_allclose(fit["T"].sum(axis=1), 1, rtol=0, atol=1e-12)


def test_exact_counts_give_back_the_model():
    counts = pattern_counts(T, p, 1.0)
    np.testing.assert_allclose(
        counts.ravel(), [0.3685, 0.0565, 0.0565, 0.0685, 0.0565, 0.0685, 0.0685, 0.2565]
    )
    fit = _core.fit_transition(counts * 1e6, "uniform", 0.0)
    np.testing.assert_allclose(fit["T"], T, rtol=0, atol=1e-6)
    np.testing.assert_allclose(fit["p"], p, rtol=0, atol=1e-6)


@pytest.fixture(scope="module", params=sorted(RATERS))
def planted(request):
    return planted_pool(request.param)


def test_planted_raters_are_recovered(planted):
    pool, neighbors = planted
    transition = fit_transition(pool.scores, neighbors, num_classes=6)
    assert transition.converged
    assert not transition.degenerate
    assert transition.unidentified == transition.ambiguous == ()
    assert np.abs(transition.T - pool.T).sum(axis=1).mean() / 2 <= 0.02
    assert np.abs(transition.p - np.bincount(pool.truth) / len(pool.truth)).max() <= 0.02
    # Ten neighbors tell T better than the paper's two.
    paper = fit_transition(
        pool.scores, neighbors, num_classes=6, k=2, prior="uniform", strength=1.0
    )
    assert np.abs(paper.T - pool.T).sum() > np.abs(transition.T - pool.T).sum()


def test_the_slow_neighbor_search_finds_the_same():
    pool = make_pool(1500, "adj", seed=3)
    fast, slow = find_neighbors(pool.embeddings, 10), find_neighbors_slow(pool.embeddings, 10)
    np.testing.assert_allclose(fast.similarities, slow.similarities, rtol=0, atol=1e-6)
    fits = [fit_transition(pool.scores, graph, num_classes=6) for graph in (fast, slow)]
    np.testing.assert_allclose(fits[0].T, fits[1].T, rtol=0, atol=1e-6)


def test_scale_of_embeddings_and_order_of_samples_do_not_matter():
    pool = make_pool(2000, "up", seed=1)
    order = np.random.default_rng(2).permutation(2000)
    fits = [
        fit_transition(scores, find_neighbors(np.ascontiguousarray(rows), 10), num_classes=6)
        for rows, scores in (
            (pool.embeddings, pool.scores),
            (pool.embeddings * np.float32(4.0), pool.scores),
            (pool.embeddings[order], pool.scores[order]),
        )
    ]
    np.testing.assert_array_equal(fits[0].T, fits[1].T)
    np.testing.assert_array_equal(fits[0].T, fits[2].T)


def test_the_result_is_json_and_its_frequencies_are_marginals():
    pool = make_pool(1000, "diag")
    transition = fit_transition(pool.scores, find_neighbors(pool.embeddings, 10), num_classes=6)
    found = json.loads(json.dumps(transition.to_dict(), allow_nan=False))
    assert found["k"] == 10
    assert found["strength"] == pytest.approx(4.0)
    assert found["samples"] == pytest.approx(1000)
    c1, c2, c3 = (np.array(found[name]) for name in ("c1", "c2", "c3"))
    assert c3.sum() == pytest.approx(1)
    np.testing.assert_allclose(c3.sum(axis=2), c2, rtol=0, atol=1e-15)
    np.testing.assert_allclose(c2.sum(axis=1), c1, rtol=0, atol=1e-15)


def ring(n: int, depth: int) -> Neighbors:
    indices = (np.arange(n)[:, None] + np.arange(1, depth + 1)) % n
    return Neighbors(indices.astype(np.uint32), np.ones((n, depth), dtype=np.float32))


def test_equal_ratings_are_degenerate():
    transition = fit_transition(np.full(30, 4, dtype=np.int8), ring(30, 10), num_classes=6)
    assert transition.degenerate
    assert transition.unidentified == (0, 1, 2, 3, 4, 5)
    np.testing.assert_array_equal(transition.p, np.eye(6)[4])


@pytest.mark.parametrize("n", [3, 11])
def test_the_smallest_pools(n):
    scores = (np.arange(n) % 2).astype(np.int8)
    transition = fit_transition(scores, ring(n, 2), num_classes=2, k=2)
    np.testing.assert_allclose(transition.T.sum(axis=1), 1, rtol=0, atol=1e-12)
    assert transition.unidentified == (0, 1)


def test_an_unrated_pool_is_refused():
    for scores, neighbors in (
        (np.full(20, -1, dtype=np.int8), ring(20, 10)),
        (np.zeros(0, dtype=np.int8), Neighbors(np.zeros((0, 10), np.uint32), np.zeros((0, 10)))),
    ):
        with pytest.raises(
            ValueError, match=r"^no rated sample has two rated samples among its 10"
        ):
            fit_transition(scores, neighbors, num_classes=6)


def test_bad_input_is_named():
    scores = (np.arange(30) % 3).astype(np.int8)
    with pytest.raises(ValueError, match="k = 10 neighbors asked for, at most 5"):
        fit_transition(scores, ring(30, 5), num_classes=3)
    with pytest.raises(ValueError, match=r"^score 2 of row 2 is not in 0..1"):
        fit_transition(scores, ring(30, 10), num_classes=2)
    with pytest.raises(ValueError, match="strength must be finite and >= 0, got -2"):
        fit_transition(scores, ring(30, 10), num_classes=3, strength=-2.0)
    with pytest.raises(ValueError, match='prior must be ordinal or uniform, got "flat"'):
        fit_transition(scores, ring(30, 10), num_classes=3, prior="flat")
    with pytest.raises(TypeError, match=r"scores: expected int8 \(N,\), got int64 \(30,\)"):
        fit_transition(np.arange(30) % 3, ring(30, 10), num_classes=3)
    with pytest.raises(ValueError, match="scores: expected a C-contiguous array"):
        fit_transition(np.repeat(scores, 2)[::2], ring(30, 10), num_classes=3)


def test_read_only_input_is_fine():
    scores, neighbors = (np.arange(30) % 3).astype(np.int8), ring(30, 10)
    scores.flags.writeable = neighbors.indices.flags.writeable = False
    assert fit_transition(scores, neighbors, num_classes=3).samples == pytest.approx(30)


def test_arrays_of_another_shape_are_refused():
    """As many values as a cube or square has do not make one."""
    with pytest.raises(
        ValueError, match=r"counts: expected float64 \(K, K, K\), got .* \(2, 4, 1\)"
    ):
        _core.fit_transition(np.ones((2, 4, 1)), "ordinal", None)
    with pytest.raises(ValueError, match=r"c3: expected float64 \(K, K, K\), got .* \(2, 1, 4\)"):
        _core.fit_transition_reference(np.full((2, 1, 4), 0.125))
    with pytest.raises(ValueError, match=r"T: expected float64 \(K, K\), got .* \(1, 4\)"):
        _core.split_noise(np.array([[0.9, 0.1, 0.2, 0.8]]), np.array([0.5, 0.5]), 0.5)
