"""MoDS: what is good, covers the pool, and is still hard for the model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.kcenter import choose_centers
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Mods(Strategy):
    """Seeds of good quality that cover the pool, and what the model answers badly (MoDS).

    Of the samples whose reward exceeds the threshold, k-center greedy chooses seeds, beginning with
    the highest reward. A model is then tuned on the seeds, and a reward model judges what it
    answers; that is done elsewhere. With those rewards as `necessity_col`, half of the n samples
    (or `seed_samples` of them) are seeds, and the rest are samples of good quality whose answer got
    less than the necessity threshold; of these, k-center greedy goes on from the seeds. Without,
    all n are seeds. The published code takes every bad answer, however many; here n is the
    size of the whole. The distance is cosine.
    """

    name = "mods"
    source = "Du et al. 2023, arXiv 2311.15653"
    needs = "rewards (a column, or scores), embeddings"

    threshold: float = option(0.0, "Reward that the reward of a sample must exceed.")
    reward_col: str | None = option(None, "Column of rewards.  [default: the scores]")
    necessity_col: str | None = option(
        None, "Column of rewards of what a model tuned on the seeds answers."
    )
    necessity_threshold: float = option(0.0, "Reward below which an answer is bad.")
    seed_samples: int | None = option(
        None, "How many of the n are seeds.  [default: half]", least=1
    )

    @property
    def nested(self) -> bool:  # type: ignore[override]
        """Whether the first m of n are the choice for m: not if only a part of them are seeds."""
        return self.necessity_col is None

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the rewards, NaN up to the threshold."""
        rewards = (
            inputs.scores
            if self.reward_col is None
            else inputs.column(self.reward_col, "--reward-col")
        )
        return np.where(rewards > self.threshold, rewards, np.nan)

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Take the seeds, then the farthest of what is necessary."""
        nothing = np.empty(0, dtype=np.uint32)
        if self.necessity_col is None:
            return Picked(
                _farthest(inputs, nothing, candidates.rows, n), "near to a sample that was taken"
            )
        answers = inputs.column(self.necessity_col, "--necessity-col")
        seeds = _farthest(
            inputs, nothing, candidates.rows, min(n, self.seed_samples or (n + 1) // 2)
        )
        bad = answers[candidates.rows] < self.necessity_threshold
        necessary = candidates.rows[bad & ~np.isin(candidates.rows, seeds)]
        more = _farthest(inputs, seeds, necessary, min(n - len(seeds), len(necessary)))
        return Picked(
            np.concatenate([seeds, more]),
            "near to a sample that was taken, or answered well",
            f"beside {len(seeds):,} seeds only {len(necessary):,} samples of good quality are "
            "answered badly; `--seed-samples` can be raised",
        )


def _farthest(
    inputs: Inputs, chosen: NDArray[np.uint32], rows: NDArray[np.uint32], n: int
) -> NDArray[np.uint32]:
    if n == 0:
        return rows[:0]
    features = inputs.features
    return choose_centers(
        features.rows,
        chosen,
        rows,
        groups=np.zeros(len(rows), dtype=np.uint32),
        seats=[n],
        allow_zero=features.allow_zero,
        threads=inputs.threads,
        progress=inputs.progress,
    ).rows
