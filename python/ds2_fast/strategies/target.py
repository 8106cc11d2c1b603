"""RDS+: samples near to those that are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.strategies.nearness import compare_rows
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, option
from ds2_fast.strategies.targets import place_target

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs

QUERIES = 64
"""Queries that are compared together: 87 MB of similarities for 340,000 samples."""


@dataclass(frozen=True)
class Target(Strategy):
    """The samples nearest to samples that you name, query after query (RDS+).

    The score is the greatest cosine similarity to a query. As a set rule, every query in turn gives
    the candidate nearest to it, then every query its second nearest, and so on; one that has been
    taken already uses up the turn. With `--no-per-query` the best scored are taken instead. The
    paper's embeddings are weighted means of the states of the language model to be tuned; here they
    are those of the pool, whatever made them.
    """

    name = "target"
    source = "Ivison et al. 2025, arXiv 2503.01807"
    needs = "embeddings, a target"

    target: str | None = option(
        None, "File of samples like those that are wanted, in any format of pools.", file=True
    )
    target_embeddings: str | None = option(
        None, "The target's embeddings, where those of the pool were given (.npy).", file=True
    )
    per_query: bool = option(True, "Let every query of the target choose in turn.")

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the greatest similarity to a query."""
        queries = place_target(inputs, self.target, self.target_embeddings)
        best = np.full(len(inputs), -np.inf, dtype=np.float32)
        for start in range(0, len(queries), QUERIES):
            block = queries[start : start + QUERIES]
            near = compare_rows(inputs.features.rows, block, inputs.threads, inputs.progress)
            best = np.maximum(best, near.max(axis=0))
        return best.astype(np.float64)

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Let the queries choose in turn, or take the best."""
        if not self.per_query:
            return Picked(candidates.rows[:n], "less like the target")
        queries = place_target(inputs, self.target, self.target_embeddings)
        nearest = []
        for start in range(0, len(queries), QUERIES):
            block = queries[start : start + QUERIES]
            near = compare_rows(inputs.features.rows, block, inputs.threads, inputs.progress)
            nearest += [highest(each[candidates.rows], n) for each in near]
        # Turn by turn, and in each of them query by query.
        turns = np.array(nearest).T.ravel()
        _, first = np.unique(turns, return_index=True)
        places = turns[np.sort(first)][:n]
        return Picked(candidates.rows[places], "others are nearer to each query")


def highest(values: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """Give the places of the n highest values, highest first, ties by place.

    Args:
        values: `(m,)`, finite, m at least n.
        n: at least 1.

    Example:
        >>> highest(np.array([1, 3, 3, 2], np.float32), 3).tolist()
        [1, 2, 3]
    """
    least = np.partition(values, len(values) - n)[len(values) - n]
    places = np.flatnonzero(values >= least)
    return places[np.argsort(-values[places], kind="stable")[:n]]
