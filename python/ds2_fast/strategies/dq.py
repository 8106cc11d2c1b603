"""Dataset quantization: a share of every bin, from the most typical samples to the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast import _core
from ds2_fast.strategies.random import share_seats
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, among, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Dq(Strategy):
    """The same share of every bin of a graph cut, at random (dataset quantization).

    Bins of equal size are cut off the candidates one after another: each is filled with the sample
    of the largest `sum_{j in V} s(i, j) - penalty sum_{j in S} s(i, j)`, `V` what the bins before
    left, `S` the bin so far, `s` the cosine similarity. So the first bin is what is most like the
    pool, and the last is what remains. Then the same share of every bin is drawn by the seed,
    rounded by largest remainder, ties to the bin that was cut first. The penalty of 2 is that of
    the published code.
    """

    name = "dq"
    source = "Zhou et al., ICCV 2023, arXiv 2308.10524"
    needs = "embeddings"
    nested = False
    random = True

    among: float = among()
    bins: int = option(10, "Bins that the pool is cut into.", least=1)
    penalty: float = option(2.0, "Weight of the similarity to what its bin holds.", least=0)

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Draw the share of every bin, the first bin first."""
        features = inputs.features
        bins = _core.divide_bins(
            features.rows,
            candidates.rows,
            min(self.bins, len(candidates)),
            self.penalty,
            features.allow_zero,
            inputs.threads,
            inputs.progress,
        )
        seats = share_seats(np.array([len(each) for each in bins]), n)
        random = np.random.default_rng(inputs.seed)
        drawn = [random.permutation(rows)[:share] for rows, share in zip(bins, seats, strict=True)]
        return Picked(np.concatenate(drawn), "not drawn from its bin")
