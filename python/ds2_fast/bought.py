"""What a budget brought, as columns aligned with the pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.budget import Account, Spent

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.rating.result import Ratings

RATED, PREDICTED = "rated", "predicted"


@dataclass(frozen=True)
class Bought:
    """What a budget brought, row by row.

    Attributes:
        frame: one row per pool row. `score` (Int8, null unless rated), `rating_source` (`rated`,
            `predicted`, or null where an answer could not be read or there was nothing to rate),
            `rating_p` (list of K Float32, the predicted distribution; null unless predicted), and,
            for ratings made here, the columns of `ds2_fast.rating.result.Ratings`.
        num_classes: K.
        account: what it brought, JSON-able.
        summary: of the ratings made here, JSON-able; None for a replay.
    """

    frame: pl.DataFrame
    num_classes: int
    account: dict[str, Any]
    summary: dict[str, Any] | None = None

    @property
    def status(self) -> pl.Series:
        """A word per row: `ok`, `predicted`, or why there is no rating."""
        import polars as pl

        if "status" in self.frame.columns:
            return self.frame["status"]
        word = pl.when(pl.col("score").is_not_null()).then(pl.lit("ok"))
        return self.frame.select(
            word.otherwise(pl.col("rating_source").fill_null("unrated")).alias("status")
        ).to_series()

    def ratings(self) -> Ratings:
        """The ratings as those of a pool of which the rest was left out."""
        from ds2_fast.rating.result import Ratings

        return Ratings(self.frame, self.num_classes, self.summary or {})


def make_bought(
    spent: Spent, rows: NDArray[np.int64], total: int, account: Account, num_classes: int
) -> Bought:
    """Spread what is known of some rows over the pool."""
    import polars as pl

    scores = np.full(total, -1, np.int8)
    scores[rows] = spent.scores
    source = np.full(total, None, dtype=object)
    source[rows[spent.scores >= 0]] = RATED
    source[rows[~spent.asked]] = PREDICTED
    shares = np.zeros((total, num_classes), np.float32)
    shares[rows] = spent.distribution
    frame = pl.DataFrame(
        {
            "score": pl.Series(scores).replace(-1, None),
            "rating_source": pl.Series(source, dtype=pl.String),
            "rating_p": pl.Series(shares, dtype=pl.Array(pl.Float32, num_classes)).cast(
                pl.List(pl.Float32)
            ),
        }
    ).with_columns(masked(pl.col("rating_source") == PREDICTED, pl.col("rating_p")))
    return Bought(frame, num_classes, {"told": account.told(), **account.to_dict()})


def masked(keep: pl.Series | pl.Expr, values: pl.Expr | None = None) -> pl.Expr:
    """Null where `keep` is not true."""
    import polars as pl

    return pl.when(keep).then(pl.first() if values is None else values)


def spread_ratings(
    ratings: pl.DataFrame,
    rated: NDArray[np.int64],
    copy_of: NDArray[np.int64],
    frame: pl.DataFrame,
) -> pl.DataFrame:
    """The engine's columns for every pool row: those of the sample it equals, if that was asked."""
    import polars as pl

    place = np.full(len(copy_of) + 1, -1, np.int64)
    place[rated] = np.arange(len(rated))
    at = place[copy_of]  # copy_of -1 = nothing to rate: the last, which stays -1
    at_series = pl.Series(at).replace(-1, None)
    engine = ratings.select(pl.all().gather(at_series.cast(pl.UInt32)))
    # Copies get the predictions of the first of them, too.
    first = pl.Series(np.where(copy_of >= 0, copy_of, np.arange(len(copy_of)))).cast(pl.UInt32)
    predicted = frame.select("rating_source", "rating_p").select(pl.all().gather(first))
    missing = pl.Series(np.where(copy_of >= 0, "not_rated", "empty_sample"))
    return engine.with_columns(predicted["rating_source"], predicted["rating_p"]).with_columns(
        pl.when(pl.col("rating_source") == PREDICTED)
        .then(pl.lit(PREDICTED))
        .otherwise(pl.col("status").fill_null(missing))
        .alias("status")
    )
