"""Facility location: samples that stand for as many others as they can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ds2_fast import _core
from ds2_fast.strategies.mmr import unit_scores
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, among, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Facility(Strategy):
    """Samples that together are near to all others (facility location on the neighbor graph).

    Greedily maximizes `sum_i max_{j in S} s(i, j)` over the pool, `s` the cosine similarity of
    neighbors in the graph, of a sample to itself 1, of pairs without an edge 0; `weight` adds so
    much of the score, mapped to 0..1, to the gain of a candidate.
    """

    name = "facility"
    source = "Nemhauser et al. 1978; lazy greedy of Minoux 1978"
    needs = "embeddings, neighbors"

    neighbors: int = option(50, "Neighbors of a sample that it can stand for.", least=1, most=255)
    among: float = among()
    weight: float = option(0.0, "How much a score of 1 adds to a gain.", least=0)

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Take what adds most, n times."""
        graph = inputs.neighbors(self.neighbors)
        rows, _ = _core.locate_facilities(
            graph.indices,
            graph.similarities,
            min(self.neighbors, graph.indices.shape[1]),
            candidates.rows,
            self.weight * unit_scores(candidates.scores),
            n,
            inputs.progress,
        )
        return Picked(rows, "stands for too little that is not stood for")
