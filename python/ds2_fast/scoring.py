"""Where the scores come from: a column of the pool, or an LLM that rates it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ds2_fast import artifacts
from ds2_fast.line import Line
from ds2_fast.rundir import Stage

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool, Scores
    from ds2_fast.rating.result import Ratings

JOURNAL = "ratings.jsonl"
_IDENTITY = (
    "api_base",
    "endpoint_label",
    "limit",
    "max_sample_tokens",
    "params",
    "prompt",
    "temperature",
)


@dataclass(frozen=True)
class Rater:
    """The LLM that rates a pool without scores.

    Attributes:
        model: its litellm name.
        options: further arguments of `ds2_fast.rating.rate`.
        ask: what is called in place of `ds2_fast.rating.rate`, with the same arguments; a command
            line may show a plan and a progress line.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    ask: Callable[..., Ratings] | None = None


def pool_scores(
    line: Line, pool: Pool, *, score_col: str | None, scale: str | None, rater: Rater | None
) -> tuple[Scores, pl.Series | None]:
    """Read the scores of a pool, or have it rated if it has none and there is a rater.

    Returns:
        the scores, and, for ratings made here, a word per row that says why one is missing.

    Raises:
        PoolError: if there are neither scores nor a rater.
        RatingError: if the provider refuses, or too many answers could not be read.
        BudgetReachedError: if the money is spent.
    """
    from ds2_fast.pool import find_score_columns, read_scores

    if rater is not None and score_col is None and not find_score_columns(pool):
        return rated_scores(rate_pool(line, pool, rater).value)
    scores = read_scores(pool, score_col, scale or "auto")
    line.narrator.done("scores", scores.verdict)
    for notice in scores.notices:
        line.narrator.warn(notice)
    if rater is not None:
        line.narrator.warn(
            f"the pool has scores, so {rater.model} is not asked; `ds2-fast rate` would ask it"
        )
    return scores, None


def rate_pool(line: Line, pool: Pool, rater: Rater) -> Stage[Ratings]:
    """Rate a pool; an answer that was bought before is never bought again.

    Raises:
        RatingError: if the provider refuses, or too many answers could not be read.
        BudgetReachedError: if the money is spent.
    """
    from ds2_fast.rating import rate
    from ds2_fast.rating.prompt import load_prompt

    ask = rater.ask or rate
    options = dict(rater.options)
    identity = {name: options[name] for name in _IDENTITY if options.get(name) is not None}
    if "prompt" in identity:
        identity["prompt"] = load_prompt(identity["prompt"]).digest
    if options.get("retry_null"):
        line.run.forget("rating")
    return line.stage(
        "rating",
        artifacts.RATINGS,
        lambda _: ask(
            pool.conversations(), rater.model, journal_path=line.run.path / JOURNAL, **options
        ),
        inputs={"texts": pool.digest()},
        params={"model": rater.model, **identity},
        unit="samples",
        told=_tell,
    )


def _tell(ratings: Ratings) -> str:
    summary = ratings.summary
    cost = summary["cost"]["total"]
    parts = [f"rated {summary['rated']:,} samples with {summary['model']}"]
    if summary["null"]:
        parts.append(f"{summary['null']:,} without a rating")
    parts.append("at an unknown price" if cost is None else f"${cost:,.2f}")
    return ", ".join(parts)


def rated_scores(ratings: Ratings) -> tuple[Scores, pl.Series]:
    """Give ratings the form of scores, and the status of each row."""
    from ds2_fast.pool import Scores

    frame, model = ratings.frame, ratings.summary["model"]
    labels = tuple(str(score) for score in range(ratings.num_classes))
    scores = Scores(
        values=ratings.scores,
        num_classes=ratings.num_classes,
        labels=labels,
        raw=frame["overall"],
        column=model,
        scale=f"{labels[0]}-{labels[-1]}",
        verdict=f"scores from {model}",
        notices=(),
    )
    return scores, frame["status"]
