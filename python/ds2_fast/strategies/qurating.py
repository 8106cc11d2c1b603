"""QuRating: draw samples, the better ones more often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.strategies.random import take_shares
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class QuRating(Strategy):
    """Samples drawn in proportion to exp(score / tau), without replacement (QuRating).

    Drawn by Gumbel top-k: the n largest of `s / tau + g`, `g` standard Gumbel noise. The
    scores are those of the pool, or of a scorer before it, less their mean and over their standard
    deviation among the candidates. A temperature tau near 0 takes the best, a high one draws
    uniformly; 2 is that of the paper's best models, its script has 1 and does not normalize unless
    told to. The paper's budget is in tokens; here it is n samples.
    """

    name = "qurating"
    source = "Wettig et al., ICML 2024, arXiv 2402.09739"
    needs = "scores"
    random = True

    tau: float = option(2.0, "Temperature: how soft the draw is; near 0 takes the best.", above=0)
    normalize: bool = option(True, "Bring scores to mean 0 and standard deviation 1 first.")
    by_group: bool = option(False, "Keep the share of every group (--group-col).")

    @property
    def nested(self) -> bool:  # type: ignore[override]
        """Whether the first m of n are the choice for m: not where shares are rounded."""
        return not self.by_group

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the scores."""
        return inputs.scores

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Draw n, or of every group its share."""
        scores = standardized(candidates.scores) if self.normalize else candidates.scores
        drawn = _core.draw_tempered(
            candidates.rows,
            scores,
            self.tau,
            len(candidates) if self.by_group else n,
            inputs.seed,
        )
        if self.by_group:
            drawn = take_shares(drawn, inputs.groups.codes[drawn], n)
        return Picked(drawn, "not drawn")


def standardized(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Subtract the mean and divide by the standard deviation of the population; all alike are 0.

    Args:
        scores: float64 `(m,)`, finite.

    Example:
        >>> standardized(np.array([1.0, 3.0])).tolist()
        [-1.0, 1.0]
    """
    centered = scores - scores.mean()
    spread = scores.std()
    return centered / spread if spread > 0 else np.zeros_like(scores)
