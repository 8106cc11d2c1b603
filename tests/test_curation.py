"""Evidence of neighbors and Bayes curation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import reference
from ds2_fast import _core
from ds2_fast.curation import ALL_TRUE, curate
from ds2_fast.fitting import fit
from ds2_fast.knn import Neighbors, find_neighbors
from ds2_fast.transition import fit_transition
from ds2_fast.trust import check_trust
from synthetic import RATERS, make_pool, planted_pool, random_graph

T = np.array([[0.9, 0.1], [0.2, 0.8]])
p = np.array([0.5, 0.5])


@st.composite
def rated_graphs(draw):
    """Scores, neighbors, T and p, all random."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, num_classes = draw(st.integers(12, 80)), draw(st.integers(2, 8))
    depth = draw(st.integers(1, min(25, n - 1)))
    scores, neighbors = random_graph(rng, n, depth, num_classes)
    table = rng.random((num_classes, num_classes)) + num_classes * np.eye(num_classes)
    prior = rng.dirichlet(np.ones(num_classes))
    return scores, neighbors, table / table.sum(axis=1, keepdims=True), prior


@given(rated_graphs())
def test_tuning_equals_the_reference(graph):
    scores, neighbors, table, prior = graph
    assume((scores >= 0).any())
    tuning = _core.tune_evidence(scores, neighbors.indices, table, prior)
    expected = reference.tune(scores, neighbors.indices, table, prior)
    candidates = zip(tuning["candidate_k"], tuning["candidate_beta"], strict=True)
    assert [(int(k), float(beta)) for k, beta in candidates] == list(expected)
    np.testing.assert_allclose(
        tuning["candidate_information"], list(expected.values()), rtol=0, atol=1e-10
    )
    best = expected[tuning["k"], tuning["beta"]]
    assert best == pytest.approx(max(expected.values()), abs=1e-10)
    assert tuning["information"] == pytest.approx(best, abs=1e-10)


@given(rated_graphs(), st.floats(0.01, 1), st.floats(0, 1), st.floats(0, 1.2))
def test_curation_equals_the_reference(graph, beta, noise_share, threshold):
    scores, neighbors, table, prior = graph
    k = neighbors.indices.shape[1]
    found = _core.curate(
        scores, neighbors.indices, table, prior, k, beta, noise_share, threshold, False, None
    )
    expected = reference.curate(
        scores, neighbors.indices, table, prior, k, beta, noise_share, threshold
    )
    for name in ("expected", "p_misrated", "confidence", "entropy"):
        np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-9, err_msg=name)
    # Where the two best scores are closer than rounding, either may be named.
    post = reference.posterior(scores, neighbors.indices, table, prior, k, beta, noise_share)
    top = np.sort(post, axis=1)
    clear = (top[:, -1] - top[:, -2] > 1e-9) & (np.abs(top[:, -1] - threshold) > 1e-9)
    np.testing.assert_array_equal(found["suggested"][clear], expected["suggested"][clear])
    np.testing.assert_array_equal(found["curated"][clear], expected["curated"][clear])
    certain = ~(np.abs(expected["p_misrated"] - 0.5) < 1e-9)
    np.testing.assert_array_equal(found["misrated"][certain], expected["misrated"][certain])


def outvoted(own, **options):
    """One sample with three neighbors of score 0, under T and p above."""
    scores = np.array([own, 0, 0, 0], dtype=np.int8)
    indices = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]], dtype=np.uint32)
    options = {"beta": 1.0, "noise_share": 1.0, "fill_missing": False} | options
    return _core.curate(
        scores, indices, T, p, 3, options["beta"], options["noise_share"], 0.5,
        options["fill_missing"], None,
    )  # fmt: skip


def test_known_posteriors():
    sure = outvoted(1)
    assert sure["p_misrated"][0] == pytest.approx(0.919294, abs=5e-7)
    assert sure["misrated"][0]
    assert sure["curated"][0] == 0
    tempered = outvoted(1, beta=1 / 3)
    assert tempered["p_misrated"][0] == pytest.approx(0.36, abs=5e-7)
    assert tempered["curated"][0] == 1
    half = outvoted(1, noise_share=0.5)
    assert half["p_misrated"][0] == pytest.approx(0.433202, abs=5e-7)
    assert half["curated"][0] == 1
    split = _core.split_noise(T, p, 0.5)
    np.testing.assert_allclose(split["rater"], [[0.95, 0.05], [0.1, 0.9]], atol=1e-15)
    np.testing.assert_allclose(
        split["heterogeneity"], [[0.941176, 0.058824], [0.117647, 0.882353]], atol=5e-7
    )


def test_an_unrated_sample_hears_its_neighbors_only():
    found = outvoted(-1)
    assert found["expected"][0] == pytest.approx(0.008 / 0.737)
    assert np.isnan(found["p_misrated"][0])
    assert found["curated"][0] == -1
    assert outvoted(-1, fill_missing=True)["curated"][0] == 0


@pytest.fixture(scope="module", params=sorted(RATERS))
def planted(request):
    pool, neighbors = planted_pool(request.param)
    return pool, neighbors, fit_transition(pool.scores, neighbors, num_classes=6)


def test_misrated_samples_are_found_and_mended(planted):
    pool, neighbors, transition = planted
    curated = curate(pool.scores, neighbors, transition, noise_share=1.0)
    wrong = pool.scores != pool.truth
    hits = np.count_nonzero(curated.misrated & wrong)
    assert 2 * hits / (curated.misrated.sum() + wrong.sum()) >= 0.98
    assert (curated.curated == pool.truth).mean() >= 0.98
    assert curated.information > 0.3
    assert curated.switched_off is None
    assert curated.vanished == ()
    assert curated.changed == np.count_nonzero(curated.curated != pool.scores)
    # Confidence means what it says: it is off by no more than 1 % in the mean.
    right = (curated.suggested == pool.truth).mean()
    assert curated.confidence.mean() == pytest.approx(right, abs=0.01)


def test_soft_scores_are_better_than_raw_ones_at_any_noise_share(planted):
    pool, neighbors, transition = planted
    raw = np.corrcoef(pool.scores, pool.truth)[0, 1]
    for noise_share in (0.25, 0.5, 0.75, 1.0):
        curated = curate(pool.scores, neighbors, transition, noise_share=noise_share)
        assert np.corrcoef(curated.expected, pool.truth)[0, 1] > raw + 0.01


@pytest.fixture(scope="module")
def small():
    pool = make_pool(2000, "adj", seed=5)
    neighbors = find_neighbors(pool.embeddings, 20)
    return pool, neighbors, fit_transition(pool.scores, neighbors, num_classes=6)


def test_a_rater_without_noise_is_believed(small):
    pool, neighbors, transition = small
    curated = curate(pool.scores, neighbors, transition, noise_share=0.0)
    np.testing.assert_array_equal(curated.curated, pool.scores)
    np.testing.assert_array_equal(curated.expected, pool.scores)
    assert curated.changed == 0
    assert curated.switched_off == ALL_TRUE
    assert check_trust(pool.scores, neighbors, transition, curated).verdict == "do not curate"


def test_a_threshold_above_one_changes_nothing(small):
    pool, neighbors, transition = small
    curated = curate(pool.scores, neighbors, transition, noise_share=1.0, threshold=1.01)
    np.testing.assert_array_equal(curated.curated, pool.scores)
    assert curated.misrated.any()


def test_reversing_the_scores_reverses_the_curation(small):
    pool, neighbors, transition = small
    mirrored = fit_transition(5 - pool.scores, neighbors, num_classes=6)
    np.testing.assert_allclose(mirrored.T[::-1, ::-1], transition.T, rtol=0, atol=1e-4)
    one, other = (
        curate(scores, neighbors, fit, neighbor_k=10, beta=0.5)
        for scores, fit in ((pool.scores, transition), (5 - pool.scores, mirrored))
    )
    np.testing.assert_allclose(5 - other.expected, one.expected, rtol=0, atol=1e-3)


def test_permuting_samples_permutes_the_result(small):
    pool, neighbors, transition = small
    order = np.random.default_rng(1).permutation(len(pool.scores))
    place = np.argsort(order).astype(np.uint32)
    moved = Neighbors(place[neighbors.indices[order]], neighbors.similarities[order])
    one = curate(pool.scores, neighbors, transition)
    other = curate(pool.scores[order], moved, transition)
    np.testing.assert_array_equal(one.expected[order], other.expected)
    np.testing.assert_array_equal(one.curated[order], other.curated)


def test_mode_none_leaves_the_scores(small):
    _, neighbors, transition = small
    scores = np.where(np.arange(2000) % 7 == 0, -1, np.arange(2000) % 6).astype(np.int8)
    curated = curate(scores, neighbors, transition, mode="none")
    np.testing.assert_array_equal(curated.curated, scores)
    np.testing.assert_array_equal(np.isnan(curated.expected), scores < 0)
    assert curated.noise_share is curated.information is curated.switched_off is None
    assert not curated.misrated.any()
    assert np.isnan(curated.confidence).all()


def test_curation_switches_itself_off_where_neighbors_know_nothing():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, 3000).astype(np.int8)
    neighbors = find_neighbors(rng.standard_normal((3000, 8)).astype(np.float32), 20)
    transition = fit_transition(scores, neighbors, num_classes=6)
    curated = curate(scores, neighbors, transition, noise_share=1.0)
    assert curated.information < 0.01
    assert curated.switched_off.startswith("neighbors know no more about these ratings than")
    assert curated.p_value > 0.01
    assert curated.information_shuffled > 0
    np.testing.assert_array_equal(curated.curated, scores)
    assert curated.mode == "bayes"
    assert curated.changed == 0


def test_equal_ratings_are_left_alone():
    scores = np.full(40, 3, dtype=np.int8)
    neighbors = find_neighbors(np.random.default_rng(0).random((40, 4)).astype(np.float32), 10)
    curated = curate(scores, neighbors, fit_transition(scores, neighbors, num_classes=6))
    assert curated.switched_off == "all rated samples have the same score"
    np.testing.assert_array_equal(curated.curated, scores)


def test_a_score_that_vanishes_is_reported():
    """Two lone samples of score 2 among clusters of 0 and 1 are outvoted by all their neighbors."""
    rng = np.random.default_rng(4)
    cluster = np.repeat(np.arange(2), 500)
    points = np.eye(2)[cluster] + 0.05 * rng.standard_normal((1000, 2))
    scores = np.where(rng.random(1000) < 0.1, 1 - cluster, cluster).astype(np.int8)
    scores[[3, 700]] = 2
    neighbors = find_neighbors(points.astype(np.float32), 20)
    transition = fit_transition(scores, neighbors, num_classes=3)
    curated = curate(scores, neighbors, transition, noise_share=1.0)
    assert curated.vanished == (2,)
    assert transition.unidentified == (2,)


def test_progress_is_told_and_can_stop(small):
    pool, neighbors, transition = small
    seen = []
    curate(pool.scores, neighbors, transition, progress=lambda *step: seen.append(step))
    assert seen[-1] == (2000, 2000)

    def stop(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        curate(pool.scores, neighbors, transition, progress=stop)


def test_bad_options_are_named(small):
    pool, neighbors, transition = small
    for options, message in (
        ({"mode": "magic"}, "mode must be bayes, paper, reference or none, got 'magic'"),
        ({"noise_share": -0.1}, r"noise_share must be in \[0, 1\], got -0.1"),
        ({"threshold": float("nan")}, "threshold must be >= 0, got NaN"),
        ({"neighbor_k": 10}, "neighbor_k and beta must be given together"),
        ({"neighbor_k": 30, "beta": 0.5}, "k = 30 neighbors asked for, at most 20"),
        ({"neighbor_k": 10, "beta": 2.0}, r"beta must be in \(0, 1\], got 2"),
    ):
        with pytest.raises(ValueError, match=message):
            curate(pool.scores, neighbors, transition, **options)
    broken = SimpleNamespace(T=transition.T * 2, p=transition.p, degenerate=False)
    with pytest.raises(ValueError, match="row 0 of T must hold probabilities that sum to 1"):
        curate(pool.scores, neighbors, broken)


@pytest.mark.parametrize("mode", ["paper", "reference"])
def test_the_published_modes_fill_the_same_form(small, mode):
    pool, _, _ = small
    neighbors = find_neighbors(pool.embeddings, 50)
    paper = fit_transition(
        pool.scores, neighbors, num_classes=6, k=2, prior="uniform", strength=1.0
    )
    curated = curate(pool.scores, neighbors, paper, mode=mode)
    assert curated.mode == mode
    assert curated.changed == np.count_nonzero(curated.curated != pool.scores) > 0
    np.testing.assert_array_equal(curated.expected, curated.curated)
    assert np.isnan(curated.entropy).all()
    assert curated.noise_share is None


@pytest.mark.parametrize("mode", ["bayes", "paper", "reference"])
def test_equal_ratings_are_nobodys_mistake(mode):
    scores = np.full(40, 3, dtype=np.int8)
    scores[4] = -1
    neighbors = find_neighbors(np.random.default_rng(0).random((40, 4)).astype(np.float32), 10)
    curated = curate(scores, neighbors, fit(scores, neighbors, 6, mode, 10), mode=mode)
    assert curated.switched_off == "all rated samples have the same score"
    assert not curated.misrated.any()
    np.testing.assert_array_equal(curated.curated, scores)


def test_paper_mode_hears_all_of_a_short_list():
    pool = make_pool(400, "diag")
    graphs = [find_neighbors(pool.embeddings, k) for k in (7, 10, 12)]
    short, ten, more = (
        curate(pool.scores, graph, fit(pool.scores, graph, 6, "paper", 10), mode="paper")
        for graph in graphs
    )
    assert short.changed > 0
    np.testing.assert_array_equal(ten.curated, more.curated)
