"""Reference and paper mode: recorded outputs of the published procedure, slow twins, edge cases."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ds2_fast.errors import PoolError
from ds2_fast.published import (
    curate_paper,
    curate_reference,
    fit_transition_reference,
    neighbors_needed,
)

GOLDEN = Path(__file__).parent / "golden" / "reference_golden.npz"
K = 6
POOLS = ("up", "diag")
STATES = ("s0", "s1", "s2")


def exact_neighbors(embeddings, k):
    """Exact cosine k-NN by full products in f32, self excluded, ties by row."""
    rows = embeddings.astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    indices, similarities = [], []
    for start in range(0, len(rows), 1000):
        block = rows[start : start + 1000] @ rows.T
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -2
        nearest = np.argsort(-block, axis=1, kind="stable")[:, :k]
        indices.append(nearest.astype(np.uint32))
        similarities.append(np.take_along_axis(block, nearest, 1))
    return np.concatenate(indices), np.concatenate(similarities)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as archive:
        return dict(archive)


@pytest.fixture(scope="module")
def graphs(golden):
    return {pool: exact_neighbors(golden[f"{pool}_embeddings"], 50) for pool in POOLS}


@pytest.fixture(scope="module")
def fits(golden, graphs):
    return {
        pool: fit_transition_reference(golden[f"{pool}_ratings"], graphs[pool][0], K)
        for pool in POOLS
    }


@pytest.fixture(scope="module")
def curated(golden, graphs, fits):
    return {
        pool: curate_reference(golden[f"{pool}_ratings"], *graphs[pool], fits[pool].T, fits[pool].p)
        for pool in POOLS
    }


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("pool", POOLS)
def test_the_law_of_the_published_code(golden, fits, curated, pool, state):
    recorded = {
        name: golden[f"{pool}_{state}_{name}"] for name in ("c3", "T", "p", "curated", "flag")
    }
    assert np.abs(fits[pool].c3 - recorded["c3"]).max() <= 2e-3
    assert np.abs(fits[pool].T - recorded["T"]).max() <= 0.02
    assert np.abs(fits[pool].p - recorded["p"]).max() <= 0.01
    assert (curated[pool].curated == recorded["curated"]).mean() >= 0.98
    assert (curated[pool].misrated == recorded["flag"]).mean() >= 0.98


@pytest.mark.parametrize("pool", POOLS)
def test_it_is_as_near_to_recorded_runs_as_they_are_to_each_other(golden, curated, pool):
    runs = [golden[f"{pool}_{state}_curated"] for state in STATES]
    among = np.mean([(a == b).mean() for i, a in enumerate(runs) for b in runs[:i]])
    ours = np.mean([(curated[pool].curated == run).mean() for run in runs])
    assert ours >= among - 0.005


def test_nothing_is_cut_off_in_a_small_pool(fits, curated):
    for pool in POOLS:
        assert fits[pool].truncated_mass < 1e-9
        assert fits[pool].warnings == ()
        assert curated[pool].short_lists == 0
        assert curated[pool].warnings == ()
        assert fits[pool].drawn_share == pytest.approx(7199 / 7999)
        assert not fits[pool].degenerate


def test_short_lists_are_counted_and_said(golden, graphs, fits):
    scores = golden["up_ratings"]
    neighbors, similarities = (np.ascontiguousarray(part[:, :2]) for part in graphs["up"])
    fit = fit_transition_reference(scores, neighbors, K, sample_size=800)
    # Five positions, each drawn with probability f.
    f = 799 / 7999
    assert fit.truncated_mass == pytest.approx((1 - f) ** 5 + 5 * f * (1 - f) ** 4)
    assert fit.warnings == (
        "91.9% of the consensus lies beyond the 2 neighbors kept and is left out",
    )
    found = curate_reference(scores, neighbors, similarities, fits["up"].T, fits["up"].p)
    assert found.short_lists == found.lists == found.visits.sum()
    assert found.warnings == (
        "100.0% of the voting lists found fewer than 10 members among the 2 neighbors kept",
    )


def test_plain_options_count_two_nearest_neighbors(golden, graphs):
    scores, (neighbors, _) = golden["diag_ratings"], graphs["diag"]
    fit = fit_transition_reference(scores, neighbors, K, duplicate=False, sample_size=None)
    counts = np.zeros((K, K, K))
    np.add.at(counts, (scores, scores[neighbors[:, 0]], scores[neighbors[:, 1]]), 1)
    np.testing.assert_allclose(fit.c3, counts / len(scores), atol=1e-12)
    assert fit.truncated_mass == 0


def test_without_twins_the_planted_transition_is_recovered(golden, graphs):
    for pool in POOLS:
        fit = fit_transition_reference(
            golden[f"{pool}_ratings"], graphs[pool][0], K, duplicate=False, sample_size=None
        )
        error = np.abs(fit.T - golden[f"{pool}_T_true"]).sum(axis=1).mean() / 2
        twins = fit_transition_reference(golden[f"{pool}_ratings"], graphs[pool][0], K)
        with_twins = np.abs(twins.T - golden[f"{pool}_T_true"]).sum(axis=1).mean() / 2
        assert error < with_twins / 2


def test_a_seed_names_its_result(golden, graphs, fits, curated):
    scores = golden["up_ratings"]
    again = curate_reference(scores, *graphs["up"], fits["up"].T, fits["up"].p)
    for name in ("curated", "suggested", "misrated", "p_misrated", "confidence", "visits"):
        np.testing.assert_array_equal(getattr(again, name), getattr(curated["up"], name))
    other = curate_reference(scores, *graphs["up"], fits["up"].T, fits["up"].p, seed=7)
    agreement = (other.curated == again.curated).mean()
    assert 0.98 <= agreement < 1


def test_without_sampling_every_round_is_the_same(golden, graphs, fits):
    scores = golden["up_ratings"]
    plain = {"duplicate": False, "sample_size": None}
    three = curate_reference(scores, *graphs["up"], fits["up"].T, fits["up"].p, rounds=3, **plain)
    assert set(three.visits) == {3}
    assert set(np.unique(three.p_misrated)) == {1 / 5, 4 / 5}


def test_values_keep_their_promises(golden, curated):
    scores, found = golden["up_ratings"], curated["up"]
    assert found.curated.dtype == np.int8
    np.testing.assert_array_equal(found.expected, found.curated)
    assert ((found.p_misrated > 0) & (found.p_misrated < 1)).all()
    assert (found.suggested != scores).all()
    changed = found.curated != scores
    np.testing.assert_array_equal(changed, found.misrated & (found.confidence >= 0.5))
    assert changed.any()
    assert found.visits.max() <= 51


def test_a_threshold_above_one_changes_nothing(golden, graphs, fits):
    scores = golden["up_ratings"]
    found = curate_reference(
        scores, *graphs["up"], fits["up"].T, fits["up"].p, rounds=5, threshold=1.01
    )
    np.testing.assert_array_equal(found.curated, scores)
    found = curate_paper(scores, *graphs["up"], fits["up"].T, fits["up"].p, threshold=1.01)
    np.testing.assert_array_equal(found.curated, scores)


def test_unrated_samples_might_as_well_not_be_there(golden):
    embeddings, scores = golden["up_embeddings"][:1500], golden["up_ratings"][:1500].copy()
    rated = np.random.default_rng(3).random(len(scores)) < 0.8
    scores[~rated] = -1
    whole, part = exact_neighbors(embeddings, 100), exact_neighbors(embeddings[rated], 60)
    fit = fit_transition_reference(scores, whole[0], K)
    fit_part = fit_transition_reference(scores[rated], part[0], K)
    np.testing.assert_allclose(fit.c3, fit_part.c3, atol=1e-10)
    for curate in (curate_reference, curate_paper):
        found = curate(scores, *whole, fit.T, fit.p)
        found_part = curate(scores[rated], *part, fit.T, fit.p)
        for name in ("curated", "suggested", "misrated", "p_misrated", "expected"):
            np.testing.assert_array_equal(getattr(found, name)[rated], getattr(found_part, name))
        np.testing.assert_allclose(found.confidence[rated], found_part.confidence, rtol=1e-6)
        assert (found.curated[~rated] == -1).all()
        assert (found.suggested[~rated] == -1).all()
        assert not found.misrated[~rated].any()
        assert np.isnan(found.confidence[~rated]).all()
        assert np.isnan(found.expected[~rated]).all()


def paper_twin(scores, graph, T, p, k=10):
    """Paper mode, sample by sample, for pools without unrated samples."""
    neighbors, similarities = graph
    curated, suggested, confidence, agreement = scores.copy(), [], [], []
    for row, own in enumerate(scores):
        votes = {}
        for neighbor, similarity in zip(neighbors[row, :k], similarities[row, :k], strict=True):
            votes[scores[neighbor]] = votes.get(scores[neighbor], 0.0) + max(float(similarity), 0.0)
        best = max(votes, key=votes.get)
        suggested.append(best)
        confidence.append(votes[best] / sum(votes.values()))
        agreement.append(votes.get(own, 0.0) / np.sqrt(sum(vote**2 for vote in votes.values())))
    misrated = np.zeros(len(scores), bool)
    for score in set(scores.tolist()):
        rows = np.flatnonzero(scores == score)
        share = 1 - min(1, T[score, score] * p[score] / (len(rows) / len(scores)))
        worst = sorted(rows, key=lambda row: (agreement[row], row))
        misrated[worst[: int(np.floor(share * len(rows) + 0.5))]] = True
    change = misrated & (np.array(confidence) >= 0.5)
    curated[change] = np.array(suggested)[change]
    return misrated, np.array(suggested), np.array(confidence), curated


@pytest.mark.parametrize("pool", POOLS)
def test_paper_mode_equals_its_twin(golden, graphs, pool):
    scores = golden[f"{pool}_ratings"]
    T, p = golden[f"{pool}_T_true"], np.full(K, 1 / K)
    found = curate_paper(scores, *graphs[pool], T, p)
    misrated, suggested, confidence, curated = paper_twin(scores, graphs[pool], T, p)
    np.testing.assert_array_equal(found.misrated, misrated)
    np.testing.assert_array_equal(found.suggested, suggested)
    np.testing.assert_allclose(found.confidence, confidence, rtol=1e-12)
    np.testing.assert_array_equal(found.curated, curated)
    assert misrated.any()
    assert np.isnan(found.p_misrated).all()


@pytest.mark.parametrize("pool", POOLS)
def test_paper_mode_mends_a_clusterable_pool(golden, graphs, pool):
    scores, truth = golden[f"{pool}_ratings"], golden[f"{pool}_truth"]
    p = np.bincount(truth, minlength=K) / len(truth)
    found = curate_paper(scores, *graphs[pool], golden[f"{pool}_T_true"], p)
    wrong = scores != truth
    precision = wrong[found.misrated].mean()
    recall = found.misrated[wrong].mean()
    assert min(precision, recall) > 0.75
    assert (found.curated == truth).mean() > (scores == truth).mean() + 0.1


def test_progress_counts_rounds_and_may_stop(golden, graphs, fits):
    seen = []
    pool = (golden["up_ratings"], *graphs["up"], fits["up"].T, fits["up"].p)
    curate_reference(*pool, rounds=5, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (5, 5)

    def stop(done, total):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        curate_reference(*pool, progress=stop)


def test_constant_scores_are_degenerate_and_stay():
    ring = ((np.arange(40)[:, None] + np.arange(1, 13)) % 40).astype(np.uint32)
    similarities = np.broadcast_to(np.linspace(0.9, 0.5, 12, dtype=np.float32), ring.shape).copy()
    scores = np.full(40, 2, np.int8)
    fit = fit_transition_reference(scores, ring, 4)
    assert fit.degenerate
    assert np.isfinite(fit.T).all()
    for curate in (curate_reference, curate_paper):
        np.testing.assert_array_equal(
            curate(scores, ring, similarities, fit.T, fit.p).curated, scores
        )


def test_a_pool_without_scores_is_the_users_to_mend():
    ring = ((np.arange(40)[:, None] + np.arange(1, 13)) % 40).astype(np.uint32)
    scores = np.full(40, -1, np.int8)
    scores[0] = 1
    with pytest.raises(PoolError, match="only 1 of 40 samples are rated") as caught:
        fit_transition_reference(scores, ring, 4)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores": np.array([0, 1, 9, 1], np.int8)}, "score 9 of row 2 is not in 0..1"),
        (
            {"neighbors": np.array([[1], [2], [3], [4]], np.uint32)},
            "neighbor 4 of row 3 is not a row of the pool",
        ),
        (
            {"neighbors": np.array([[0], [2], [3], [0]], np.uint32)},
            "neighbor 0 of row 0 is the sample itself",
        ),
        (
            {"similarities": np.array([[0.5], [np.nan], [0], [0]], np.float32)},
            "similarity NaN in row 1, column 0 is not finite",
        ),
        (
            {"similarities": np.array([[0.5], [7], [0], [0]], np.float32)},
            "is no cosine in [-1, 1]",
        ),
        ({"T": np.eye(2) * 0.9}, "row 0 of T must hold probabilities"),
        ({"T": np.eye(3)}, "T must be (K, K) and p (K,)"),
        ({"threshold": float("nan")}, "threshold must be a number"),
    ],
)
def test_misuse_is_named(change, message):
    pool = {
        "scores": np.array([0, 1, 0, 1], np.int8),
        "neighbors": np.array([[1], [2], [3], [0]], np.uint32),
        "similarities": np.full((4, 1), 0.5, np.float32),
        "T": np.eye(2),
        "p": np.full(2, 0.5),
        "threshold": 0.5,
    }
    with pytest.raises(ValueError, match=re.escape(message)):
        curate_reference(**{**pool, **change})
    with pytest.raises(ValueError, match=re.escape(message)):
        curate_paper(**{**pool, **change}, k=1)


def test_wrong_types_and_options_are_named(golden, graphs, fits):
    scores, (neighbors, similarities) = golden["up_ratings"], graphs["up"]
    T, p = fits["up"].T, fits["up"].p
    with pytest.raises(TypeError, match=r"scores: expected int8 \(N,\), got int64"):
        curate_paper(scores.astype(np.int64), neighbors, similarities, T, p)
    with pytest.raises(TypeError, match=r"similarities: expected float32 \(N, L\), got float64"):
        curate_paper(scores, neighbors, similarities.astype(np.float64), T, p)
    with pytest.raises(ValueError, match="neighbors: expected a C-contiguous array"):
        curate_paper(scores, neighbors[:, ::2], similarities, T, p)
    with pytest.raises(ValueError, match=r"k must lie in 1..=50"):
        curate_paper(scores, neighbors, similarities, T, p, k=51)
    with pytest.raises(ValueError, match="rounds must be at least 1, got 0"):
        curate_reference(scores, neighbors, similarities, T, p, rounds=0)
    with pytest.raises(ValueError, match=r"num_classes must be in 2..16, got 17"):
        fit_transition_reference(scores, neighbors, 17)


def test_read_only_maps_go_in_as_they_are(golden, graphs, fits, tmp_path, curated):
    paths = [tmp_path / "neighbors.npy", tmp_path / "similarities.npy"]
    for path, part in zip(paths, graphs["up"], strict=True):
        np.save(path, part)
    maps = [np.load(path, mmap_mode="r") for path in paths]
    found = curate_reference(golden["up_ratings"], *maps, fits["up"].T, fits["up"].p)
    np.testing.assert_array_equal(found.curated, curated["up"].curated)


def test_large_pools_ask_for_longer_lists():
    assert (neighbors_needed(100_000), neighbors_needed(100_001)) == (50, 128)
