"""Dual sort: known answers, the order against numpy, the published order, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_fast.errors import PoolError
from ds2_fast.selection import rank_samples

SCORES = np.array([5, 4, 4, 5, 4], np.int8)
LONGTAIL = np.array([0.1, 0.3, 0.3, 0.2, 0.5])


@st.composite
def pools(draw):
    size = draw(st.integers(0, 250))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    curated = random.integers(-1, 6, size).astype(np.int8)
    expected = np.where(curated < 0, np.nan, np.clip(curated + random.normal(0, 0.5, size), 0, 5))
    # Few distinct values, so that ties are common.
    return curated, expected, random.integers(0, 40, size) / 50


def test_known_answers():
    paper = rank_samples(SCORES, SCORES.astype(float), LONGTAIL, preset="paper", n=4)
    assert paper.order.tolist() == [3, 0, 4, 1, 2]
    published = rank_samples(SCORES, SCORES.astype(float), LONGTAIL, preset="reference", n=4)
    assert published.order.tolist() == [0, 3, 4, 1]
    assert paper.order.dtype == np.uint32


@given(pools())
def test_paper_order_is_a_lexsort(pool):
    curated, expected, longtail = pool
    ranking = rank_samples(curated, expected, longtail, preset="paper")
    rows = np.flatnonzero(curated >= 0)
    order = rows[np.lexsort((rows, -longtail[rows], -curated[rows]))]
    np.testing.assert_array_equal(ranking.order, order)
    assert ranking.trimmed.size == 0


@given(pools())
def test_default_order_is_a_lexsort_of_buckets_without_outliers(pool):
    curated, expected, longtail = pool
    ranking = rank_samples(curated, expected, longtail)
    rated = np.flatnonzero(curated >= 0)
    limit = np.sort(longtail)[::-1][len(longtail) // 100] if len(longtail) >= 100 else np.inf
    rows = rated[longtail[rated] <= limit]
    bucket = np.floor(expected / 0.25) * 0.25
    order = rows[np.lexsort((rows, -longtail[rows], -bucket[rows]))]
    np.testing.assert_array_equal(ranking.order, order)
    np.testing.assert_array_equal(ranking.bucket, bucket)
    np.testing.assert_array_equal(ranking.trimmed, rated[longtail[rated] > limit])
    assert len(ranking.trimmed) <= len(longtail) // 100


@given(pools(), st.integers(1, 250))
def test_published_order(pool, n):
    curated, expected, longtail = pool
    rated = np.flatnonzero(curated >= 0)
    if n > len(rated):
        return
    chosen = []
    for score in range(5, -1, -1):
        rows = np.flatnonzero(curated == score).tolist()
        wanted = n - len(chosen)
        if len(rows) < wanted:
            chosen += rows
        else:
            chosen += sorted(rows, key=lambda row: (-longtail[row], row))[:wanted]
            break
    ranking = rank_samples(curated, expected, longtail, preset="reference", n=n)
    assert ranking.order.tolist() == chosen


@given(pools(), st.sampled_from(["default", "paper"]))
def test_a_ranking_does_not_depend_on_how_many_are_wanted(pool, preset):
    full = rank_samples(*pool, preset=preset).order
    for n in range(1, len(full), 37):
        assert rank_samples(*pool, preset=preset, n=n).order.tolist() == full.tolist()


@given(pools())
def test_outliers_may_be_kept(pool):
    curated, expected, longtail = pool
    kept = rank_samples(curated, expected, longtail, keep_outliers=True)
    trimmed = rank_samples(curated, expected, longtail)
    assert kept.trimmed.size == 0
    assert sorted(kept.order) == sorted([*trimmed.order, *trimmed.trimmed])
    # Without the outliers the order is the same.
    rest = kept.order[~np.isin(kept.order, trimmed.trimmed)]
    np.testing.assert_array_equal(rest, trimmed.order)


def test_permuting_samples_permutes_the_ranking():
    random = np.random.default_rng(0)
    curated = random.integers(0, 6, 500).astype(np.int8)
    expected, longtail = curated + random.random(500) / 2, random.random(500)
    shuffle = random.permutation(500)
    straight = rank_samples(curated, expected, longtail).order
    shuffled = rank_samples(curated[shuffle], expected[shuffle], longtail[shuffle]).order
    np.testing.assert_array_equal(shuffle[shuffled], straight)


def test_too_large_a_wish_names_both_counts():
    curated = np.ones(200, np.int8)
    curated[:5] = -1
    expected, longtail = np.where(curated < 0, np.nan, 1.0), np.arange(200) / 200
    for preset in ("paper", "reference"):
        with pytest.raises(PoolError) as caught:
            rank_samples(curated, expected, longtail, preset=preset, n=196)
        assert str(caught.value) == (
            "196 samples asked for, but only 195 of 200 are eligible "
            "(5 unrated, 0 set aside as outliers)"
        )
    with pytest.raises(
        PoolError, match=r"only 193 of 200 are eligible \(5 unrated, 2 set aside"
    ) as caught:
        rank_samples(curated, expected, longtail, n=194)
    assert "--keep-outliers" in caught.value.hint
    assert len(rank_samples(curated, expected, longtail, n=193).order) == 193
    assert len(rank_samples(curated, expected, longtail, n=194, keep_outliers=True).order) == 195


def test_an_empty_pool_has_an_empty_ranking():
    empty = np.empty(0)
    for preset in ("default", "paper", "reference"):
        ranking = rank_samples(empty.astype(np.int8), empty, empty, preset=preset)
        assert ranking.order.size == ranking.trimmed.size == ranking.bucket.size == 0


def test_misuse_is_named():
    expected = SCORES.astype(float)
    for n in (0, -3):
        with pytest.raises(ValueError, match=f"n must be at least 1, got {n}"):
            rank_samples(SCORES, expected, LONGTAIL, n=n)
    with pytest.raises(
        ValueError, match="preset must be one of default, paper, reference, got 'best'"
    ):
        rank_samples(SCORES, expected, LONGTAIL, preset="best")
    broken = LONGTAIL.copy()
    broken[3] = np.nan
    for preset in ("default", "paper", "reference"):
        with pytest.raises(ValueError, match=r"longtail\[3\] = NaN is not finite"):
            rank_samples(SCORES, expected, broken, preset=preset)
    with pytest.raises(ValueError, match="longtail has 4 values for 5 curated scores"):
        rank_samples(SCORES, expected, LONGTAIL[:4])
    with pytest.raises(ValueError, match=r"expected\[0\] = NaN is not finite"):
        rank_samples(SCORES, np.full(5, np.nan), LONGTAIL)
    with pytest.raises(TypeError, match=r"curated: expected int8 \(N,\), got int64"):
        rank_samples(SCORES.astype(np.int64), expected, LONGTAIL)
