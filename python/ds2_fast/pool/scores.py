"""Scores that a pool already has: a column of ratings to classes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.pool.phrases import counted, named
from ds2_fast.pool.pool import Pool
from ds2_fast.pool.rating_column import rating_column, read_ratings
from ds2_fast.pool.scales import MAX_CLASSES, PUBLISHED_HIGH, Scale, choose_scale

SCORE_COLUMNS = (
    "score", "rating", "quality_score", "quality_scores", "complexity_score", "complexity_scores",
    "final_score", "llm_quality_score", "llm_difficulty_score", "AlpagasusScore",
    "DeitaQualityScore", "evol_instruction_score", "evol_response_score", "deita_score",
    "ifd_ppl", "ppl_A_direct", "ppl_A_condition", "reward_score", "gpt_scores", "llama_scores",
    "mistral_scores", "bin_score", "curated_score", "final_curated_score",
)  # fmt: skip
"""Names under which rating tools leave their scores (a field of `__dj__stats__` counts too)."""

STATISTICS = "__dj__stats__"


@dataclass(frozen=True)
class Scores:
    """The scores of a pool, made by `read_scores`.

    Attributes:
        values: int8 `(N,)`, classes 0..K-1 in the order of the scale, -1 = unrated.
        num_classes: K.
        labels: what the user calls each class.
        starts: the lowest rating of each class; the first is the lowest of the scale.
        high: the highest rating of the scale.
        raw: Float64 `(N,)`, the ratings as they are in the pool, null = unrated.
        column: where they were found.
        scale: the name of the scale: `0-5`, `1-10`, ...
        verdict: one sentence that says all this.
        notices: what else the user should know, one sentence each.
    """

    values: NDArray[np.int8] = field(repr=False)
    num_classes: int
    labels: tuple[str, ...]
    starts: tuple[int, ...]
    high: int
    raw: pl.Series = field(repr=False)
    column: str
    scale: str
    verdict: str
    notices: tuple[str, ...]


def read_scores(pool: Pool, column: str | None = None, scale: str = "auto") -> Scores:
    """Read ratings from a column of the pool and put them into classes.

    A rating is a whole number: an integer, a float without fraction, or text of one. Null and NaN
    are unrated. A list of four ratings, or a struct with a field `overall`, counts by its overall
    rating.

    Scales: `LO-HI` has the class `rating - LO`. `1-10` is compressed to six classes as published:
    up to 4 is class 0, 5 to 8 are classes 1 to 4, 9 and 10 are class 5. `observed` runs from the
    lowest to the highest rating found. `auto` takes `1-10` when ratings lie in 1..10 and some
    exceed 5, else `observed`; DS2's own columns (`gpt_scores`, `llama_scores`, `mistral_scores`,
    `bin_score`) are `0-5` when they fit.

    Args:
        pool: the pool.
        column: its column; `a.b` is the field `b` of a struct `a`. By default the only one with
            a name of `SCORE_COLUMNS`.
        scale: `auto`, `observed`, `1-10`, or `LO-HI`.

    Raises:
        PoolError: no column or several by default, no such column, a value that is no whole
            number, one outside the scale (with the first row), fewer than 2 or more than 16
            classes, or no rating at all.

    Source: DS2 paper (arXiv 2410.10877), section 3; the compression is that of the published code.
    Cost: O(N).
    """
    name, found = _find_column(pool, column)
    ratings = read_ratings(pool, name)
    numbers, notices = ratings.numbers, list(ratings.notices)
    if ratings.failed.any():
        answered = pl.select(pl.when(~ratings.failed).then(numbers)).to_series()
        if scale == "1-10" or (scale == "auto" and bool((answered > PUBLISHED_HIGH).any())):
            numbers = answered
            notices.append(
                f"[0, 0, 0, 0] in `{name}`, the mark of an answer that could not be read, counts "
                f"as unrated: {counted(int(ratings.failed.sum()), 'sample')}"
            )
    return score_ratings(numbers, name, scale, found=found, notices=tuple(notices))


def score_ratings(
    ratings: pl.Series,
    name: str,
    scale: str,
    *,
    found: str = "",
    notices: tuple[str, ...] = (),
) -> Scores:
    """Put ratings into the classes of a scale (see `read_scores`).

    Args:
        ratings: whole numbers `(N,)`, null = unrated.
        name: where they are from, for errors.
        scale: `auto`, `observed`, `1-10`, or `LO-HI`.
        found: the words of the verdict on where they are from.
        notices: what was found out about them before.

    Raises:
        PoolError: one is outside the scale, there are fewer than 2 or more than 16 classes, or all
            are null.

    Cost: O(N).
    """
    numbers = ratings.cast(pl.Float64)
    known = numbers.drop_nulls()
    if known.is_empty():
        raise PoolError(f"column `{name}` holds no rating", "name another with `--score-col`")
    chosen = choose_scale(scale, known, name)
    values = _classes(numbers, chosen, name)
    verdict = (
        f"scores {found or f'from `{name}`'}: scale {chosen.name}, {chosen.num_classes} classes"
        f"{chosen.reason}, {len(known):,} of {counted(len(numbers), 'sample')} rated"
    )
    return Scores(
        values=values,
        num_classes=chosen.num_classes,
        labels=chosen.labels,
        starts=chosen.starts,
        high=chosen.high,
        raw=numbers.alias(name),
        column=name,
        scale=chosen.name,
        verdict=verdict,
        notices=notices,
    )


def find_score_columns(pool: Pool) -> list[str]:
    """List the columns of a pool that have a known name and hold ratings.

    Returns:
        Names of `SCORE_COLUMNS`, fields of `__dj__stats__` as `__dj__stats__.name`.
    """
    return [name for name in _known_names(pool) if _is_whole(pool, name)]


def _find_column(pool: Pool, column: str | None) -> tuple[str, str]:
    """Give the column, and the words that say how it was found."""
    if column is not None:
        rating_column(pool, column)
        return column, f"from `{column}`"
    names, whole = _known_names(pool), find_score_columns(pool)
    # A single known name is taken even if it cannot be used: reading it says why.
    if len(whole) == 1 or len(names) == 1:
        (name,) = whole if len(whole) == 1 else names
        return name, f"from `{name}`, found by its name"
    if whole:
        raise PoolError(
            f"the pool has several columns of scores: {named(whole)}",
            f"name one, for example `--score-col {whole[0]}`",
        )
    others = [name for name in pool.frame.columns if _is_whole(pool, name, MAX_CLASSES)]
    raise PoolError(
        "the pool has no column of ratings with a known name",
        f"name it with `--score-col`; these hold few whole numbers: {named(others)}"
        if others
        else "name it with `--score-col`, or let `ds2-fast select` have it rated: `--model`",
    )


def _known_names(pool: Pool) -> list[str]:
    names = [name for name in SCORE_COLUMNS if name in pool.frame.columns]
    statistics = pool.frame.schema.get(STATISTICS)
    if isinstance(statistics, pl.Struct):
        fields = {each.name for each in statistics.fields}
        names += [f"{STATISTICS}.{name}" for name in SCORE_COLUMNS if name in fields]
    return names


def _is_whole(pool: Pool, name: str, most: int | None = None) -> bool:
    """Whether a column holds ratings, not more than `most` different ones."""
    if name == pool.schema.id:
        return False
    try:
        numbers = read_ratings(pool, name).numbers.drop_nulls()
    except PoolError:
        return False
    return not numbers.is_empty() and (most is None or numbers.n_unique() <= most)


def _classes(numbers: pl.Series, scale: Scale, name: str) -> NDArray[np.int8]:
    outside = ((numbers < scale.low) | (numbers > scale.high)).fill_null(False).arg_true()
    if len(outside):
        row = int(outside[0])
        raise PoolError(
            f"row {row} of column `{name}` is {numbers[row]:g}, outside the scale {scale.name}",
            "name the right scale with `--scale`, or `--scale observed`",
        )
    values = scale.classes(numbers.fill_null(scale.low).to_numpy())
    values[numbers.is_null().to_numpy()] = -1
    return values
