"""DEITA: complexity times quality, and none too similar to one that was taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.errors import PoolError
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs

QUALITY = ("quality_score", "quality_scores", "evol_response_score", "DeitaQualityScore")
COMPLEXITY = ("complexity_score", "complexity_scores", "evol_instruction_score")


@dataclass(frozen=True)
class Deita(Strategy):
    """Complexity times quality, then a greedy filter of what is too similar (DEITA).

    The score is the product of a complexity and a quality column, where there are both (columns of
    a known name, or those named), else the one column of scores, which alone can be curated. As a
    set rule it walks down the ranking and takes a sample if its cosine similarity to every one
    taken before is at most the threshold. The threshold was tuned to the paper's embeddings, those
    of LLaMA-1-13B; in other spaces it keeps more or fewer, and where fewer than n are left, fewer
    are taken, said so.
    """

    name = "deita"
    source = "Liu et al., ICLR 2024, arXiv 2312.15685"
    needs = "scores (one column, or complexity and quality), embeddings"

    threshold: float = option(
        0.9, "Cosine similarity to a sample taken above which one is left out.", least=-1, most=1
    )
    quality_col: str | None = option(None, "Column of quality scores.  [default: a known name]")
    complexity_col: str | None = option(
        None, "Column of complexity scores.  [default: a known name]"
    )

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give complexity times quality, or the one score."""
        if inputs.curated and (self.quality_col or self.complexity_col):
            named = "--quality-col" if self.quality_col else "--complexity-col"
            raise PoolError(
                f"`--curate` corrects one column of ratings, and `{named}` names one of two that "
                "`deita` multiplies",
                f"leave out `--curate`, or `{named}` and name the ratings with `--score-col`",
            )
        quality = self.quality_col or inputs.known_column(QUALITY)
        complexity = self.complexity_col or inputs.known_column(COMPLEXITY)
        if inputs.curated or (quality is None and complexity is None):
            return inputs.scores
        if quality is None or complexity is None:
            if self.quality_col is None and self.complexity_col is None:
                return inputs.scores
            missing = "quality" if quality is None else "complexity"
            raise PoolError(
                f"`deita` multiplies two columns, and none is known for the {missing}",
                f"name it with `--{missing}-col`",
            )
        return inputs.column(quality, "--quality-col") * inputs.column(
            complexity, "--complexity-col"
        )

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Take from the best down what is not too similar to what was taken."""
        features = inputs.features
        rows, looked = _core.keep_apart(
            features.rows,
            candidates.rows,
            self.threshold,
            n,
            features.allow_zero,
            inputs.threads,
            inputs.progress,
        )
        return Picked(
            rows,
            "too similar to a better sample",
            f"all {looked:,} candidates but these are too similar to a better one at threshold "
            f"{self.threshold:g}",
            seen=looked,
        )
