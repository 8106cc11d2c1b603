"""The set rules of the core, through the binding: by their words, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from ds2_fast import _core


@pytest.fixture(scope="module")
def embeddings():
    random = np.random.default_rng(7)
    rows = random.standard_normal((300, 16)) + 3 * random.standard_normal((6, 16)).repeat(50, 0)
    return rows.astype(np.float16)


@pytest.fixture(scope="module")
def cosines(embeddings):
    rows = embeddings.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


EVERY = np.arange(300, dtype=np.uint32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_kept_rows_are_apart_and_dropped_ones_are_not(embeddings, cosines, dtype):
    rows = embeddings.astype(dtype)
    order = np.random.default_rng(1).permutation(EVERY)
    kept, examined = _core.keep_apart(rows, order, 0.9, 300, False, 2, None)
    expected = []
    for row in order:
        if not expected or cosines[row, expected].max() < np.float32(0.9):
            expected.append(row)
    assert kept.tolist() == expected
    assert examined == 300
    first, examined = _core.keep_apart(rows, order, 0.9, 5, False, None, None)
    assert first.tolist() == expected[:5]
    assert examined == order.tolist().index(expected[4]) + 1


def test_marginal_relevance_by_its_words(embeddings, cosines):
    scores = np.random.default_rng(2).random(300)
    chosen = np.array([3, 200], np.uint32)
    candidates = np.setdiff1d(EVERY, chosen)
    rows, values = _core.choose_marginal(
        embeddings, chosen, candidates, scores[candidates], 0.4, 20, False, None, None
    )
    taken = chosen.tolist()
    for row, value in zip(rows.tolist(), values, strict=True):
        worth = 0.4 * scores - 0.6 * cosines[:, taken].max(1)
        worth[taken] = -np.inf
        assert row == worth.argmax()
        assert value == pytest.approx(worth[row], abs=1e-6)
        taken.append(row)


def test_facilities_cover_the_graph(embeddings):
    neighbors, similarities = _core.knn_exact(embeddings, 8, None, False, None)
    weights = np.eye(300)
    for row in range(300):
        near = np.maximum(similarities[row], 0)
        weights[row, neighbors[row]] = near
        weights[neighbors[row], row] = near
    rows, gains = _core.locate_facilities(
        neighbors, similarities, 8, EVERY, np.zeros(300), 12, None
    )
    cover = np.zeros(300)
    for row, gain in zip(rows, gains, strict=True):
        all_gains = np.maximum(weights - cover[:, None], 0).sum(0)
        assert gain == pytest.approx(all_gains.max())
        assert gain == pytest.approx(all_gains[row])
        cover = np.maximum(cover, weights[:, row])


def test_bins_go_from_the_typical_to_the_rest(embeddings, cosines):
    bins = _core.divide_bins(embeddings, EVERY, 4, 1.0, False, None, None)
    assert [len(each) for each in bins] == [75] * 4
    assert np.array_equal(np.sort(np.concatenate(bins)), EVERY)
    first = _core.cut_graph(embeddings, EVERY, 75, 1.0, False, None, None)
    assert first.tolist() == bins[0].tolist()
    gains = cosines.sum(0)
    for place, row in enumerate(first):
        left = np.setdiff1d(EVERY, first[:place])
        assert gains[row] >= gains[left].max() - 1e-4
        gains = gains - cosines[row]


def test_a_draw_knows_the_seed_and_the_row():
    scores = np.linspace(0, 3, 300)
    drawn = _core.draw_tempered(EVERY, scores, 1.0, 300, 42)
    assert np.array_equal(np.sort(drawn), EVERY)
    assert drawn.tolist() != _core.draw_tempered(EVERY, scores, 1.0, 300, 43).tolist()
    assert drawn[:9].tolist() == _core.draw_tempered(EVERY, scores, 1.0, 9, 42).tolist()
    half = _core.draw_tempered(EVERY[150:], scores[150:], 1.0, 150, 42)
    assert half.tolist() == [row for row in drawn.tolist() if row >= 150]


def test_importance_finds_the_target():
    pool = ["how to sort a list in python", "a poem of the sea", "sort a python dict", ""]
    weights = _core.weigh_importance(pool, ["python code to sort a list"], 10_000, 1e-8, None, None)
    assert weights.dtype == np.float64
    assert min(weights[0], weights[2]) > weights[1]
    assert weights[3] == 0
    with pytest.raises(TypeError, match="target: expected str in row 0, got int"):
        _core.weigh_importance(pool, [1], 10_000, 1.0, None, None)
    with pytest.raises(ValueError, match="texts: row 1 has a lone surrogate"):
        _core.weigh_importance(["a", "\ud800"], ["a"], 10_000, 1.0, None, None)


def test_leaves_of_a_tree_are_clusters(embeddings):
    leaves = _core.grow_tree(embeddings, 6, 100, 10, 1, False, None, None)
    sizes = np.bincount(leaves)
    assert 0 < sizes.min() <= sizes.max() <= 100
    assert leaves.tolist() == _core.grow_tree(embeddings, 6, 100, 10, 1, False, 1, None).tolist()


def test_what_is_no_embedding_is_refused(embeddings):
    with pytest.raises(TypeError, match="embeddings: expected float32 or float16"):
        _core.keep_apart(embeddings.astype(np.float64), EVERY, 0.9, 1, False, None, None)
    with pytest.raises(ValueError, match="threshold must lie in"):
        _core.keep_apart(embeddings, EVERY, 2.0, 1, False, None, None)


def test_progress_may_stop_it(embeddings):
    def stop(done: int, total: int) -> None:
        raise RuntimeError(f"{done} of {total}")

    with pytest.raises(RuntimeError, match="0 of 300"):
        _core.keep_apart(embeddings, EVERY, 0.9, 1, False, None, stop)
