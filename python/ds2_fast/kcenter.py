"""Greedy k-center: of samples that are equally good, those farthest from what is already chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast import _core
from ds2_fast.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SLOWEST = 5e9
"""Multiply-adds a second on one core, on the safe side: 2.1e10 (portable kernel) and 4.3e10 (AVX2)
were measured on rows of 384, real and random, of which most are ruled out without a product (two
shared cores, 2026-11)."""


@dataclass(frozen=True)
class Centers:
    """Rows chosen, in the order of choice.

    Attributes:
        rows: uint32 `(s,)`.
        distances: float32 `(s,)`, cosine distance of each to the nearest row chosen before it; 2
            where nothing was.
    """

    rows: NDArray[np.uint32]
    distances: NDArray[np.float32]


def choose_centers(
    embeddings: NDArray[np.float32] | NDArray[np.float16],
    chosen: NDArray[np.uint32],
    candidates: NDArray[np.uint32],
    *,
    groups: NDArray[np.uint32],
    seats: Sequence[int],
    allow_zero: bool = False,
    threads: int | None = None,
    progress: Progress = silent,
) -> Centers:
    """Choose the candidates farthest from all that is chosen, one after another.

    Each time the candidate whose smallest cosine distance to any chosen row is largest is chosen,
    ties by place among the candidates; once a group has its seats, its other candidates stand back.
    With nothing chosen at the start, the first candidate is. The result is the same, byte for byte,
    for any number of threads and on any machine.

    Args:
        embeddings: float32 or float16 `(N, d)`, finite.
        chosen: uint32 `(c,)`, rows chosen already.
        candidates: uint32 `(m,)`, rows to choose from, best-ranked first; none of them chosen.
        groups: uint32 `(m,)`, the group of each candidate, 0..G-1.
        seats: G numbers, how many of each group are to be chosen.
        allow_zero: accept rows of zeros, which are at distance 1 from every row.
        threads: threads to use, at least 1; None = one per core.
        progress: called with rows compared and `c + sum(seats)`; raising stops the search.

    Returns:
        The rows and their distances.

    Raises:
        ValueError: if a row does not exist or occurs twice, a group has more seats than candidates,
            or a value is not finite or a row all zeros.
        TypeError: if an array has another dtype or number of dimensions.

    Cost: `m (c + sum(seats)) d` multiply-adds.

    Source: farthest-first traversal (Gonzalez 1985), as k-center greedy in arXiv 1708.00489.

    Example:
        >>> rows = np.array([[1, 0], [1, 0.1], [0, 1], [1, 1]], np.float32)
        >>> candidates, groups = np.array([1, 2, 3], np.uint32), np.zeros(3, np.uint32)
        >>> chosen = np.array([0], np.uint32)
        >>> choose_centers(rows, chosen, candidates, groups=groups, seats=[2]).rows.tolist()
        [2, 3]
    """
    rows, similarities = _core.choose_centers(
        embeddings, chosen, candidates, groups, list(seats), allow_zero, threads, progress
    )
    return Centers(rows, np.float32(1) - similarities)


def most_seconds(candidates: int, compared: int, dim: int, threads: int) -> float:
    """Bound the time `choose_centers` takes: `m (c + sum(seats)) d` multiply-adds.

    Args:
        candidates: how many there are, m.
        compared: rows chosen already and seats, c + sum(seats).
        dim: columns of the embeddings, d.
        threads: cores at work.
    """
    return candidates * compared * dim / (SLOWEST * threads)
