"""Which space to seek neighbors in: the one whose neighbors predict the ratings best."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.knn import find_neighbors
from ds2_fast.progress import Progress, silent
from ds2_fast.transition import fit_transition

if TYPE_CHECKING:
    from collections.abc import Mapping

SAMPLE = 50_000
"""Rated samples compared at most: as many as `curate` tunes by. A thin sample parts what belongs
together, and so favors words: of 25,069 query-passage pairs with six raters, every fifth put the
lexical space before the embeddings for all of them, by up to 0.02 nats. All pairs, and four in
five, say the opposite for two raters, and for the others call it a tie within 0.01."""

WIDTH = 50
"""Neighbors sought, as in the graph of a run: the evidence is tuned over up to so many."""

COUNTED = 10
"""Neighbors of the consensus counts, as in the default preset."""

LEAST = 3
"""Rated samples that consensus needs: one and two neighbors."""


@dataclass(frozen=True)
class SpaceInformation:
    """What neighbors in one space know about ratings.

    Attributes:
        space: its name.
        information: nats by which they predict a rating better than chance; 0 if all ratings of the
            sample are equal.
        neighbor_k: neighbors heard for it; 0 if all ratings are equal.
        beta: weight of one neighbor's log likelihood; 0 if all ratings are equal.
    """

    space: str
    information: float
    neighbor_k: int
    beta: float


@dataclass(frozen=True)
class SpaceComparison:
    """Spaces, and the one to take.

    Attributes:
        chosen: name of the space whose neighbors know most; among equals the first given.
        ahead: nats by which it is ahead of the next; 0 if it is alone.
        sampled: samples compared.
        spaces: what was found, in the order given.
    """

    chosen: str
    ahead: float
    sampled: int
    spaces: tuple[SpaceInformation, ...]

    @property
    def line(self) -> str:
        """The comparison in one line, for the terminal."""
        ranked = sorted(self.spaces, key=lambda found: -found.information)
        known = ", ".join(f"{found.space} {found.information:.4f}" for found in ranked)
        return (
            f"took {self.chosen}, {self.ahead:.4f} nats ahead: neighbors know {known} nats about a "
            f"rating, of {self.sampled:,} samples"
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return {**asdict(self), "spaces": [asdict(found) for found in self.spaces]}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> SpaceComparison:
        """Make a comparison of what `to_dict` gave."""
        spaces = tuple(SpaceInformation(**found) for found in stored["spaces"])
        return cls(stored["chosen"], stored["ahead"], stored["sampled"], spaces)


def sample_rated(scores: NDArray[np.int8], size: int = SAMPLE) -> NDArray[np.int64]:
    """Choose the samples that are compared: rated ones, evenly over the pool.

    Args:
        scores: int8 `(N,)`, -1 = unrated.
        size: how many, at most; at least 1.

    Returns:
        int64 `(min(size, R),)`, ascending: of the R rated rows those at `floor(i R / size)`.

    Raises:
        ValueError: if `size` is below 1.

    >>> sample_rated(np.array([3, -1, 2, 5, 1], dtype=np.int8), 2).tolist()
    [0, 3]
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, got {size}")
    rated = np.flatnonzero(scores >= 0)
    if len(rated) <= size:
        return rated
    return rated[np.arange(size) * len(rated) // size]


def compare_spaces(
    spaces: Mapping[str, NDArray[Any]],
    scores: NDArray[np.int8],
    num_classes: int,
    *,
    threads: int | None = None,
    progress: Progress = silent,
) -> SpaceComparison:
    """Compare spaces by what the neighbors in them know about the ratings of the same samples.

    In each space the 50 nearest neighbors among these samples are found, T and p are fitted as in
    the default preset, and the neighbors heard and their weight are tuned as `curate` tunes them.
    The figure is `neighbor_information`: `(1/n) sum_n log P(rating n | neighbors of n)` more than
    the ratings' own distribution gives. Give `sample_rated` rows of a large pool: neighbors within
    a sample are farther than those in the pool and know less, so let it be no smaller than need be.

    More information is not less error: what all samples of a topic share counts too.

    Args:
        spaces: rows float32 or float16 `(n, d)` by name; rows of zeros may occur.
        scores: int8 `(n,)`, 0..K-1; -1 = unrated.
        num_classes: K, 2..16.
        threads: of the neighbor searches; None = one per core. Never changes the result.
        progress: called with spaces done and their number.

    Returns:
        The space to take, and the figures.

    Raises:
        ValueError: if there is no space, the lengths differ, or fewer than 3 samples are rated.

    Cost: for each space one exact graph of n rows: `n^2 d` operations on bytes, and `O(50 n)`.

    Source: leave-self-out predictive likelihood, as in `curate`; not in the paper, which has one
    space.

    >>> scores = np.repeat(np.array([0, 1], dtype=np.int8), 30)
    >>> telling = np.repeat(np.eye(2, dtype=np.float32), 30, axis=0)
    >>> silent_rows = np.tile(np.eye(2, dtype=np.float32), (30, 1))
    >>> compare_spaces({"silent": silent_rows, "telling": telling}, scores, 2).chosen
    'telling'
    """
    if not spaces:
        raise ValueError("there is no space to compare")
    rated = int(np.count_nonzero(scores >= 0))
    if rated < LEAST:
        raise ValueError(f"at least {LEAST} samples must be rated, got {rated}")
    found = []
    for name, rows in spaces.items():
        if len(rows) != len(scores):
            raise ValueError(f"{name}: {len(rows)} rows for {len(scores)} scores")
        found.append(_inform(name, rows, scores, num_classes, threads))
        progress(len(found), len(spaces))
    best = max(found, key=lambda space: space.information)  # the first of equals
    others = [space.information for space in found if space is not best]
    ahead = best.information - max(others) if others else 0.0
    return SpaceComparison(best.space, ahead, len(scores), tuple(found))


def _inform(
    name: str, rows: NDArray[Any], scores: NDArray[np.int8], num_classes: int, threads: int | None
) -> SpaceInformation:
    width = min(WIDTH, len(rows) - 1)
    neighbors = find_neighbors(rows, width, threads=threads, allow_zero=True)
    transition = fit_transition(scores, neighbors, num_classes=num_classes, k=min(COUNTED, width))
    if transition.degenerate:
        return SpaceInformation(name, 0.0, 0, 0.0)
    tuned = _core.tune_evidence(scores, neighbors.indices, transition.T, transition.p)
    return SpaceInformation(name, tuned["information"], tuned["k"], tuned["beta"])
