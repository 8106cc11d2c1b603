"""A semantic tree: the best of every branch of the pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast import _core
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs

ROUNDS = 10
"""Rounds of k-means a split; most samples stay where they are after the first few."""


@dataclass(frozen=True)
class Tree(Strategy):
    """The best of every leaf of a tree of clusters, leaf after leaf (semantic tree).

    Hierarchical spherical k-means sorts the pool into leaves of at most `leaf` samples. Every leaf
    gives its best candidate, then every leaf its second, and so on until there are n: within a
    round the better ones come first. So all leaves have the same quota, as far as they can fill
    it. The other reading of the name, the number of nodes in the tree of an instruction
    (Tree-Instruct), is a number per sample: select by it with `column`.
    """

    name = "tree"
    source = "a tree over embeddings; k-means of Dhillon and Modha, Machine Learning 2001"
    needs = "embeddings"
    random = True

    branching: int = option(10, "Children of a node of the tree.", least=2)
    leaf: int = option(100, "Samples that a leaf holds at most.", least=1)

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Take the best of every leaf, round after round."""
        features = inputs.features
        leaves = _core.grow_tree(
            features.rows,
            self.branching,
            self.leaf,
            ROUNDS,
            inputs.seed,
            features.allow_zero,
            inputs.threads,
            inputs.progress,
        )[candidates.rows]
        by_leaf = np.argsort(leaves, kind="stable")
        sizes = np.bincount(leaves)
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        turn = np.empty(len(candidates), dtype=np.int64)
        turn[by_leaf] = np.arange(len(candidates)) - starts[leaves[by_leaf]]
        # Candidates come best first, and a stable sort leaves them so within a round.
        return Picked(
            candidates.rows[np.argsort(turn, kind="stable")[:n]], "others of its leaf are better"
        )
