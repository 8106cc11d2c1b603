"""Second rater and audit on pools of known truth, and on real raters against gold."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from ds2_fast import _core, embed_lexical
from ds2_fast.calibration import Audit, Calibration, SecondRater, calibrate
from ds2_fast.curation import AUDITED_AWAY, curate
from ds2_fast.errors import PoolError
from ds2_fast.knn import Neighbors, find_neighbors
from ds2_fast.transition import fit_transition
from ds2_fast.trust import check_trust
from synthetic import RATERS, draw_ratings, make_pool


def kappa(ratings, gold):
    """Quadratically weighted kappa over the rated."""
    rated = ratings >= 0
    classes = int(max(ratings.max(), gold.max())) + 1
    table = np.zeros((classes, classes))
    np.add.at(table, (ratings[rated], gold[rated]), 1)
    distance = (np.arange(classes)[:, None] - np.arange(classes)) ** 2
    chance = np.outer(table.sum(1), table.sum(0)) / table.sum()
    return 1 - (distance * table).sum() / (distance * chance).sum()


def rank_correlation(x, y):
    ranks = (pl.Series(np.asarray(each, dtype=float)).rank("average") for each in (x, y))
    return float(np.corrcoef(*ranks)[0, 1])


@pytest.fixture(scope="module", params=["adj", "up"])
def clean(request):
    """Neighbors share their true score: all disagreement is noise."""
    pool = make_pool(6000, request.param)
    neighbors = find_neighbors(pool.embeddings, 50)
    return request.param, pool, neighbors, fit_transition(pool.scores, neighbors, num_classes=6)


def every(step, gold):
    rows = np.arange(0, len(gold), step, dtype=np.uint32)
    return Audit("audit.csv", rows, gold[rows], np.ones(len(rows)))


def test_a_second_rater_with_errors_of_its_own_finds_that_all_is_noise(clean):
    rater, pool, neighbors, transition = clean
    second = draw_ratings(pool.truth, RATERS[rater], np.random.default_rng(9))
    found = calibrate(pool.scores, neighbors, transition, SecondRater("second", second))
    assert found.origin == "second rater"
    assert found.samples == 6000
    assert found.low >= 0.5
    assert 0.75 <= found.noise_share <= found.high
    curated = curate(pool.scores, neighbors, transition, noise_share=found.noise_share)
    assert np.mean(curated.curated == pool.truth) > 0.97


def test_a_rater_who_is_right_is_left_alone():
    # Every rating is deserved, half the samples differ from their cluster; the second errs.
    pool = make_pool(6000, "adj", eps=0.5)
    neighbors = find_neighbors(pool.embeddings, 50)
    transition = fit_transition(pool.truth, neighbors, num_classes=6)
    second = draw_ratings(pool.truth, RATERS["diag"], np.random.default_rng(9))
    found = calibrate(pool.truth, neighbors, transition, SecondRater("second", second))
    assert found.noise_share == 0.0
    assert found.high <= 0.1
    audit = calibrate(pool.truth, neighbors, transition, every(20, pool.truth))
    curated = curate(pool.truth, neighbors, transition, audit=audit.audit)
    assert curated.changed == 0
    assert audit.noise_share == 0.0


def test_the_more_truth_there_is_in_disagreement_the_smaller_the_share():
    shares = []
    for eps in (0.0, 0.5, 0.9):
        pool = make_pool(6000, "adj", eps=eps)
        neighbors = find_neighbors(pool.embeddings, 50)
        transition = fit_transition(pool.scores, neighbors, num_classes=6)
        second = draw_ratings(pool.truth, RATERS["adj"], np.random.default_rng(9))
        evidence = SecondRater("second", second)
        shares.append(calibrate(pool.scores, neighbors, transition, evidence).noise_share)
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]


def test_an_audit_trusts_neighbors_that_know(clean):
    _, pool, neighbors, transition = clean
    found = calibrate(pool.scores, neighbors, transition, every(60, pool.truth))
    assert found.origin == "audit"
    assert found.samples == 100
    assert found.audit.gamma >= 0.5
    assert found.audit.relabels
    assert found.audit.verdict == "neighbors know much about a person's score"
    curated = curate(pool.scores, neighbors, transition, audit=found.audit)
    assert np.mean(curated.curated == pool.truth) > 0.97
    assert rank_correlation(curated.expected, pool.truth) > 0.95


def topic_bias():
    """Neighbors share what the rater adds to the score, and nothing of the score."""
    pool = make_pool(6000, "adj")
    gold = np.random.default_rng(1).permutation(pool.truth)
    scores = np.clip(gold + pool.truth - 2, 0, 5).astype(np.int8)
    neighbors = find_neighbors(pool.embeddings, 50)
    return scores, gold, neighbors, fit_transition(scores, neighbors, num_classes=6)


def test_an_audit_sees_through_neighbors_that_share_the_raters_bias_alone():
    scores, gold, neighbors, transition = topic_bias()
    assert curate(scores, neighbors, transition).information > 0.2
    for step in (20, 60, 120):
        found = calibrate(scores, neighbors, transition, every(step, gold))
        assert found.audit.gamma <= 0.1
        assert not found.audit.relabels
        assert "nothing" in found.audit.verdict
        curated = curate(scores, neighbors, transition, audit=found.audit)
        assert curated.changed == 0
        assert rank_correlation(curated.expected, gold) > rank_correlation(scores, gold) - 0.015


def test_no_hard_label_changes_up_to_a_tenth_and_no_score_at_zero(clean):
    _, pool, neighbors, transition = clean
    audit = calibrate(pool.scores, neighbors, transition, every(20, pool.truth)).audit
    weak = type(audit)(**{**vars(audit), "gamma": 0.1, "relabels": False})
    curated = curate(pool.scores, neighbors, transition, audit=weak)
    assert curated.changed == 0
    assert not np.array_equal(curated.expected, pool.scores)
    none = type(audit)(**{**vars(audit), "gamma": 0.0, "relabels": False})
    curated = curate(pool.scores, neighbors, transition, audit=none)
    assert np.array_equal(curated.expected, pool.scores)
    assert curated.switched_off == AUDITED_AWAY
    trust = check_trust(pool.scores, neighbors, transition, curated)
    assert trust.verdict == "do not curate"
    assert trust.reasons == (AUDITED_AWAY,)


def test_an_audit_drawn_unevenly_measures_the_pool_by_its_weights(clean):
    _, pool, neighbors, transition = clean
    strata = np.where(pool.truth == 3, 0, 1).astype(np.int32)
    rows, weights = _core.draw_stratified(strata, np.array([5.0, 1.0]), 600, 3)
    audit = calibrate(
        pool.scores, neighbors, transition, Audit("x", rows, pool.truth[rows], weights)
    ).audit
    raw = Audit("x", rows, pool.truth[rows], np.ones(len(rows)))
    unweighted = calibrate(pool.scores, neighbors, transition, raw).audit
    share = np.mean(pool.truth == 3)
    assert audit.p[3] == pytest.approx(share, abs=0.03)
    assert unweighted.p[3] > share + 0.2
    assert audit.effective < 600 == pytest.approx(unweighted.effective)


def test_what_was_found_survives_json(clean):
    _, pool, neighbors, transition = clean
    for evidence in (SecondRater("second", pool.truth), every(60, pool.truth)):
        found = calibrate(pool.scores, neighbors, transition, evidence)
        again = Calibration.from_dict(json.loads(json.dumps(found.to_dict())))
        assert again.to_dict() == found.to_dict()
        assert again.words == found.words
    assert Calibration("assumed", 0.5).words == "assumed, not estimated"


def test_too_little_to_go_by_is_refused(clean):
    _, pool, neighbors, transition = clean
    second = np.full(6000, -1, dtype=np.int8)
    second[:499] = 1
    with pytest.raises(PoolError, match=r"`second` shares 499 rated samples with the first, and"):
        calibrate(pool.scores, neighbors, transition, SecondRater("second", second))
    with pytest.raises(PoolError, match=r"audit.csv holds 49 scores, and an audit needs at least"):
        calibrate(pool.scores, neighbors, transition, every(123, pool.truth))


@pytest.fixture(scope="module")
def relevance(data_dir):
    """Six language models judge the relevance of passages; people did too."""
    frame = pl.read_parquet(data_dir / "gold_trec_relevance.parquet")
    texts = [
        "\n".join(row)
        for row in frame.select("instruction", "input", "output").fill_null("").rows()
    ]
    neighbors = find_neighbors(embed_lexical(texts), 50, allow_zero=True)
    raters = {
        name: frame[name].fill_null(-1).to_numpy().astype(np.int8)
        for name in frame.columns
        if name.startswith("rating")
    }
    return frame["gold"].to_numpy().astype(np.int8), raters, neighbors


def test_real_raters_lose_nothing_by_a_second_one(relevance):
    gold, raters, neighbors = relevance
    names = list(raters)
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        scores = raters[name]
        transition = fit_transition(scores, neighbors, num_classes=4)
        found = calibrate(scores, neighbors, transition, SecondRater(other, raters[other]))
        curated = curate(scores, neighbors, transition, noise_share=found.noise_share)
        assert kappa(curated.curated, gold) >= kappa(scores, gold) - 0.005


def test_real_raters_lose_nothing_by_an_audit_of_300(relevance):
    gold, raters, neighbors = relevance
    for seed, scores in enumerate(raters.values()):
        transition = fit_transition(scores, neighbors, num_classes=4)
        strata = scores.astype(np.int32)
        rows, weights = _core.draw_stratified(strata, np.ones(4), 300, seed)
        evidence = Audit("audit", rows, gold[rows], weights)
        audit = calibrate(scores, neighbors, transition, evidence).audit
        curated = curate(scores, neighbors, transition, audit=audit)
        assert np.mean(curated.curated == gold) >= np.mean(scores == gold)
        assert kappa(curated.curated, gold) >= kappa(scores, gold)
        rated = scores >= 0
        before, after = (
            rank_correlation(x[rated], gold[rated]) for x in (scores, curated.expected)
        )
        assert after >= before - 0.015


def test_neighbors_that_say_nothing_are_refused_before_the_audit_is_asked():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, 2000).astype(np.int8)
    indices = np.array([rng.permutation(np.delete(np.arange(60), 0))[:20] for _ in range(2000)])
    indices = ((indices + np.arange(2000)[:, None]) % 2000).astype(np.uint32)
    neighbors = Neighbors(indices, np.zeros(indices.shape, dtype=np.float32))
    transition = fit_transition(scores, neighbors, num_classes=3)
    found = calibrate(scores, neighbors, transition, every(20, scores))
    curated = curate(scores, neighbors, transition, audit=found.audit)
    assert curated.switched_off.startswith("neighbors know")
    assert np.array_equal(curated.curated, scores)
