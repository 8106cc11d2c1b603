"""The raters by whom subsets are judged: those whose scores strategies see, and those held out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.scoring import asks_rater

if TYPE_CHECKING:
    from ds2_fast.pool import Pool
    from ds2_fast.strategies import Inputs

_OF_RATE = re.compile(r"rating_(?!.*_(ev|p|why)$)(?!.*_raw_).+")
"""Columns of ratings as `ds2-fast rate` names them, without what it tells of them besides."""


@dataclass(frozen=True)
class Judge:
    """One rater.

    Attributes:
        name: of the column, or the model.
        values: float64 `(N,)`, its ratings, NaN where it has none.
        role: `score`, if strategies are given its scores, or `held out`.
    """

    name: str
    values: NDArray[np.float64]
    role: Literal["score", "held out"]


def read_judges(
    pool: Pool,
    score_col: Sequence[str | None],
    held_out: Sequence[str] | None,
) -> list[Judge]:
    """Read the ratings that subsets are judged by, before anything is chosen.

    Args:
        pool: the pool.
        score_col: the columns that strategies are given; None stands for the one of a known name.
        held_out: further columns; None for all others of a known name (`SCORE_COLUMNS` of
            `ds2_fast.pool`, and `rating_NAME` as `ds2-fast rate` writes them).

    Returns:
        The scores first, then the held-out raters, each in the order named.

    Raises:
        PoolError: a column is named twice, is not there or holds no numbers.
    """
    known = known_columns(pool)
    scores = [name for name in score_col if name is not None]
    if not scores and len(named := _of_known_name(pool)) == 1:
        scores = named
    chosen = [name for name in known if name not in scores] if held_out is None else list(held_out)
    for place, name in enumerate(chosen):
        if name in scores or name in chosen[:place]:
            role = "a score that strategies are given" if name in scores else "named twice"
            raise PoolError(
                f"the held-out rater `{name}` is {role}", "name each column once with `--held-out`"
            )
    return [
        *(Judge(name, _read(pool, name, "--score-col"), "score") for name in scores),
        *(Judge(name, _read(pool, name, "--held-out"), "held out") for name in chosen),
    ]


def judge_of_model(inputs: Inputs, score_col: str | None) -> Judge | None:
    """Give the ratings that were made in this run, if some strategy asked for them.

    Args:
        inputs: after all strategies have chosen.
        score_col: the column of scores that was named.
    """
    if not (inputs.has("rated") and asks_rater(inputs.pool, score_col)):
        return None
    scores = inputs.classes
    return Judge(scores.column, scores.raw.fill_null(np.nan).to_numpy(), "score")


def known_columns(pool: Pool) -> list[str]:
    """List the columns that hold ratings by their name, and hold numbers."""
    made = [
        name
        for name, dtype in pool.frame.schema.items()
        if _OF_RATE.fullmatch(name) and dtype.is_numeric()
    ]
    return list(dict.fromkeys([*_of_known_name(pool), *made]))


def _of_known_name(pool: Pool) -> list[str]:
    from ds2_fast.pool import find_score_columns

    return find_score_columns(pool)


def _read(pool: Pool, name: str, option: str) -> NDArray[np.float64]:
    from ds2_fast.pool.numbers import find_column, read_numbers
    from ds2_fast.pool.rating_column import read_ratings

    if find_column(pool, name, option).dtype.is_nested():
        return read_ratings(pool, name).numbers.fill_null(np.nan).to_numpy()
    return read_numbers(pool, name, option)
