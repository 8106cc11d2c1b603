"""From a ranking to the chosen samples: duplicates out, quotas kept, the last bucket filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from ds2_fast.duplicates import Distinct, drop_duplicates
from ds2_fast.errors import PoolError
from ds2_fast.quotas import Groups, Seats, find_shares, seat_groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ds2_fast.kcenter import Centers
    from ds2_fast.knn import Neighbors
    from ds2_fast.selection import Ranking

Fill = Literal["longtail", "kcenter"]
FILLS: tuple[Fill, ...] = get_args(Fill)


@dataclass(frozen=True)
class Safeguards:
    """What is asked for beyond the dual sort.

    Attributes:
        dedup: drop samples with a cosine similarity of at least this, in (0, 1], to a better one;
            None keeps all.
        fill: who comes first in the bucket at the cut: the rarest (`longtail`), or those farthest
            from all that is chosen (`kcenter`).
        mix: share of the chosen samples for some groups.
        min_share: least share, in [0, 1], for each group that is not in `mix`.

    Raises:
        ValueError: if a value lies outside its range.
    """

    dedup: float | None = None
    fill: Fill = "longtail"
    mix: Mapping[str, float] | None = None
    min_share: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what lies outside its range."""
        if self.dedup is not None and not 0 < self.dedup <= 1:
            raise ValueError(f"dedup must lie in (0, 1], got {self.dedup}")
        if self.fill not in FILLS:
            raise ValueError(f"fill must be one of {', '.join(FILLS)}, got {self.fill!r}")
        if not 0 <= self.min_share <= 1:
            raise ValueError(f"min_share must lie in [0, 1], got {self.min_share}")

    @property
    def quotas(self) -> bool:
        """Whether groups have shares."""
        return bool(self.mix) or self.min_share > 0

    def params(self) -> dict[str, Any]:
        """What decides the selection, JSON-able."""
        mix = None if self.mix is None else dict(self.mix)
        return {"dedup": self.dedup, "fill": self.fill, "mix": mix, "min_share": self.min_share}

    def check(self, *, preset: str, sizes: tuple[int, ...], groups: Groups | None) -> None:
        """Refuse, before any work, what cannot be done with this run.

        Raises:
            PoolError: if the order of the preset is no ranking, several sizes would not be nested,
                or the groups of the quotas are not known.
        """
        depends = [
            option
            for option, given in (
                ("--fill kcenter", self.fill == "kcenter"),
                ("--mix", bool(self.mix)),
                ("--min-share", self.min_share > 0),
            )
            if given
        ]
        used = ["--dedup"] * (self.dedup is not None) + depends
        if used and preset == "reference":
            raise PoolError(
                f"the `reference` order is a choice of n samples and no ranking, so `{used[0]}` "
                "cannot be applied to it",
                "leave the option out, or use another `--preset`",
            )
        if depends and len(sizes) != 1:
            raise PoolError(
                f"with `{depends[0]}` the choice depends on n, so its subsets are not nested",
                "give one `-n` at a time",
            )
        if self.quotas and groups is None:
            raise PoolError(
                f"`{depends[-1]}` needs the group of every sample, and no column is known for it",
                "name the column with `--group-col`",
            )
        if groups is not None:
            find_shares(groups.names, self.mix or {})


@dataclass(frozen=True)
class Chosen:
    """The chosen samples, and what became of the others.

    Attributes:
        ranking: the dual sort.
        order: uint32, the chosen rows, best first, then the others in the order of the ranking;
            near duplicates are in neither.
        n: how many are chosen; 0 for none.
        plain: uint32 `(n,)`, what the ranking without near duplicates begins with.
        distinct: the near duplicates; None if they were not looked for.
        groups: the group of every sample; None if there are no quotas.
        seats: what the quotas chose; None if there are none.
        candidates: uint32, rows of the bucket at the cut among which k-center chose.
        centers: what it chose; None if it was not asked.
    """

    ranking: Ranking
    order: NDArray[np.uint32]
    n: int
    plain: NDArray[np.uint32]
    distinct: Distinct | None
    groups: Groups | None
    seats: Seats | None
    candidates: NDArray[np.uint32]
    centers: Centers | None


@dataclass(frozen=True)
class Tie:
    """The bucket at the cut.

    Attributes:
        above: uint32, chosen rows that no other could replace, in the order of the ranking.
        candidates: uint32, rows to choose from, in the order of the ranking.
        groups: uint32, the group of each candidate, numbered from 0.
        seats: how many of each group to choose.
    """

    above: NDArray[np.uint32]
    candidates: NDArray[np.uint32]
    groups: NDArray[np.uint32]
    seats: list[int]


def apply_safeguards(
    ranking: Ranking,
    neighbors: Neighbors,
    safeguards: Safeguards,
    *,
    n: int | None,
    groups: Groups | None = None,
    fill: Callable[[Tie], Centers],
) -> Chosen:
    """Take n samples of a ranking: near duplicates out, then quotas, then the fill.

    1. Near duplicates are dropped from the ranking (`drop_duplicates`), so that the next in rank
       move up. Of what is left the first n are chosen.
    2. With quotas, `seat_groups` chooses the n instead: the best-ranked of each group, by its
       share.
    3. With `fill="kcenter"`, quotas or not, everything chosen above the bucket at the cut stays;
       the places in that bucket (of each group, if there are quotas) go to those of its samples
       that are farthest from all that is chosen. How many each group has does not change.

    The first n are nested (the first 1,000 of 2,000 are the 1,000) with 1 alone; 2 and 3 choose
    anew for each n.

    Args:
        ranking: the dual sort, trimmed or not.
        neighbors: the graph of the pool.
        safeguards: what to apply.
        n: how many samples are wanted; None for none, and then only duplicates are dropped.
        groups: the group of every sample; needed for quotas.
        fill: chooses in the bucket at the cut; called if there is anything to choose.

    Returns:
        The chosen rows and what became of the others.

    Raises:
        PoolError: if fewer than n samples are left, or the quotas cannot be.
    """
    distinct, order = None, ranking.order
    if safeguards.dedup is not None:
        distinct = drop_duplicates(order, neighbors, threshold=safeguards.dedup)
        order = distinct.kept
    n = n or 0
    if n > len(order):
        raise _too_many(n, len(order), len(ranking.order))
    plain = order[:n]
    chosen, seats = order, None
    codes = np.zeros(len(ranking.bucket), dtype=np.int64)
    if safeguards.quotas and groups is not None and n:
        codes = groups.codes
        seats = seat_groups(
            order,
            codes,
            n,
            names=groups.names,
            mix=safeguards.mix,
            min_share=safeguards.min_share,
        )
        chosen = seats.order
    candidates, centers = np.empty(0, dtype=np.uint32), None
    if safeguards.fill == "kcenter" and n:
        tie = _tie(order, chosen[:n], ranking.bucket, codes)
        candidates = tie.candidates
        centers = fill(tie) if len(candidates) else None
        if centers is not None:
            first = np.concatenate([tie.above, centers.rows])
            chosen = np.concatenate([first, order[~np.isin(order, first)]])
    return Chosen(
        ranking,
        chosen,
        n,
        plain,
        distinct,
        groups if seats is not None else None,
        seats,
        candidates,
        centers,
    )


def lowest_buckets(
    chosen: NDArray[np.uint32], bucket: NDArray[np.float64], codes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The lowest bucket of the chosen rows of each group, float64 `(G,)`; infinity for none."""
    lowest = np.full(int(codes.max(initial=0)) + 1, np.inf)
    np.minimum.at(lowest, codes[chosen], bucket[chosen])
    return lowest


def _tie(
    order: NDArray[np.uint32],
    chosen: NDArray[np.uint32],
    bucket: NDArray[np.float64],
    codes: NDArray[np.int64],
) -> Tie:
    """Find the samples in the bucket at the cut of each group where some are left out."""
    lowest = lowest_buckets(chosen, bucket, codes)
    at_cut = order[bucket[order] == lowest[codes[order]]]
    taken = np.isin(at_cut, chosen)
    seats = np.bincount(codes[at_cut], weights=taken, minlength=len(lowest)).astype(np.int64)
    contested = seats < np.bincount(codes[at_cut], minlength=len(lowest))
    candidates = at_cut[contested[codes[at_cut]]]
    numbers, groups = np.unique(codes[candidates], return_inverse=True)
    return Tie(
        chosen[~np.isin(chosen, candidates)],
        candidates,
        groups.astype(np.uint32),
        seats[numbers].tolist(),
    )


def _too_many(n: int, left: int, eligible: int) -> PoolError:
    return PoolError(
        f"{n:,} samples asked for, but only {left:,} are left of {eligible:,} eligible ones "
        f"({eligible - left:,} near duplicates)",
        f"ask for at most {left:,} samples with `-n`, or raise `--dedup`",
    )
