"""Round after round: rate, learn, rate what the model expects most of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ds2_fast.budget.design import Design
from ds2_fast.budget.gate import Check, Seen, check
from ds2_fast.budget.levels import Levels, fit_levels
from ds2_fast.budget.model import Model
from ds2_fast.errors import BudgetReachedError
from ds2_fast.progress import Progress, silent

ROUNDS = 8
"""Into how many parts the budget is cut, if each has 100 samples. More find more (16 rounds: a
hundredth of the gain), but each waits for its last answer."""

FEWEST_ROUNDS = 2

CHECK_SHARE = 0.15
"""Of the budget, for the check: a smaller one finds a little more and knows less of it."""

STABLE = 0.98
_UNRATED = -1
_FEWEST_CHECKED = 300
_MOST_OF_BUDGET = 4
_FEWEST_LEARNED = 50
_ROUND = 100


class Answers(NamedTuple):
    """What a rater says about some samples.

    Attributes:
        scores: int8, 0..K-1, -1 = no readable rating.
        asked: bool, whether the sample was asked at all.
    """

    scores: NDArray[np.int8]
    asked: NDArray[np.bool_]


@dataclass(frozen=True)
class Spent:
    """What a budget bought.

    Attributes:
        scores: int8 `(N,)`, the ratings; -1 = not asked, or no readable rating.
        asked: bool `(N,)`.
        distribution: float32 `(N, K)`, predicted probability of each class, for every sample.
        check: what the random share says; None if all samples were asked.
        rounds: rounds that were run.
        stopped: why no more was asked: `stable`, `spent`, or `all`.
    """

    scores: NDArray[np.int8]
    asked: NDArray[np.bool_]
    distribution: NDArray[np.float32]
    check: Check | None
    rounds: int
    stopped: str


def spend(
    ask: Callable[[NDArray[np.int64]], Answers],
    design: Design,
    budget: int,
    n: int,
    *,
    num_classes: int,
    seed: int,
    open_end: bool = False,
    progress: Progress = silent,
) -> Spent:
    """Rate part of a pool, where the n best samples are to be expected.

    The budget is cut into 8 rounds, or 2 to 7 of 100 samples. The first rates random samples, each
    later one those of the highest predicted score, by ridge regression on what is rated. Before the
    first, 15 % of the budget (at least 300 samples, at most a quarter) is set aside at random; a
    share of it is rated in every round and never learned from. The same seed and the same answers
    give the same samples, so a run that was killed asks for what it had asked for.

    It ends when the budget is spent, or when the check says that at least 98 % of the selection
    would stay if all were rated (lower 95 % bound); then the samples set aside that would have
    been chosen are rated, too.

    Args:
        ask: rates samples, given by their rows, best first; may leave some out when money ends.
        design: model columns of the N samples.
        budget: samples that may be asked, at least 2.
        n: size of the selection.
        num_classes: K.
        seed: of everything random.
        open_end: go on in rounds of the same size after the budget, until `ask` leaves some out:
            for a budget in dollars, whose number of samples is an estimate.
        progress: called with samples asked and the budget.

    Returns:
        Ratings, predictions and the check.

    Raises:
        BudgetReachedError: if the money ends before 50 samples to learn from are rated.
        ValueError: if the budget is below 8 or n below 1.

    Cost: a round takes O(N width) and O(ratings width²); memory is O(width²) and a block of rows.
    """
    if budget < FEWEST_ROUNDS:
        raise ValueError(f"budget must be at least {FEWEST_ROUNDS} samples, got {budget}")
    if n < 1:
        raise ValueError(f"n must be at least 1, got {n}")
    spree = _Spree(
        ask,
        design,
        budget=min(budget, len(design)),
        n=n,
        num_classes=num_classes,
        seed=seed,
        progress=progress,
    )
    return spree.run(open_end=open_end)


class _Spree:
    """The state of one call of `spend`."""

    def __init__(
        self,
        ask: Callable[[NDArray[np.int64]], Answers],
        design: Design,
        *,
        budget: int,
        n: int,
        num_classes: int,
        seed: int,
        progress: Progress,
    ) -> None:
        size = len(design)
        self._ask, self._progress = ask, progress
        self._budget, self._n, self._classes, self._seed = budget, n, num_classes, seed
        order = np.random.default_rng([seed, 0]).permutation(size)
        share = max(round(CHECK_SHARE * budget), min(_FEWEST_CHECKED, budget // _MOST_OF_BUDGET))
        self._aside, self._others = order[:share], order[share:]
        self._scores = np.full(size, _UNRATED, np.int8)
        self._asked = np.zeros(size, np.bool_)
        self._free = np.ones(size, np.bool_)
        self._free[self._aside] = False
        self._wanted = np.zeros(size, np.bool_)  # of those set aside: would have been chosen
        self._predicted = np.zeros(size)
        self._model = Model(design)
        self._rounds = min(max(budget // _ROUND, FEWEST_ROUNDS), ROUNDS)
        self._revealed = 0  # of those set aside: rated for the check, whatever they are worth
        self._broke = False

    def run(self, *, open_end: bool) -> Spent:
        rounds, found, stopped = 0, None, "spent"
        while rounds < self._rounds or open_end:
            self._one_round(rounds)
            rounds += 1
            if self._asked.all():
                return self._result(rounds, None, "all")
            if self._broke:
                break
            found = self._check()
            if found.precision.low >= STABLE and found.rows >= _FEWEST_CHECKED:
                self._rate(self._aside[self._wanted[self._aside] & ~self._asked[self._aside]])
                stopped = "stable"
                break
        return self._result(rounds, self._check(), stopped)

    def _one_round(self, number: int) -> None:
        aside_from, aside_to = self._part(len(self._aside), number)
        start, end = self._part(self._budget, number)
        if number >= self._rounds:  # the end is open: one more like the last
            start, end = self._part(self._budget, self._rounds - 1)
        count = (end - start) - (aside_to - aside_from)
        if number == 0:
            chosen = self._others[:count]
        else:
            free = np.flatnonzero(self._free)
            chosen = free[np.argsort(-self._predicted[free], kind="stable")[:count]]
            if len(chosen):
                lowest = self._predicted[chosen[-1]]
                self._wanted[self._aside] |= self._predicted[self._aside] >= lowest
        self._free[chosen] = False
        self._revealed = aside_to
        self._rate(np.concatenate([self._aside[aside_from:aside_to], chosen]))
        learned = chosen[self._scores[chosen] != _UNRATED]
        self._model.learn(learned, self._scores[learned])
        if len(self._model.rows) < min(_FEWEST_LEARNED, self._budget // _MOST_OF_BUDGET):
            raise BudgetReachedError(
                f"{len(self._model.rows):,} ratings are too few to learn from",
                "raise `--budget`; nothing that is stored is bought again",
            )
        self._predicted = self._model.predict()

    def _part(self, total: int, number: int) -> tuple[int, int]:
        """Where a round's part of something begins and ends."""
        count = self._rounds
        return total * min(number, count) // count, total * min(number + 1, count) // count

    def _rate(self, rows: NDArray[np.int64]) -> None:
        if len(rows) == 0:
            return
        answers = self._ask(rows)
        self._scores[rows], self._asked[rows] = answers.scores, answers.asked
        self._broke |= not bool(answers.asked.all())
        self._progress(int(self._asked.sum()), max(self._budget, int(self._asked.sum())))

    def _levels(self) -> Levels:
        return fit_levels(self._model.predict_unseen(), self._model.scores, self._classes)

    def _check(self) -> Check:
        revealed = self._aside[: self._revealed]
        checked = revealed[self._scores[revealed] != _UNRATED]
        rest = checked[~self._wanted[checked]]
        seen = Seen(
            rated=self._count(self._scores[self._scores != _UNRATED]),
            rest=int(np.count_nonzero(~self._asked)),
            rest_checked=self._count(self._scores[rest]),
            scores=self._scores[checked],
            predicted=self._predicted[checked],
            distribution=self._levels().distribution(self._predicted[checked]),
        )
        return check(seen, min(self._n, int(seen.rated.sum())), seed=self._seed)

    def _count(self, scores: NDArray[np.int8]) -> NDArray[np.int64]:
        return np.bincount(scores, minlength=self._classes).astype(np.int64)

    def _result(self, rounds: int, found: Check | None, stopped: str) -> Spent:
        shares = self._levels().distribution(self._predicted).astype(np.float32)
        return Spent(self._scores, self._asked, shares, found, rounds, stopped)
