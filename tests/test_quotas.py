"""Quotas: largest remainder, what is given back, a slow twin, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_fast.errors import PoolError
from ds2_fast.quotas import find_shares, read_groups, seat_groups

NAMES = ("a", "b", "c", "d")


def seat_slow(order, codes, n, wanted, mixed):
    """The three steps, one sample at a time."""
    taken, seats = [], list(wanted)
    for row in order:
        if seats[codes[row]] > 0:
            seats[codes[row]] -= 1
            taken.append(row)
    free = n - sum(wanted)
    for row in order:
        if free and row not in taken and codes[row] not in mixed:
            free -= 1
            taken.append(row)
    for row in order:
        if len(taken) < n and row not in taken:
            taken.append(row)
    return [row for row in order if row in taken]


@st.composite
def rankings(draw):
    size = draw(st.integers(1, 80))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    codes = random.choice(4, size + 10, p=[0.6, 0.25, 0.1, 0.05])
    order = random.permutation(size + 10)[:size].astype(np.uint32)
    shares = [draw(st.integers(0, 10)) / 20 for _ in range(2)]
    mix = {name: share for name, share in zip(NAMES, shares, strict=False) if share}
    return order, codes, draw(st.integers(1, size)), mix, draw(st.integers(0, 5)) / 100


@given(rankings())
def test_it_is_the_slow_twin(ranking):
    order, codes, n, mix, min_share = ranking
    if sum(map(Fraction, map(str, mix.values()))) + 4 * Fraction(str(min_share)) > 1:
        return
    found = seat_groups(order, codes, n, names=NAMES, mix=mix, min_share=min_share)
    mixed = {NAMES.index(name) for name in mix}
    expected = seat_slow(order.tolist(), codes, n, found.wanted.tolist(), mixed)
    assert found.order[:n].tolist() == expected
    assert sorted(found.order.tolist()) == sorted(order.tolist())
    chosen = set(expected)
    rest = [row for row in order.tolist() if row not in chosen]
    assert found.order[n:].tolist() == rest
    there = np.bincount(codes[order], minlength=4)
    got = np.bincount(codes[found.order[:n]], minlength=4)
    assert np.all(got >= np.minimum(found.wanted, there))
    if not found.given_back:
        for code in mixed:
            assert got[code] == found.wanted[code]
    for code, name in enumerate(NAMES):
        exact = mix[name] * n if name in mix else min(min_share * n, there[code])
        assert abs(found.wanted[code] - exact) < 1


def test_shares_are_rounded_by_largest_remainder():
    order, codes = np.arange(90, dtype=np.uint32), np.arange(90) % 3
    seats = seat_groups(order, codes, 10, names="abc", mix={"a": 0.55, "b": 0.26, "c": 0.19})
    # 5.5, 2.6, 1.9: floors 5, 2, 1 and two seats left, to .9 and .6.
    assert seats.wanted.tolist() == [5, 3, 2]
    assert np.bincount(codes[seats.order[:10]]).tolist() == [5, 3, 2]
    # .5 each: the tie goes to the first in the order of the names, the free rest comes last.
    seats = seat_groups(order, codes, 1, names="abc", mix={"b": 0.5})
    assert seats.wanted.tolist() == [0, 1, 0]
    # Shares count as they are written: 0.1 + 0.2 + 0.7 is 1, not more.
    seats = seat_groups(order, codes, 10, names="abc", mix={"a": 0.1, "b": 0.2, "c": 0.7})
    assert seats.wanted.tolist() == [1, 2, 7]


def test_the_free_rest_is_for_the_other_groups():
    order, codes = np.arange(100, dtype=np.uint32), np.repeat([0, 1, 2], [50, 25, 25])
    seats = seat_groups(order, codes, 20, names="abc", mix={"a": 0.25})
    assert np.bincount(codes[seats.order[:20]], minlength=3).tolist() == [5, 15, 0]
    assert seats.order[:20].tolist() == [*range(5), *range(50, 65)]
    assert seats.given_back == 0


def test_seats_without_samples_go_to_the_best_ranked_of_all():
    order, codes = np.arange(60, dtype=np.uint32), np.repeat([0, 1], [50, 10])
    seats = seat_groups(order, codes, 40, names="ab", mix={"a": 0.5, "b": 0.5})
    assert (seats.wanted.tolist(), seats.given_back) == ([20, 20], 10)
    assert np.bincount(codes[seats.order[:40]]).tolist() == [30, 10]
    # No group is outside the mix, so its free half is given back too.
    seats = seat_groups(order, codes, 20, names="ab", mix={"a": 0.25, "b": 0.25})
    assert seats.given_back == 10
    assert np.bincount(codes[seats.order[:20]]).tolist() == [15, 5]


def test_each_group_gets_its_least_share_as_far_as_it_has_samples():
    order, codes = np.arange(200, dtype=np.uint32), np.repeat([0, 1, 2], [150, 48, 2])
    plain = seat_groups(order, codes, 100, names="abc", min_share=0.0)
    assert plain.order.tolist() == order.tolist()
    seats = seat_groups(order, codes, 100, names="abc", min_share=0.05)
    assert np.bincount(codes[seats.order[:100]]).tolist() == [93, 5, 2]
    assert (seats.wanted.tolist(), seats.given_back) == ([5, 5, 2], 0)
    with pytest.raises(PoolError, match=r"the shares of the 3 groups sum to 1\.1, more than 1"):
        seat_groups(order, codes, 100, names="abc", min_share=0.6)


def test_null_is_a_group_of_its_own():
    groups = read_groups(pl.Series("lang", ["en", None, "de", "en", None]))
    assert groups.names == ("de", "en", "null")
    assert groups.codes.tolist() == [1, 2, 0, 1, 2]
    numbers = read_groups(pl.Series("size", [10, 9, None]))
    assert numbers.names == ("10", "9", "null")
    both = read_groups(pl.Series("lang", ["null", None]))
    assert both.names == ("null", "null") and both.codes.tolist() == [0, 1]
    assert find_shares(both.names, {"null": 0.5}) == {0: Fraction(1, 2)}
    with pytest.raises(PoolError, match=r"column `tags` holds List\(String\)"):
        read_groups(pl.Series("tags", [["a"], ["b"]]))


def test_a_mix_that_cannot_be_is_refused():
    with pytest.raises(PoolError, match="there is no group `webb` to mix") as caught:
        find_shares(("books", "web"), {"webb": 0.5})
    assert caught.value.hint == "did you mean `web`? the groups are `books`, `web`"
    with pytest.raises(PoolError) as caught:
        find_shares([f"g{code}" for code in range(40)], {"zzz": 0.5})
    assert caught.value.hint.endswith("`g11` and 28 more")
    for share in (0, -0.1, 1.1, float("nan"), float("inf")):
        with pytest.raises(PoolError, match=r"the share of group `web` must lie in \(0, 1\], got"):
            find_shares(("books", "web"), {"web": share})
    with pytest.raises(PoolError, match=r"the shares of the mix sum to 1\.1, more than 1"):
        find_shares(("books", "web"), {"web": 0.7, "books": 0.4})
    order, codes = np.arange(3, dtype=np.uint32), np.zeros(3, np.int64)
    for n in (0, 4):
        with pytest.raises(ValueError, match=rf"n must lie in 1..3, got {n}"):
            seat_groups(order, codes, n, names="a")
    with pytest.raises(ValueError, match=r"min_share must lie in \[0, 1\], got 2"):
        seat_groups(order, codes, 1, names="a", min_share=2)
