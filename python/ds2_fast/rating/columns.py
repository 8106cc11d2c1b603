"""The ratings of one or several raters as columns beside a pool."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ds2_fast.rating.result import RATED

if TYPE_CHECKING:
    import polars as pl


def slug(model: str) -> str:
    """A model's name as part of a column's: the last piece, letters, digits and underscores."""
    name = re.sub(r"\W+", "_", model.rsplit("/", 1)[-1].lower()).strip("_")
    return name or "model"


def slugs(models: Sequence[str]) -> list[str]:
    """A slug for each model, all different: the second of a name gets `_2`, and so on."""
    found: list[str] = []
    for model in models:
        name, count = slug(model), 1
        while name in found:
            count += 1
            name = f"{slug(model)}_{count}"
        found.append(name)
    return found


def rating_columns(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """The columns of one rater, row for row.

    Args:
        frame: of `ds2_fast.rating.result.Ratings`.
        name: the rater's slug m.

    Returns:
        `rating_m` (Int8 class or null), `rating_m_ev` (Float32, mean class by probabilities),
        `rating_m_p` (K Float32), `rating_m_raw_{criterion}` (Float32), `rating_m_why` (Categorical,
        null where there is a rating), `rating_m_key`.
    """
    import polars as pl

    criteria = frame.columns[: frame.columns.index("score")]
    why = pl.when(pl.col("status") != RATED).then(pl.col("status")).cast(pl.Categorical)
    return frame.select(
        pl.col("score").alias(f"rating_{name}"),
        pl.col("expected").alias(f"rating_{name}_ev"),
        pl.col("chances").alias(f"rating_{name}_p"),
        *(pl.col(column).alias(f"rating_{name}_raw_{column}") for column in criteria),
        why.alias(f"rating_{name}_why"),
        pl.col("key").alias(f"rating_{name}_key"),
    )


def sample_columns(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """What was seen in, or done to, the samples by any rater: `truncated`, `flag_inject`."""
    import polars as pl

    return pl.DataFrame(
        {name: _any([frame[name] for frame in frames]) for name in ("truncated", "flag_inject")}
    )


def _any(columns: Sequence[pl.Series]) -> pl.Series:
    found = columns[0]
    for column in columns[1:]:
        found = found | column
    return found
