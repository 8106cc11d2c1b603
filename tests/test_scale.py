"""Scales: the published compression and linear bins."""

from __future__ import annotations

import numpy as np
import pytest

from ds2_fast.errors import PoolError
from ds2_fast.scale import bin_ratings, compress_ratings


def test_compression_known_answers():
    scores = compress_ratings([0, 1, 4, 5, 6, 7, 8, 9, 10])
    assert scores.tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 5]
    assert scores.dtype == np.int8


def test_unrated_stays_unrated():
    assert compress_ratings([None, 7, np.nan]).tolist() == [-1, 3, -1]
    assert bin_ratings([None, 5], 1, 5, 5).tolist() == [-1, 4]
    assert compress_ratings([]).tolist() == []


@pytest.mark.parametrize("rating", [11, -1, 10.5, np.inf])
def test_off_the_scale_names_the_row(rating):
    with pytest.raises(PoolError, match=r"in row 1 lies outside the scale 0..10") as caught:
        compress_ratings([5, rating])
    assert caught.value.hint


def test_linear_bins():
    assert bin_ratings([1, 2, 3, 4, 5], 1, 5, 5).tolist() == [0, 1, 2, 3, 4]
    bins = bin_ratings(np.arange(101), 0, 100, 6)
    np.testing.assert_array_equal(np.bincount(bins), [17, 17, 16, 17, 17, 17])
    assert (np.diff(bins) >= 0).all()


def test_impossible_scales_are_named():
    with pytest.raises(PoolError, match=r"a scale needs lo < hi, got 5..1"):
        bin_ratings([1], 5, 1, 5)
    with pytest.raises(PoolError, match=r"num_classes must be in 2..16, got 17"):
        bin_ratings([1], 1, 5, 17)
    with pytest.raises(PoolError, match=r"rating 6 in row 0 lies outside the scale 1..5"):
        bin_ratings([6], 1, 5, 5)
