"""AlpaGasus: what an LLM rates high, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.strategies.strategy import Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class AlpaGasus(Strategy):
    """Samples that are rated at least 4.5 of 5, the best first (AlpaGasus).

    Equal scores are ranked at random, by the seed, as where others draw a thousand of the many that
    pass. The paper takes all that pass; here n of them.
    """

    name = "alpagasus"
    source = "Chen et al., ICLR 2024, arXiv 2307.08701"
    needs = "scores"
    random = True

    threshold: float = option(4.5, "Lowest score that passes, on the scale of the ratings.")

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the scores, NaN below the threshold."""
        scores = inputs.scores
        return np.where(scores >= self.threshold, scores, np.nan)

    def break_ties(self, inputs: Inputs) -> NDArray[np.float64]:
        """Rank equal scores at random."""
        return np.random.default_rng(inputs.seed).random(len(inputs))
