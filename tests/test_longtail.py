"""Long-tail score: recorded outputs of the published procedure, the formula, edge cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ds2_fast.longtail import score_longtail

GOLDEN = Path(__file__).parent / "golden" / "reference_golden.npz"


def nearest_similarities(embeddings, k):
    rows = embeddings.astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    best = []
    for start in range(0, len(rows), 1000):
        block = rows[start : start + 1000] @ rows.T
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -2
        best.append(-np.sort(-block, axis=1)[:, :k])
    return np.concatenate(best)


@pytest.mark.parametrize("pool", ["up", "diag"])
def test_reference_definition_equals_recorded_scores(pool):
    with np.load(GOLDEN) as golden:
        embeddings, recorded = golden[f"{pool}_embeddings"], golden[f"{pool}_longtail"]
    similarities = nearest_similarities(embeddings, 10)
    scores = score_longtail(similarities, definition="reference")
    # The record is rounded to 4 decimals.
    assert np.abs(scores - recorded).max() <= 1e-4
    rounded = score_longtail(similarities, definition="reference", decimals=4)
    assert (np.abs(rounded - recorded) < 1e-6).mean() > 0.99
    # Both definitions rank alike.
    paper = score_longtail(similarities)
    assert np.corrcoef(paper, scores)[0, 1] > 0.95


@given(arrays(np.float32, (7, 12), elements=st.floats(-1, 1, width=32)), st.integers(1, 12))
def test_paper_definition_is_the_formula(values, k):
    similarities = -np.sort(-values, axis=1)
    mean = (1 - similarities[:, :k]).astype(np.float64).mean(axis=1)
    scores = score_longtail(similarities, k=k)
    np.testing.assert_allclose(scores, 2 / (1 + np.exp(-mean)) - 1, atol=1e-12)
    assert (scores >= 0).all()
    assert (scores <= 0.7616).all()


@given(st.integers(3, 24))
def test_reference_definition_is_the_mean_over_a_doubled_pool(k):
    similarities = np.linspace(0.9, 0.1, 12, dtype=np.float32)[None]
    doubled = np.concatenate([[0, 0], np.repeat(1 - similarities[0].astype(np.float64), 2)])
    score = score_longtail(similarities, k=k, definition="reference")
    np.testing.assert_allclose(score, np.tanh(doubled[:k].mean() / 2), atol=1e-7)


def test_cosines_a_little_past_one_count_as_distance_zero():
    assert score_longtail(np.full((3, 10), 1.000_001, np.float32)).tolist() == [0, 0, 0]


def test_an_empty_pool_has_no_scores():
    assert score_longtail(np.empty((0, 10), np.float32)).shape == (0,)


def test_misuse_is_named():
    similarities = np.full((4, 5), 0.5, np.float32)
    with pytest.raises(ValueError, match="at least 10 columns for k = 10, got 5"):
        score_longtail(similarities)
    with pytest.raises(ValueError, match="k must be at least 1 for this definition, got 0"):
        score_longtail(similarities, k=0)
    with pytest.raises(ValueError, match="definition must be one of"):
        score_longtail(similarities, definition="other")
    with pytest.raises(TypeError, match=r"similarities: expected float32 \(N, L\), got float64"):
        score_longtail(similarities.astype(np.float64))
    for value in (np.nan, np.inf, 2.0):
        broken = similarities.copy()
        broken[2, 0] = value
        with pytest.raises(ValueError, match=r"similarity .+ in row 2, column 0 is no"):
            score_longtail(broken, k=5)
    with pytest.raises(ValueError, match="do not descend at column 1"):
        score_longtail(np.array([[0.1, 0.2]], np.float32), k=2)
