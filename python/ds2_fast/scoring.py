"""Where the scores come from: a column of the pool, or an LLM that rates it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ds2_fast import artifacts
from ds2_fast.errors import PoolError
from ds2_fast.line import Line
from ds2_fast.rundir import Stage

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool, Scores
    from ds2_fast.rating import Ratings

JOURNAL = "ratings.jsonl"


def pool_scores(
    line: Line,
    pool: Pool,
    *,
    score_col: str | None,
    scale: str | None,
    model: str | None,
    options: Mapping[str, Any] | None,
) -> tuple[Scores, pl.Series | None]:
    """Read the scores of a pool, or have it rated if it has none and a model is given.

    Returns:
        the scores, and, for ratings made here, a word per row that says why one is missing.

    Raises:
        PoolError: if there are neither scores nor a model.
    """
    from ds2_fast.pool import read_scores

    try:
        scores = read_scores(pool, score_col, scale or "auto")
    except PoolError as error:
        if model is None or score_col is not None:
            raise
        line.narrator.note(f"{error.message}; {model} rates the pool")
        return rated_scores(rate_pool(line, pool, model, options).value)
    line.narrator.done("scores", scores.verdict)
    for notice in scores.notices:
        line.narrator.warn(notice)
    if model is not None:
        line.narrator.note(
            f"the pool has scores, so {model} is not asked; `ds2-fast rate` rates it all the same"
        )
    return scores, None


def rate_pool(
    line: Line, pool: Pool, model: str, options: Mapping[str, Any] | None
) -> Stage[Ratings]:
    """Rate a pool with an LLM; answers bought before are never bought again.

    Raises:
        RatingError: if the provider refuses, or too many answers could not be read.
        BudgetReachedError: if the money is spent.
    """
    from ds2_fast.rating import rate

    options = dict(options or {})
    return line.stage(
        "rating",
        artifacts.RATINGS,
        lambda progress: rate(
            pool.conversations(),
            model,
            journal_path=line.run.path / JOURNAL,
            progress=progress,
            **options,
        ),
        inputs={"texts": pool.digest()},
        params={"model": model},
        unit="samples",
        told=lambda value: f"rated {len(value.frame):,} samples with {model}",
    )


def rated_scores(ratings: Ratings) -> tuple[Scores, pl.Series]:
    """Ratings as scores."""
    from ds2_fast.pool import Scores

    frame = ratings.frame
    values = frame["score"].fill_null(-1).to_numpy()
    return Scores(values, ...), frame["status"]
