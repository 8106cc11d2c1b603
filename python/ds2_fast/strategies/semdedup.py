"""SemDeDup: of samples that mean the same, keep one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.strategies.strategy import Strategy, option
from ds2_fast.strategies.targets import unit_rows
from ds2_fast.strategies.tree import ROUNDS

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs

BRANCHING = 10
PAIRS = 8192
"""Pairs that are decided exactly at a time."""


@dataclass(frozen=True)
class SemDedup(Strategy):
    """Filters out what is too similar to another sample of its cluster (SemDeDup).

    Clusters are the leaves of a tree of spherical k-means. In a cluster, samples are put in order:
    the least similar to the centroid first (`hard`, the default of the paper's code and of NeMo
    Curator), the most similar (`easy`), or at random. Then every sample is dropped whose cosine
    similarity to one before it, dropped or not, exceeds 1 - eps. Pairs that fall into two clusters
    are not looked at: larger clusters find more and take longer.
    """

    name = "semdedup"
    source = "Abbas et al. 2023, arXiv 2303.09540"
    needs = "embeddings"
    random = True

    eps: float = option(0.01, "Cosine distance below which samples are duplicates.", above=0)
    cluster_size: int = option(1000, "Samples that a cluster holds at most.", least=2)
    keep_which: Literal["hard", "easy", "random"] = option(
        "hard",
        "Who stays of duplicates: far from the centroid, near to it, or any.",
        choices=("hard", "easy", "random"),
    )

    def keep(self, inputs: Inputs) -> NDArray[np.bool_]:
        """Keep what is like nothing before it in its cluster."""
        features = inputs.features
        leaves = _core.grow_tree(
            features.rows,
            BRANCHING,
            self.cluster_size,
            ROUNDS,
            inputs.seed,
            features.allow_zero,
            inputs.threads,
            inputs.progress,
        )
        random = np.random.default_rng(inputs.seed)
        kept = np.ones(len(inputs), dtype=np.bool_)
        members = np.argsort(leaves, kind="stable")
        for rows in np.split(members, np.cumsum(np.bincount(leaves))[:-1]):
            if self.keep_which == "random":
                order = random.permutation(rows)
            else:
                order = rows[_from_centroid(features.rows[rows], near=self.keep_which == "easy")]
            kept[order] = ~repeats(features.rows[order], 1 - self.eps)
        return kept


def _from_centroid(rows: NDArray[Any], *, near: bool) -> NDArray[np.intp]:
    """Order rows by their similarity to the sum of the unit rows, ties by place."""
    units = unit_rows(rows).astype(np.float64)
    similarity = np.einsum("id,d->i", units, units.sum(axis=0))
    return np.argsort(-similarity if near else similarity, kind="stable")


def repeats(rows: NDArray[Any], threshold: float) -> NDArray[np.bool_]:
    """Say which rows are more similar to a row before them than the threshold.

    Args:
        rows: `(m, d)`, float16 or float32; rows of zeros repeat nothing.
        threshold: cosine similarity that must be exceeded.

    Returns:
        bool `(m,)`.

    Similarities are float64. Cost: `m^2 d` multiply-adds in float32, and the pairs near to or above
    the threshold once more.

    Example:
        >>> repeats(np.array([[1, 0], [0, 1], [2, 0]], np.float32), 0.99).tolist()
        [False, False, True]
    """
    units = unit_rows(rows)
    # A BLAS may add in an order that depends on its threads: it only says which pairs to look at.
    # In any order, d rounded products and sums are off by less than d 2^-24 (twice that here).
    slack = (rows.shape[1] + 8) * 2.0**-23
    later, earlier = np.nonzero(np.tril(units @ units.T, -1) > threshold - slack)
    found = np.zeros(len(rows), dtype=np.bool_)
    for start in range(0, len(later), PAIRS):
        some = slice(start, start + PAIRS)
        ones, others = units[later[some]], units[earlier[some]]
        similarity = np.einsum("id,id->i", ones.astype(np.float64), others.astype(np.float64))
        found[later[some][similarity > threshold]] = True
    return found
