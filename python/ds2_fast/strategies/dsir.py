"""DSIR: draw samples whose words are those of a target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, option
from ds2_fast.strategies.targets import read_target

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Dsir(Strategy):
    """Samples drawn by how much likelier their words are in a target than in the pool (DSIR).

    Words and pairs of words are hashed into buckets; the weight of a text is the sum over these of
    `ln p - ln q`, the shares of the bucket in the target and in the pool, each with `smoothing`
    more. Then n are drawn without replacement in proportion to the weights, by Gumbel top-k. The
    smoothing is that of the published code, whose words are runs of letters and digits and runs of
    symbols, hashed by SHA-256; here letters, numbers and each symbol stand apart.
    """

    name = "dsir"
    source = "Xie et al., NeurIPS 2023, arXiv 2302.03169"
    needs = "texts, a target"
    random = True

    target: str | None = option(
        None, "File of samples like those that are wanted, in any format of pools.", file=True
    )
    buckets: int = option(10_000, "Buckets that words and pairs are hashed into.", least=1)
    smoothing: float = option(1e-8, "Share added to every bucket.", above=0)

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the log-weights."""
        target = read_target(self.name, self.target).texts()
        return _core.weigh_importance(
            inputs.texts, target, self.buckets, self.smoothing, inputs.threads, inputs.progress
        )

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Draw n in proportion to exp(score)."""
        drawn = _core.draw_tempered(candidates.rows, candidates.scores, 1.0, n, inputs.seed)
        return Picked(drawn, "not drawn")
