"""Where the scores come from: a column of the pool, or an LLM that rates it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

from ds2_fast import artifacts
from ds2_fast.errors import RatingError
from ds2_fast.line import Line
from ds2_fast.rundir import Stage

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool, Scores
    from ds2_fast.rating.result import Ratings

JOURNAL = "ratings.jsonl"
_IDENTITY = (
    "limit", "max_sample_tokens", "params", "temperature", "repeats", "expected", "injection_probe",
)  # fmt: skip


@dataclass(frozen=True)
class Rater:
    """The LLM that rates a pool without scores.

    Attributes:
        model: its litellm name.
        options: further arguments of `ds2_fast.rating.rate`.
        ask: what is called in place of `ds2_fast.rating.rate`, with the same arguments; a command
            line may show a plan and a progress line.
        offline: use the ratings of an earlier run, ask nothing.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    ask: Callable[..., Ratings] | None = None
    offline: bool = False


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
    if rater is not None and asks_rater(pool, score_col):
        return rated_scores(rate_pool(line, pool, rater).value)
    return read_pool_scores(line, pool, score_col=score_col, scale=scale, rater=rater), None


def asks_rater(pool: Pool, score_col: str | None) -> bool:
    """Whether a rater is needed: no column is named, and none has a known name."""
    from ds2_fast.pool import find_score_columns

    return score_col is None and not find_score_columns(pool)


def read_pool_scores(
    line: Line, pool: Pool, *, score_col: str | None, scale: str | None, rater: Rater | None
) -> Scores:
    """Read the scores a pool has, and say so.

    Raises:
        PoolError: if there are none.
    """
    from ds2_fast.pool import read_scores

    scores = read_scores(pool, score_col, scale or "auto")
    line.narrator.done("scores", scores.verdict)
    for notice in scores.notices:
        line.narrator.warn(notice)
    if rater is not None:
        line.narrator.warn(
            f"the pool has scores, so {rater.model} is not asked; `ds2-fast rate` would ask it"
        )
    return scores


def rate_pool(line: Line, pool: Pool, rater: Rater, name: str = "") -> Stage[Ratings]:
    """Rate a pool; an answer that was bought before is never bought again.

    Args:
        line: the run.
        pool: its pool.
        rater: who is asked.
        name: of the rater, where there are several in one run: each has a stage of its own.

    Raises:
        RatingError: if the provider refuses, too many answers could not be read, or the rater is
            `offline` and has not been asked before.
        BudgetReachedError: if the money is spent.
    """
    ask = rating_call(rater)
    options = dict(rater.options)
    conversations = pool.conversations()
    stage_name = f"rating-{name}" if name else "rating"
    artifact = replace(
        artifacts.RATINGS,
        files=tuple(file.replace("ratings", f"ratings-{name}") for file in artifacts.RATINGS.files)
        if name
        else artifacts.RATINGS.files,
    )
    if options.get("retry_null"):
        line.run.forget(stage_name)

    def stage() -> Stage[Ratings]:
        return line.stage(
            stage_name,
            artifact,
            lambda _: ask(
                conversations, rater.model, journal_path=line.run.path / JOURNAL, **options
            ),
            inputs={"conversations": artifacts.digest_rows(conversations)},
            params={"model": rater.model, **rating_identity(options)},
            unit="samples",
            told=_tell,
        )

    ratings = stage()
    if ratings.reused and ratings.value.summary["null_share"] > argument("max_null", options):
        # Good enough for an earlier run; this one says why not.
        line.run.forget(stage_name)
        ratings = stage()
    return ratings


def rating_call(rater: Rater) -> Callable[..., Ratings]:
    """What rates: `ds2_fast.rating.rate`, what stands in for it, or a refusal."""
    from ds2_fast.rating import rate

    return _offline if rater.offline else rater.ask or rate


def rating_identity(options: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides a rating besides the model and the sample, said or left out."""
    from ds2_fast.rating.endpoint import open_endpoint
    from ds2_fast.rating.prompt import load_prompt

    prompt = load_prompt(argument("prompt", options))
    # Its id, not its address, which may hold a secret.
    endpoint = open_endpoint(
        argument("api_base", options), label=argument("endpoint_label", options)
    )
    said = {name: argument(name, options) for name in _IDENTITY}
    return {
        **said,
        "endpoint": endpoint.id,
        "prompt": prompt.digest,
        "classes": [list(pair) for pair in prompt.classes],
    }


def argument(name: str, options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """The value that `ds2_fast.rating.rate` will see."""
    from ds2_fast.rating import rate

    return options.get(name, signature(rate).parameters[name].default)


def _offline(conversations: object, model: str, **_: object) -> Ratings:
    raise RatingError(
        f"{model} would have to be asked, and `--offline` opens no socket",
        "rate first with `ds2-fast rate`; its ratings are used",
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
    prompt = ratings.summary["prompt"]
    low, high = prompt["scale"]
    starts = tuple(start for start, _ in prompt["classes"])
    scores = Scores(
        values=ratings.scores,
        num_classes=ratings.num_classes,
        labels=_labels(starts, high),
        starts=starts,
        high=high,
        raw=frame["overall"],
        column=model,
        scale=f"{low}-{high}",
        verdict=f"scores from {model}",
        notices=(),
    )
    return scores, frame["status"]


def _labels(starts: Sequence[int], high: int) -> tuple[str, ...]:
    """What the rater calls each class: `5`, or `1-4` where a class holds several ratings."""
    ends = [*(start - 1 for start in starts[1:]), high]
    pairs = zip(starts, ends, strict=True)
    return tuple(str(start) if start == end else f"{start}-{end}" for start, end in pairs)
