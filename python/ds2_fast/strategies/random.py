"""Random samples: the control that nothing should be compared without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.quotas import read_groups
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Random(Strategy):
    """Samples at random, each as likely as any other; the control of every comparison.

    Drawn without replacement by the seed. Stratified, every group has its share of the pool,
    rounded by largest remainder, ties to the group that is named first.
    """

    name = "random"
    source = "uniform sampling without replacement"
    needs = "nothing but the samples"
    random = True

    stratify: str | None = option(None, "Column whose groups keep their share of the pool.")

    @property
    def nested(self) -> bool:  # type: ignore[override]
        """Whether the first m of n are the choice for m: not where shares are rounded."""
        return self.stratify is None

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Draw a number in [0, 1) for every sample."""
        return np.random.default_rng(inputs.seed).random(len(inputs))

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Take the first, or of every group the first of its share."""
        if self.stratify is None:
            return Picked(candidates.rows[:n], "not drawn")
        groups = read_groups(inputs.values(self.stratify, "--stratify"))
        rows = take_shares(candidates.rows, groups.codes[candidates.rows], n)
        return Picked(rows, "not drawn")


def take_shares(rows: NDArray[np.uint32], codes: NDArray[np.int64], n: int) -> NDArray[np.uint32]:
    """Take the first rows of every group, as many as its share of n; the order stays.

    Args:
        rows: uint32 `(m,)`, best first.
        codes: int64 `(m,)`, the group of each, from 0.
        n: how many in all, at most m.

    Example:
        >>> take_shares(np.array([7, 3, 5, 1], np.uint32), np.array([0, 0, 0, 1]), 3).tolist()
        [7, 3, 1]
    """
    seats = share_seats(np.bincount(codes), n)
    place = np.empty(len(codes), dtype=np.int64)
    for code in range(len(seats)):
        inside = np.flatnonzero(codes == code)
        place[inside] = np.arange(len(inside))
    return rows[place < seats[codes]]


def share_seats(sizes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Share n seats in proportion to sizes, by largest remainder, ties to the first.

    Args:
        sizes: int64 `(G,)`, together at least `n`.
        n: seats.

    Returns:
        int64 `(G,)`, together `n`, none above its size.

    Example:
        >>> share_seats(np.array([5, 3, 2]), 4).tolist()
        [2, 1, 1]
    """
    total = int(sizes.sum())
    seats = sizes * n // total
    remainders = sizes * n - seats * total
    seats[np.argsort(-remainders, kind="stable")[: n - int(seats.sum())]] += 1
    return seats
