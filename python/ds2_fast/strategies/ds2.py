"""DS2 itself, as a scorer that other set rules can follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.selection import Ranking, rank_samples
from ds2_fast.strategies.strategy import Strategy

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Ds2(Strategy):
    """The curated score first, then the long-tail score (DS2).

    Scores are the expected scores in steps of 0.25, rounded down; equal ones are ranked by the
    long-tail score. Unrated samples and the 1 % rarest have none. Alone it is the whole line of
    stages with all its options; as a scorer (`ds2+mmr`) it gives its scores to another set rule.
    """

    name = "ds2"
    source = "Pang et al., ICLR 2025, arXiv 2410.10877"
    needs = "scores, embeddings, neighbors"

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the buckets of the dual sort, float64 `(N,)`; NaN where unrated or set aside."""
        found = inputs.analysis
        curated = found.curated.value
        return _buckets(rank_samples(curated.curated, curated.expected, found.longtail.value))

    def break_ties(self, inputs: Inputs) -> NDArray[np.float64]:
        """Rank equal scores by rarity."""
        return inputs.longtail


@dataclass(frozen=True)
class Ds2Raw(Strategy):
    """The score as rated first, then the long-tail score (DS2 without curation).

    The baseline of the paper that shows what curation brings: the order of `ds2` over the ratings
    as they are.
    """

    name = "ds2-raw"
    source = "Pang et al., ICLR 2025, arXiv 2410.10877, `Ours w/o curation`"
    needs = "scores, embeddings, neighbors"

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the scores as rated, float64 `(N,)`; NaN where unrated or set aside."""
        values = inputs.classes.values
        return _buckets(rank_samples(values, values.astype(np.float64), inputs.longtail))

    def break_ties(self, inputs: Inputs) -> NDArray[np.float64]:
        """Rank equal scores by rarity."""
        return inputs.longtail


def _buckets(ranking: Ranking) -> NDArray[np.float64]:
    bucket = ranking.bucket.copy()
    bucket[ranking.trimmed] = np.nan
    return bucket
