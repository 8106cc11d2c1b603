"""Quotas: how many of the chosen samples each group gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast.errors import PoolError

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

NULL = "null"
"""What samples without a group are called, unless a group has this name."""
_LISTED = 12


@dataclass(frozen=True)
class Groups:
    """The group of every sample.

    Attributes:
        names: the groups, ascending; samples without one are a group of their own, the last.
        codes: int64 `(N,)`, the group of each sample, a place in `names`.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class Seats:
    """Which samples the quotas choose.

    Attributes:
        order: uint32, the n chosen rows in the order of the ranking, then all others, likewise.
        wanted: int64 `(G,)`, seats reserved for each group.
        given_back: reserved seats for which a group had no sample, and free seats for which no
            group outside `mix` had one; the best-ranked of all that were left took them.
    """

    order: NDArray[np.uint32]
    wanted: NDArray[np.int64]
    given_back: int


def read_groups(column: pl.Series) -> Groups:
    """Number the groups of a column of text, numbers or truth values; null is a group of its own.

    Raises:
        PoolError: if the column holds anything else.
    """
    import polars as pl

    if column.dtype.is_nested() or column.dtype in (pl.Object, pl.Binary):
        raise PoolError(
            f"column `{column.name}` holds {column.dtype}, and a group is a text or a number",
            "name another column with `--group-col`",
        )
    text = column.cast(pl.String).alias("group")
    found = text.unique().sort(nulls_last=True).to_frame().with_row_index("code")
    codes = text.to_frame().join(
        found, on="group", how="left", nulls_equal=True, maintain_order="left"
    )["code"]
    names = (NULL if name is None else name for name in found["group"])
    return Groups(tuple(names), codes.cast(pl.Int64).to_numpy())


def find_shares(names: Sequence[str], mix: Mapping[str, float]) -> dict[int, Fraction]:
    """Look up the groups of a mix.

    Args:
        names: all groups, in the order of their codes.
        mix: share of the chosen samples for some of them, each in (0, 1], together at most 1.

    Returns:
        Code to share, exact as written in decimal.

    Raises:
        PoolError: for a group that does not exist, a share outside (0, 1], or too much in all.
    """
    codes = {name: code for code, name in reversed(list(enumerate(names)))}
    shares = {}
    for name, value in mix.items():
        if name not in codes:
            raise PoolError(f"there is no group `{name}` to mix", _advise(name, names))
        share = _exact(value)
        if share is None or not 0 < share <= 1:
            raise PoolError(
                f"the share of group `{name}` must lie in (0, 1], got {value}",
                "give shares such as `--mix web=0.7,books=0.3`",
            )
        shares[codes[name]] = share
    if sum(shares.values()) > 1:
        total = float(sum(shares.values()))
        raise PoolError(
            f"the shares of the mix sum to {total:g}, more than 1",
            "lower some; what is left of 1 is free for all other groups",
        )
    return shares


def seat_groups(
    order: NDArray[np.uint32],
    codes: NDArray[np.int64],
    n: int,
    *,
    names: Sequence[str],
    mix: Mapping[str, float] | None = None,
    min_share: float = 0.0,
) -> Seats:
    """Choose n rows of a ranking so that groups get their shares.

    1. Seats are reserved: for a group of `mix` its share of n, for every other group `min_share` of
       n, or all its samples if they are fewer. Shares are rounded by largest remainder: floors
       first, then one seat each to the largest remainders (the free rest takes part), ties in the
       order of `names`, the free rest last. The best-ranked samples of a group take its seats; for
       a group of `mix` with too few samples, the seats left are given back.
    2. The free seats go to the best-ranked samples of the groups that are not in `mix`; those for
       which there are none are given back.
    3. Seats given back go to the best-ranked of all samples that are left.

    Args:
        order: uint32 `(m,)`, the ranking, best first, `m >= n`.
        codes: int64 `(N,)`, the group of each row.
        n: how many to choose.
        names: the groups, in the order of their codes.
        mix: share of n for some groups, each in (0, 1], together at most 1.
        min_share: share of n, in [0, 1], for each group that is not in `mix`.

    Returns:
        The chosen rows first, and the seats.

    Raises:
        PoolError: if the mix cannot be, or the shares sum to more than 1.
        ValueError: if `n` or `min_share` lies outside its range.

    Cost: O(m log m).

    Source: largest remainder (Hamilton's method).
    """
    if not 1 <= n <= len(order):
        raise ValueError(f"n must lie in 1..{len(order)}, got {n}")
    least = _exact(min_share)
    if least is None or not 0 <= least <= 1:
        raise ValueError(f"min_share must lie in [0, 1], got {min_share}")
    ranked = codes[order]
    available = np.bincount(ranked, minlength=len(names))
    shares = find_shares(names, mix or {})
    wanted = _reserve(available, shares, least, n)
    mixed = np.isin(np.arange(len(names)), list(shares))
    taken = _places_in_groups(ranked) < wanted[ranked]
    free = n - int(wanted.sum())
    outside = np.flatnonzero(~taken & ~mixed[ranked])[:free]
    taken[outside] = True
    given_back = n - int(np.count_nonzero(taken))
    taken[np.flatnonzero(~taken)[:given_back]] = True
    return Seats(np.concatenate([order[taken], order[~taken]]), wanted, given_back)


def _reserve(
    available: NDArray[np.int64], shares: Mapping[int, Fraction], least: Fraction, n: int
) -> NDArray[np.int64]:
    """Round the seats of every group by largest remainder."""
    exact = [
        shares[code] * n if code in shares else min(least * n, Fraction(int(there)))
        for code, there in enumerate(available)
    ]
    free = n - sum(exact)
    if free < 0:
        asked = float(sum(exact) / n)
        raise PoolError(
            f"the shares of the {len(exact):,} groups sum to {asked:.3g}, more than 1",
            "lower `--min-share`, or the shares of `--mix`",
        )
    seats = [int(part) for part in (*exact, free)]
    remainders = [part - seat for part, seat in zip((*exact, free), seats, strict=True)]
    largest = sorted(range(len(seats)), key=lambda code: -remainders[code])
    for code in largest[: n - sum(seats)]:
        seats[code] += 1
    return np.array(seats[:-1], dtype=np.int64)


def _places_in_groups(ranked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the samples of each group from 0, in the order of the ranking."""
    by_group = np.argsort(ranked, kind="stable")
    sizes = np.bincount(ranked)
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    places = np.empty(len(ranked), dtype=np.int64)
    places[by_group] = np.arange(len(ranked)) - starts
    return places


def _exact(value: float) -> Fraction | None:
    """The number as it is written: 0.1 is a tenth; None if it is not finite."""
    return Fraction(str(float(value))) if np.isfinite(value) else None


def _advise(name: str, names: Sequence[str]) -> str:
    close = get_close_matches(name, names, n=1)
    guess = f"did you mean `{close[0]}`? " if close else ""
    listed = ", ".join(f"`{other}`" for other in names[:_LISTED])
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return f"{guess}the groups are {listed}{more}"
