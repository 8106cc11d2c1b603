"""Greedy k-center: a slow twin, known answers, quotas, threads, Ctrl-C, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_fast.kcenter import choose_centers, most_seconds


def similarities(rows, others):
    """Cosines of rows of small whole numbers, in f64: every dot product is exact."""
    rows, others = rows.astype(np.float64), others.astype(np.float64)
    squares = (rows**2).sum(1)[:, None] * (others**2).sum(1)[None, :]
    cosines = np.zeros(squares.shape)
    np.divide(rows @ others.T, np.sqrt(squares), out=cosines, where=squares > 0)
    return np.clip(cosines, -1, 1).astype(np.float32)


def choose_slow(rows, chosen, candidates, groups, seats):
    """Every distance anew for every choice."""
    chosen, seats, found, distances = list(chosen), list(seats), [], []
    while any(seats):
        places = [
            place
            for place, row in enumerate(candidates)
            if row not in found and seats[groups[place]] > 0
        ]
        open_rows = rows[candidates[places]]
        nearest = np.full(len(places), -1, np.float32)
        if chosen:
            nearest = np.maximum(nearest, similarities(open_rows, rows[chosen]).max(axis=1))
        best = int(np.argmin(nearest))
        row = int(candidates[places[best]])
        seats[groups[places[best]]] -= 1
        chosen.append(row)
        found.append(row)
        distances.append(np.float32(1) - nearest[best])
    return found, distances


@st.composite
def ties(draw):
    size = draw(st.integers(1, 120))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = random.integers(-2, 3, (size, draw(st.integers(1, 40))))
    order = random.permutation(size).astype(np.uint32)
    cut = draw(st.integers(0, size))
    groups = random.integers(0, 3, size - cut).astype(np.uint32)
    there = np.bincount(groups, minlength=3)
    seats = [draw(st.integers(0, int(count))) for count in there]
    dtype = draw(st.sampled_from([np.float32, np.float16]))
    return rows.astype(dtype), order[:cut], order[cut:], groups, seats


@given(ties())
def test_it_is_the_slow_twin(tie):
    rows, chosen, candidates, groups, seats = tie
    expected, distances = choose_slow(rows, chosen, candidates, groups, seats)
    for threads in (1, 2):
        found = choose_centers(
            rows, chosen, candidates, groups=groups, seats=seats, allow_zero=True, threads=threads
        )
        assert found.rows.tolist() == expected
        assert found.distances.tolist() == [float(distance) for distance in distances]


def test_known_answer_on_a_circle():
    angles = np.radians([0, 10, 170, 95, 80])
    rows = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    chosen, candidates = np.array([0], np.uint32), np.array([1, 2, 3, 4], np.uint32)
    groups = np.zeros(4, np.uint32)
    found = choose_centers(rows, chosen, candidates, groups=groups, seats=[3])
    assert found.rows.tolist() == [2, 4, 3]
    expected = 1 - np.cos(np.radians([170, 80, 15]))
    np.testing.assert_allclose(found.distances, expected, atol=1e-6)
    assert np.all(np.diff(found.distances) <= 0)
    first = choose_centers(rows, chosen[:0], candidates[::-1].copy(), groups=groups, seats=[1])
    assert (first.rows.tolist(), first.distances.tolist()) == ([4], [2.0])


def test_it_reports_progress_and_stops():
    rows = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    chosen, candidates = np.arange(100, dtype=np.uint32), np.arange(100, 300, dtype=np.uint32)
    options = {"groups": np.zeros(200, np.uint32), "seats": [20]}
    seen = []
    choose_centers(rows, chosen, candidates, **options, progress=lambda *step: seen.append(step))
    assert seen[0] == (0, 120) and seen[-1] == (120, 120)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)

    def stop(done, total):
        if done >= 110:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        choose_centers(rows, chosen, candidates, **options, progress=stop)


def test_the_bound_grows_with_the_work():
    assert most_seconds(1000, 1000, 500, 1) == pytest.approx(most_seconds(2000, 1000, 500, 2))
    assert most_seconds(1_000_000, 100_000, 384, 2) > 60


def test_misuse_is_named():
    rows = np.eye(3, dtype=np.float32)
    chosen, candidates = np.array([0], np.uint32), np.array([1, 2], np.uint32)
    groups = np.zeros(2, np.uint32)
    with pytest.raises(ValueError, match="group 0 has 3 seats for 2 candidates"):
        choose_centers(rows, chosen, candidates, groups=groups, seats=[3])
    with pytest.raises(ValueError, match=r"chosen and candidates\[2\] = 1 occurs twice"):
        choose_centers(rows, chosen, candidates[[0, 0]], groups=groups, seats=[1])
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        choose_centers(rows, chosen, candidates, groups=groups, seats=[1], threads=0)
    with pytest.raises(TypeError, match=r"embeddings: expected float32 or float16 \(N, d\), got"):
        choose_centers(rows.astype(float), chosen, candidates, groups=groups, seats=[1])
    rows[2] = 0
    with pytest.raises(ValueError, match="row 2 is all zeros"):
        choose_centers(rows, chosen, candidates, groups=groups, seats=[1])
    rows[2, 1] = np.nan
    with pytest.raises(ValueError, match="row 2, column 1 is NaN"):
        choose_centers(rows, chosen, candidates, groups=groups, seats=[1], allow_zero=True)
