"""Ratings for part of a pool: from an LLM within a budget, or replayed from a column."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import artifacts
from ds2_fast.bought import RATED, Bought, make_bought, masked, spread_ratings
from ds2_fast.budget import (
    Account,
    Answers,
    Budget,
    default_cut,
    describe_shape,
    parse_budget,
    spend,
)
from ds2_fast.budget.design import Design
from ds2_fast.buying import Purchase, open_purchase
from ds2_fast.errors import PoolError
from ds2_fast.scoring import asks_rater, rated_scores, rating_identity, read_pool_scores

if TYPE_CHECKING:
    from ds2_fast.features import Features
    from ds2_fast.line import Line
    from ds2_fast.pool import Pool, Scores
    from ds2_fast.progress import Progress
    from ds2_fast.rundir import Stage
    from ds2_fast.scoring import Rater

Confirm = Callable[[float | None], None]


def replay_scores(
    line: Line,
    pool: Pool,
    scores: Scores,
    features: Features,
    *,
    budget: int | str,
    n: int | None,
    seed: int,
) -> tuple[Scores, Stage[Bought]]:
    """Look only at the scores that a budget would have bought.

    Args:
        line: where the account goes.
        pool: the pool.
        scores: all its scores.
        features: its feature rows.
        budget: a number of samples or a share.
        n: size of the selection; None for a quarter of the budget.
        seed: of everything random.

    Returns:
        The scores, -1 where the budget did not look, and what it brought.

    Raises:
        PoolError: if the budget is in dollars, or too small.
    """
    rows = np.flatnonzero(scores.values >= 0)
    amount = parse_budget(budget, len(rows))
    if amount.samples is None:
        raise PoolError(
            "a budget in dollars needs a rater with a price, and the pool has its scores",
            "give `--budget` as a number of samples or a share, such as 20%",
        )
    cut = _cut(n, amount.samples)

    def compute(progress: Progress) -> Bought:
        spent = spend(
            lambda at: Answers(scores.values[rows[at]], np.ones(len(at), np.bool_)),
            _design(pool, features, rows),
            amount.samples or 0,
            cut,
            num_classes=scores.num_classes,
            seed=seed,
            progress=progress,
        )
        asked = int(spent.asked.sum())
        rest = f"the other {len(rows) - asked:,} samples"
        account = Account(spent, len(rows), asked, cut, rest)
        return make_bought(spent, rows, len(pool), account, scores.num_classes)

    stage = _stage(
        line,
        compute,
        inputs={"scores": artifacts.digest_array(scores.values)},
        pool=pool,
        features=features,
        params={"samples": amount.samples, "n": cut, "seed": seed},
    )
    known = stage.value.frame["rating_source"] == RATED
    values = np.where(known.fill_null(False).to_numpy(), scores.values, np.int8(-1))
    raw = scores.raw.to_frame("raw").select(masked(known)).to_series()
    return dataclasses.replace(scores, values=values, raw=raw), stage


def buy_scores(
    line: Line,
    pool: Pool,
    rater: Rater,
    features: Features,
    *,
    budget: int | str,
    n: int | None,
    seed: int,
    confirm: Confirm | None = None,
) -> tuple[Scores, Stage[Bought]]:
    """Have an LLM rate part of a pool; an answer that was bought before is not bought again.

    Args:
        line: where the answers go.
        pool: the pool.
        rater: the LLM.
        features: feature rows of the pool.
        budget: samples, a share of the pool, or dollars.
        n: size of the selection; None for a quarter of the budget.
        seed: of everything random.
        confirm: called with the estimated dollars (None = unknown) before anything is spent; may
            raise.

    Returns:
        The scores, -1 where none was bought, and what the budget brought.

    Raises:
        PoolError: if the budget is none, or too small.
        RatingError: if the provider refuses, too many answers cannot be read, or dollars cannot be
            counted.
        BudgetReachedError: if `max_cost` is reached before the budget.
    """
    conversations = pool.conversations()
    purchase = open_purchase(line, conversations, rater)
    amount = parse_budget(budget, len(purchase.rows))
    samples = purchase.samples(amount)
    cut = _cut(n, samples)
    if rater.options.get("retry_null"):
        line.run.forget("budget")

    def compute(_: Progress) -> Bought:
        return _buy(
            line, pool, purchase, features, amount=amount, cut=cut, seed=seed, confirm=confirm
        )

    stage = _stage(
        line,
        compute,
        inputs={},
        pool=pool,
        features=features,
        params={
            "model": rater.model,
            **rating_identity(rater.options),
            "samples": samples,
            "dollars": amount.dollars,
            "n": cut,
            "seed": seed,
        },
    )
    return rated_scores(stage.value.ratings())[0], stage


def _buy(
    line: Line,
    pool: Pool,
    purchase: Purchase,
    features: Features,
    *,
    amount: Budget,
    cut: int,
    seed: int,
    confirm: Confirm | None,
) -> Bought:
    samples = purchase.samples(amount)
    line.narrator.note(purchase.describe(amount))
    if confirm is not None and amount.dollars is None:
        confirm(purchase.cost(samples))
    spent = spend(
        lambda at: purchase.ask(at, amount.dollars),
        _design(pool, features, purchase.rows),
        samples,
        cut,
        num_classes=purchase.num_classes,
        seed=seed,
        open_end=amount.dollars is not None,
    )
    ratings, rated = purchase.collect(np.flatnonzero(spent.asked), amount.dollars)
    account = Account(spent, len(purchase.rows), int(spent.asked.sum()), cut, purchase.rest_cost())
    bought = make_bought(spent, purchase.rows, len(pool), account, purchase.num_classes)
    frame = spread_ratings(ratings.frame, rated, purchase.copy_of, bought.frame)
    return dataclasses.replace(bought, frame=frame, summary=ratings.summary)


def budgeted_scores(
    line: Line,
    pool: Pool,
    features: Features,
    *,
    rater: Rater | None,
    score_col: str | None,
    scale: str | None,
    budget: int | str,
    n: int | None,
    seed: int,
    confirm: Confirm | None,
) -> tuple[Scores, Stage[Bought]]:
    """Have part of the pool rated, or look at part of the scores it has.

    See `buy_scores` and `replay_scores`; which of them, `pool_scores` would decide alike.
    """
    if rater is not None and asks_rater(pool, score_col):
        return buy_scores(
            line, pool, rater, features, budget=budget, n=n, seed=seed, confirm=confirm
        )
    scores = read_pool_scores(line, pool, score_col=score_col, scale=scale, rater=rater)
    return replay_scores(line, pool, scores, features, budget=budget, n=n, seed=seed)


def _cut(n: int | None, samples: int) -> int:
    if n is not None and n > samples:
        raise PoolError(
            f"cannot select {n:,} samples of the {samples:,} that the budget lets rate",
            "raise `--budget`, or ask for fewer with `-n`",
        )
    return n or default_cut(samples)


def _design(pool: Pool, features: Features, rows: NDArray[np.int64]) -> Design:
    shape = describe_shape(pool.conversations())
    if len(rows) == len(pool):
        return Design(features.rows, shape)
    return Design(features.rows[rows], shape[rows])


def _stage(
    line: Line,
    compute: Callable[[Progress], Bought],
    *,
    inputs: Mapping[str, str],
    pool: Pool,
    features: Features,
    params: Mapping[str, Any],
) -> Stage[Bought]:
    stage = line.stage(
        "budget",
        artifacts.BOUGHT,
        compute,
        inputs={
            **inputs,
            "features": features.digest,
            "conversations": artifacts.digest_rows(pool.conversations()),
        },
        params=params,
        unit="samples",
        told=lambda bought: bought.account["told"],
    )
    account = stage.value.account
    line.narrator.note("\n".join(account["words"]))
    if account["advice"]:
        line.narrator.warn(account["advice"])
    return stage
