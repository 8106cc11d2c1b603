"""Intervals of T and p, and the shuffle test."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ds2_fast import artifacts
from ds2_fast.fitting import in_common_form
from ds2_fast.information import compare_with_shuffled, explain_ignorance
from ds2_fast.knn import Neighbors, find_neighbors
from ds2_fast.published import fit_transition_reference
from ds2_fast.transition import fit_transition
from ds2_fast.uncertainty import CONDITIONS, bootstrap_transition
from synthetic import PRIOR, RATERS, draw_ratings, planted_pool


def clusters(n, rater, rng, size=25, width=12):
    """Clusters of one size whose samples share a true score and are each other's neighbors."""
    count = n // size
    scores = draw_ratings(np.repeat(rng.choice(6, count, p=PRIOR), size), RATERS[rater], rng)
    steps = rng.permuted(np.tile(np.arange(1, size), (count * size, 1)), axis=1)[:, :width]
    rows = np.arange(count * size)[:, None]
    indices = (rows // size * size + (rows + steps) % size).astype(np.uint32)
    return scores, Neighbors(indices, np.full(indices.shape, 0.5, np.float32))


@pytest.mark.parametrize(
    ("n", "rater", "least"), [(2_000, "diag", 0.86), (8_000, "up", 0.90), (8_000, "adj", 0.90)]
)
def test_intervals_cover_the_truth(n, rater, least):
    """Of T under a weak prior, of p: 95 % wanted, less where T rests on few clusters of a class."""
    covered_T, covered_p = [], []
    for seed in range(40):
        scores, neighbors = clusters(n, rater, np.random.default_rng(seed))
        transition = fit_transition(scores, neighbors, num_classes=6, prior="uniform", strength=1.0)
        found = bootstrap_transition(scores, neighbors, transition, seed=seed)
        low, high = found.T[..., 0], found.T[..., 1]
        covered_T.append((low <= RATERS[rater]) & (RATERS[rater] <= high))
        covered_p.append((found.p[:, 0] <= PRIOR) & (found.p[:, 1] >= PRIOR))
    assert least <= np.mean(covered_T) <= 0.98
    assert 0.90 <= np.mean(covered_p) <= 0.99


def test_a_larger_pool_has_narrower_intervals():
    widths = []
    for n in (2_000, 32_000):
        scores, neighbors = clusters(n, "diag", np.random.default_rng(1))
        transition = fit_transition(scores, neighbors, num_classes=6)
        found = bootstrap_transition(scores, neighbors, transition)
        widths.append(np.median(found.T[..., 1] - found.T[..., 0]))
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.3)


def test_intervals_hold_the_fit_and_survive_the_run_directory(tmp_path):
    pool, neighbors = planted_pool("adj")
    transition = fit_transition(pool.scores, neighbors, num_classes=6)
    found = bootstrap_transition(pool.scores, neighbors, transition, replicates=50)
    assert np.all(found.T[..., 0] <= transition.T + 1e-3)
    assert np.all(found.T[..., 1] + 1e-3 >= transition.T)
    assert found.settled.min() == 1
    assert found.noise_share_bound[1] > 0.99
    assert (found.level, found.replicates) == (0.95, 50)
    kept = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert kept["conditions"] == CONDITIONS
    files = (tmp_path / "intervals.json",)
    artifacts.INTERVALS.save(found, files)
    again = artifacts.INTERVALS.load(files)
    assert again.to_dict() == found.to_dict()
    np.testing.assert_array_equal(again.T, found.T)


def test_another_seed_resamples_anew():
    scores, neighbors = clusters(2_000, "diag", np.random.default_rng(2))
    transition = fit_transition(scores, neighbors, num_classes=6)
    one, same, other = (
        bootstrap_transition(scores, neighbors, transition, seed=seed).to_dict()
        for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_the_published_fit_has_no_intervals_but_a_bound(tmp_path):
    scores, neighbors = clusters(2_000, "diag", np.random.default_rng(2))
    transition = in_common_form(fit_transition_reference(scores, neighbors.indices, 6))
    found = bootstrap_transition(scores, neighbors, transition)
    assert (found.T, found.p, found.settled) == (None, None, None)
    assert found.noise_share_bound.shape == (2,)
    files = (tmp_path / "intervals.json",)
    artifacts.INTERVALS.save(found, files)
    assert artifacts.INTERVALS.load(files).to_dict() == found.to_dict()


@pytest.mark.parametrize("num_classes", [2, 6, 11])
@pytest.mark.parametrize("n", [200, 2_000])
def test_neighbors_that_know_nothing_seldom_pass(n, num_classes):
    """One pool in 100 may: of 40, four or more happen once in 1,500 times."""
    passed = 0
    for seed in range(40):
        rng = np.random.default_rng([n, num_classes, seed])
        neighbors = find_neighbors(rng.standard_normal((n, 12)).astype(np.float32), 20)
        scores = rng.integers(0, num_classes, n).astype(np.int8)
        test = compare_with_shuffled(scores, neighbors, num_classes, seed=seed)
        passed += explain_ignorance(test.information, test.p_value) is None
    assert passed < 4


def test_neighbors_that_know_something_pass():
    for seed in range(10):
        scores, neighbors = clusters(400, "adj", np.random.default_rng(seed))
        test = compare_with_shuffled(scores, neighbors, 6, seed=seed)
        assert (test.p_value, test.samples) == (0.01, 400)
        assert test.information > test.largest


def test_unrated_samples_are_not_shuffled_in():
    scores, neighbors = clusters(2_000, "diag", np.random.default_rng(0))
    scores[::3] = -1
    test = compare_with_shuffled(scores, neighbors, 6)
    assert (test.samples, test.p_value) == (np.count_nonzero(scores >= 0), 0.01)


def test_why_neighbors_are_not_heard():
    assert explain_ignorance(0.2, 0.01) is None
    assert "shuffled (p = 0.02)" in explain_ignorance(0.2, 0.02)
    assert explain_ignorance(0.009, 0.01) == "neighbors know less than 0.01 nats about a rating"
