"""Buying ratings a few samples at a time: prices, caps, and who was asked."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.budget import Answers, Budget
from ds2_fast.budget.amount import FEWEST
from ds2_fast.errors import BudgetReachedError, PoolError, RatingError
from ds2_fast.scoring import JOURNAL, rating_call

if TYPE_CHECKING:
    from pathlib import Path

    from ds2_fast.line import Line
    from ds2_fast.rating.plan import RatingPlan
    from ds2_fast.rating.result import Ratings
    from ds2_fast.scoring import Rater

Conversations = Sequence[Sequence[tuple[str, str]]]


@dataclass(frozen=True)
class Purchase:
    """A rater, a pool and a journal.

    Attributes:
        rater: the LLM.
        conversations: the pool.
        journal: where its answers are; None where nothing is asked.
        rows: int64, the pool rows that can be bought: of equal samples the first, none without
            text.
        copy_of: int64 `(N,)`, the one of `rows` that each row equals; -1 without text.
    """

    rater: Rater
    conversations: Conversations
    journal: Path | None
    rows: NDArray[np.int64]
    copy_of: NDArray[np.int64]

    @property
    def num_classes(self) -> int:
        """K, by the prompt."""
        from ds2_fast.rating.prompt import load_prompt

        return load_prompt(self._option("prompt")).num_classes

    @cached_property
    def _fresh_plan(self) -> RatingPlan:
        """What the whole pool costs, whatever is stored: the same before and after a kill."""
        return self._plan(None)

    def samples(self, budget: Budget) -> int:
        """How many samples a budget is taken for.

        Raises:
            RatingError: if it is in dollars and the price is unknown.
            PoolError: if it buys too few.
        """
        if budget.samples is not None:
            return budget.samples
        dollars, whole = budget.dollars or 0.0, self._fresh_plan.cost
        if whole is None:
            raise RatingError(
                f"the price of `{self.rater.model}` is unknown, so a budget of ${dollars:g} could "
                "not be kept",
                "give `--price-in` and `--price-out`, dollars per million tokens, or a budget in "
                "samples",
            )
        total = len(self.rows)
        samples = total if whole == 0 else min(int(dollars / whole * total), total)
        if samples < min(FEWEST, total):
            raise PoolError(
                f"${dollars:g} buys about {samples:,} ratings, too few to learn from",
                f"the whole pool costs about ${whole:,.2f}; give a larger `--budget`",
            )
        return samples

    def cost(self, samples: int) -> float | None:
        """Estimated dollars of so many samples; None = unknown."""
        whole = self._fresh_plan.cost
        return None if whole is None else whole * samples / max(len(self.rows), 1)

    def describe(self, budget: Budget) -> str:
        """The budget in one line."""
        samples, whole = self.samples(budget), self._fresh_plan.cost
        about = "" if budget.dollars is None else "about "
        sums = (
            "the price is unknown"
            if whole is None
            else f"about ${self.cost(samples):,.2f} of the ${whole:,.2f} that rating all costs"
        )
        return f"{self.rater.model}: {about}{samples:,} of {len(self.rows):,} samples, {sums}"

    def ask(self, at: NDArray[np.int64], dollars: float | None) -> Answers:
        """Rate some of `rows`; where the dollars end in between, say who was not asked.

        Raises:
            BudgetReachedError: if it is `max_cost` that ends.
        """
        try:
            scores = self._rate(self.rows[at], dollars, max_null=1.0).scores
        except BudgetReachedError:
            if not self._ends_well(dollars):
                raise
            asked = self._answered(self.rows[at])
            scores = np.full(len(at), -1, np.int8)
            if asked.any():
                scores[asked] = self._rate(self.rows[at[asked]], dollars, max_null=1.0).scores
            return Answers(scores, asked)
        return Answers(scores, np.ones(len(at), np.bool_))

    def collect(
        self, at: NDArray[np.int64], dollars: float | None
    ) -> tuple[Ratings, NDArray[np.int64]]:
        """All ratings of some of `rows` at once, from the journal, and their pool rows.

        Raises:
            RatingError: if too many answers could not be read.
        """
        rows = self.rows[at]
        try:
            return self._rate(rows, dollars, retry_null=False), rows
        except BudgetReachedError:  # samples without an answer would have been tried once more
            if not self._ends_well(dollars):
                raise
            rows = rows[self._answered(rows)]
            return self._rate(rows, dollars, retry_null=False), rows

    def rest_cost(self) -> str:
        """What rating the rest would cost, in words."""
        left = self._plan(self.journal)
        if left.cost is None:
            return (
                f"an unknown sum for {left.to_rate:,} more samples (give --price-in, --price-out)"
            )
        return f"${left.cost:,.2f} for {left.to_rate:,} more samples"

    def _rate(self, rows: NDArray[np.int64], dollars: float | None, **changed: Any) -> Ratings:  # noqa: ANN401
        options = {**self.rater.options, "injection_probe": 0, **changed}
        if dollars is not None:
            options["max_cost"] = self._cap(dollars)
        chosen = [self.conversations[row] for row in rows]
        return rating_call(self.rater)(
            chosen, self.rater.model, journal_path=self.journal, **options
        )

    def _ends_well(self, dollars: float | None) -> bool:
        """Whether a reached cap is the end of the budget, and not `max_cost` below it."""
        return dollars is not None and self._cap(dollars) >= dollars

    def _cap(self, dollars: float) -> float:
        most = self.rater.options.get("max_cost")
        return dollars if most is None else min(dollars, most)

    def _plan(self, journal: Path | None) -> RatingPlan:
        from ds2_fast.rating import plan_rating

        known = inspect.signature(plan_rating).parameters
        options = {name: item for name, item in self.rater.options.items() if name in known}
        options |= {"journal_path": journal, "retry_null": False}
        return plan_rating(self.conversations, self.rater.model, **options)

    def _answered(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        from ds2_fast.rating.answered import find_answered
        from ds2_fast.rating.run import set_up_from

        if self.journal is None:
            return np.zeros(len(rows), np.bool_)
        setup = set_up_from(self.rater.model, {**self.rater.options, "retry_null": False})
        return find_answered(setup, [self.conversations[row] for row in rows], self.journal)

    def _option(self, name: str) -> Any:  # noqa: ANN401
        from ds2_fast.scoring import argument

        return argument(name, self.rater.options)


def open_purchase(line: Line, conversations: Conversations, rater: Rater) -> Purchase:
    """See which samples of a pool can be bought in this run; see `make_purchase`."""
    return make_purchase(conversations, rater, line.run.path / JOURNAL)


def make_purchase(conversations: Conversations, rater: Rater, journal: Path | None) -> Purchase:
    """See which samples of a pool can be bought.

    Args:
        conversations: the pool.
        rater: the LLM.
        journal: where its answers are; None where nothing is to be asked.

    Raises:
        PoolError: if a `limit` is given, too, or no sample has a text.
    """
    if rater.options.get("limit") is not None:
        raise PoolError(
            "`--limit` takes the first samples and `--budget` chooses them", "give one of the two"
        )
    first: dict[tuple[tuple[str, str], ...], int] = {}
    copy_of = np.full(len(conversations), -1, np.int64)
    for row, conversation in enumerate(conversations):
        if any(content.strip() for _, content in conversation):
            turns = tuple((role, content) for role, content in conversation)
            copy_of[row] = first.setdefault(turns, row)
    if not first:
        raise PoolError("no sample has a text that could be rated", "look at `--prompt-col`")
    rows = np.array(sorted(first.values()), dtype=np.int64)
    return Purchase(rater, conversations, journal, rows, copy_of)
