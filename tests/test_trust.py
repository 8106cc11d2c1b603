"""The trust check."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference
from ds2_fast import _core
from ds2_fast.curation import curate
from ds2_fast.knn import Neighbors, find_neighbors
from ds2_fast.transition import fit_transition
from ds2_fast.trust import check_trust
from ds2_fast.verdict import RULE
from synthetic import (
    PRIOR,
    RATERS,
    block_graph,
    draw_ratings,
    make_pool,
    planted_pool,
    random_graph,
)


@st.composite
def graphs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, num_classes = draw(st.integers(30, 300)), draw(st.integers(2, 6))
    scores, neighbors = random_graph(rng, n, 5, num_classes, missing=0.05)
    # Ties of distance are common in real pools: duplicates.
    rounded = np.round(neighbors.similarities, draw(st.sampled_from([1, 6])))
    return scores, Neighbors(neighbors.indices, rounded), num_classes


@given(graphs())
def test_agreement_equals_the_reference(graph):
    scores, neighbors, num_classes = graph
    bins = _core.agreement_by_distance(
        scores, neighbors.indices, neighbors.similarities, num_classes
    )
    expected = reference.agreement_by_distance(scores, neighbors.indices, neighbors.similarities)
    found = np.array([bins[name] for name in ("pairs", "max_distance", "agreement", "chance")]).T
    occupied = found[:, 0] > 0
    np.testing.assert_allclose(found[occupied], np.array(expected)[occupied], rtol=0, atol=1e-12)
    np.testing.assert_array_equal(found[~occupied, 0], np.array(expected)[~occupied, 0])
    assert bins["pairs"].sum() == found[:, 0].sum()


@given(st.integers(0, 2**32), st.integers(400, 800), st.integers(2, 4))
def test_the_close_fit_equals_the_reference(seed, n, num_classes):
    scores, neighbors = block_graph(np.random.default_rng(seed), n, 5, num_classes)
    arguments = (scores, neighbors.indices, neighbors.similarities, num_classes, "ordinal", None)
    found = _core.compare_close_fit(*arguments)
    limit, diagonals = reference.compare_close_fit(*arguments)
    assert found["max_distance"] == pytest.approx(limit, abs=1e-12)
    assert found["diagonal"] == pytest.approx(diagonals[0], abs=1e-4)
    assert found["diagonal_close"] == pytest.approx(diagonals[1], abs=1e-4)


def check(scores, neighbors, num_classes=6, **options):
    transition = fit_transition(scores, neighbors, num_classes=num_classes)
    return check_trust(
        scores, neighbors, transition, curate(scores, neighbors, transition, **options)
    )


@pytest.mark.parametrize("rater", sorted(RATERS))
def test_clusterable_pools_are_trusted(rater):
    pool, neighbors = planted_pool(rater)
    trust = check(pool.scores, neighbors)
    assert trust.verdict == "trust"
    assert trust.reasons == ()
    assert trust.neighbor_information > 0.3
    assert abs(trust.diagonal_close - trust.diagonal) < 0.05
    assert all(bin.lift > 1.4 for bin in trust.bins)
    assert sum(bin.pairs for bin in trust.bins) == 20_000
    assert trust.line.startswith("trust: neighbors know ")
    assert (trust.noise_share, trust.noise_share_origin) == (0.5, "assumed, not estimated")


def test_neighbors_that_know_nothing_are_not_followed():
    rng = np.random.default_rng(0)
    scores = draw_ratings(rng.choice(6, 4000, p=PRIOR), RATERS["adj"], rng)
    trust = check(scores, find_neighbors(rng.standard_normal((4000, 8)).astype(np.float32), 20))
    assert trust.verdict == "do not curate"
    assert trust.reasons[0].startswith("neighbors know no more about these ratings than about the")
    assert trust.p_value > 0.01
    assert trust.share_changed == 0


def test_equal_ratings_are_not_curated():
    rng = np.random.default_rng(0)
    neighbors = find_neighbors(rng.standard_normal((200, 8)).astype(np.float32), 10)
    trust = check(np.full(200, 2, dtype=np.int8), neighbors)
    assert trust.verdict == "do not curate"
    assert trust.reasons == ("all ratings are equal",)
    assert trust.to_dict()["neighbor_information"] is None
    assert "nan" not in trust.line


def test_agreement_that_falls_with_distance_asks_for_care():
    """Half of the clusters are tight and share a true score; in the others only half of them do."""
    rng = np.random.default_rng(9)
    tight = make_pool(10_000, "diag", spread=0.1, seed=1)
    wide = make_pool(10_000, "diag", seed=2)
    strangers = rng.random(10_000) < 0.5
    mixed = np.where(strangers, rng.choice(6, 10_000, p=PRIOR), wide.truth)
    scores = np.concatenate([tight.scores, draw_ratings(mixed, RATERS["diag"], rng)])
    embeddings = np.concatenate([tight.embeddings, wide.embeddings])
    trust = check(scores, find_neighbors(embeddings, 20), noise_share=1.0)
    assert trust.verdict == "use with care"
    assert any("the closest pairs allow at most" in reason for reason in trust.reasons)
    low, high = trust.noise_share_bound
    assert low < (1 - trust.diagonal_close) / (1 - trust.diagonal) < high < 0.8
    # The advice is one that helps.
    assert trust.advice[0] == f"`--noise-share {int(100 * high) / 100:.2f}` or less"
    neighbors, share = find_neighbors(embeddings, 20), int(100 * high) / 100
    helped = check(scores, neighbors, noise_share=share)
    assert helped.reasons == (
        "farther neighbors differ truly, not by rater noise alone, and how much is assumed",
    )
    transition = fit_transition(scores, neighbors, num_classes=6)
    curated = curate(scores, neighbors, transition, noise_share=share)
    estimated = check_trust(
        scores, neighbors, transition, curated, noise_share_origin="audit of 300 samples"
    )
    assert estimated.verdict == "trust"
    assert trust.diagonal_close == pytest.approx(0.7, abs=0.03)
    assert trust.bins[0].lift > 1.5 * trust.bins[-1].lift


def test_few_samples_and_vanished_scores_ask_for_care():
    pool = make_pool(500, "mid", seed=2)
    trust = check(pool.scores, find_neighbors(pool.embeddings, 20), noise_share=1.0)
    assert trust.verdict == "use with care"
    assert "T rests on fewer than 1,080 samples" in trust.reasons
    if trust.vanished:
        assert any(reason.endswith("unused") for reason in trust.reasons)


def test_information_is_measured_where_a_mode_does_not():
    pool = make_pool(2000, "adj")
    neighbors = find_neighbors(pool.embeddings, 20)
    none, bayes = check(pool.scores, neighbors, mode="none"), check(pool.scores, neighbors)
    assert none.neighbor_information == bayes.neighbor_information
    assert none.noise_share is None


def test_the_check_is_json():
    pool = make_pool(60, "adj")
    trust = check(pool.scores, find_neighbors(pool.embeddings, 20))
    found = json.loads(json.dumps(trust.to_dict(), allow_nan=False))
    assert found["rule"] == RULE
    assert [bin["to_share"] for bin in found["bins"]] == [0.01, 0.05, 0.2, 0.5, 1.0]
    assert found["verdict"] in RULE


def test_unsorted_similarities_are_refused():
    pool = make_pool(200, "adj")
    neighbors = find_neighbors(pool.embeddings, 10)
    upside_down = Neighbors(neighbors.indices, np.sort(neighbors.similarities, axis=1))
    with pytest.raises(ValueError, match=r"^similarities of row 0 do not descend"):
        check(pool.scores, upside_down)


def test_small_pools_are_told_so_whatever_the_verdict():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, 300).astype(np.int8)
    trust = check(scores, find_neighbors(rng.standard_normal((300, 8)).astype(np.float32), 20))
    assert trust.verdict == "do not curate"
    assert "T rests on fewer than 1,080 samples" in trust.reasons


def test_a_sparsely_rated_pool_is_checked_all_the_same():
    """One sample in 20 is rated: ten neighbors hold a pair here and there, two never do."""
    rng = np.random.default_rng(1)
    neighbors = find_neighbors(rng.standard_normal((300, 16)).astype(np.float32), 50)
    scores = np.where(np.arange(300) % 20 == 0, rng.integers(0, 6, 300), -1).astype(np.int8)
    for mode in ("bayes", "none"):
        trust = check(scores, neighbors, mode=mode)
        assert np.isnan(trust.diagonal)
        assert np.isnan(trust.diagonal_close)
        assert "nan" not in trust.line
        json.dumps(trust.to_dict(), allow_nan=False)
    assert trust.verdict != "trust"


@pytest.mark.parametrize("num_classes", [2, 6, 11])
@pytest.mark.parametrize("n", [200, 2000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pools_without_information_stay_untouched(n, num_classes, seed):
    """Random vectors; shuffled ratings: small pools and other scales too."""
    rng = np.random.default_rng([n, num_classes, seed])
    groups = np.repeat(rng.standard_normal((n // 20, 12)), 20, axis=0)
    vectors = groups + 0.1 * rng.standard_normal((n, 12))
    truth = np.repeat(rng.integers(0, num_classes, n // 20), 20).astype(np.int8)
    for scores, rows in (
        (rng.permutation(truth), vectors),
        (truth, rng.standard_normal((n, 12))),
    ):
        neighbors = find_neighbors(rows.astype(np.float32), 20)
        transition = fit_transition(scores, neighbors, num_classes=num_classes)
        curated = curate(scores, neighbors, transition, noise_share=1.0)
        trust = check_trust(scores, neighbors, transition, curated)
        assert trust.verdict == "do not curate"
        assert trust.advice
        np.testing.assert_array_equal(curated.curated, scores)
        assert any(line.startswith("no score was changed: neighbors know") for line in trust.words)
    informed = check(truth, find_neighbors(vectors.astype(np.float32), 20), num_classes)
    assert informed.verdict != "do not curate"


def test_the_words_tell_what_was_measured():
    pool, neighbors = planted_pool("adj")
    words = check(pool.scores, neighbors).words
    for start in ("neighbors know ", "the closest 1 % of pairs", "the diagonal of T is ", "50% of"):
        assert sum(line.startswith(start) for line in words) == 1, start
    assert words[-1].endswith("of the scores were changed")
    assert not any(line.startswith(("care", "to move up")) for line in words)
