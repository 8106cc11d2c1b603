"""The score sheet: one row per pool row with everything the run found about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.curation import Curated
from ds2_fast.selection import Ranking

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool, Scores

UNRATED = -1


def score_sheet(
    pool: Pool,
    *,
    scores: Scores,
    status: pl.Series | None,
    curated: Curated,
    longtail: NDArray[np.float64],
    ranking: Ranking,
    n: int | None,
) -> pl.DataFrame:
    """Gather what is known of every sample, in pool order.

    Columns: `ds2_index` (row in the pool), `ds2_id` (the pool's own id, if it has one),
    `ds2_score_raw` (the rating as given), `ds2_score` (its class, 0..K-1), `ds2_rating_status`
    (`ok`, or why it is null), `ds2_score_curated` (class after curation), `ds2_score_expected`
    (mean of the posterior, in classes), `ds2_suggested` (most probable class), `ds2_noise`
    (probability that the rating is wrong), `ds2_confidence` (probability of the suggested class),
    `ds2_entropy` (nats), `ds2_long_tail` (0 common .. 0.76 rare), `ds2_rank` (1 = best; null = not
    ranked: unrated, set aside, or not chosen by the order `reference`), `ds2_selected`,
    `ds2_reason`.

    Args:
        pool: the pool.
        scores: its scores.
        status: why a rating is missing, one word per row; None if the scores came with the pool.
        curated: the curated scores.
        longtail: the long-tail scores.
        ranking: the dual sort.
        n: how many were selected; None for none.
    """
    import polars as pl

    rank = np.zeros(len(pool), dtype=np.uint32)
    rank[ranking.order] = np.arange(1, len(ranking.order) + 1, dtype=np.uint32)
    missing = scores.values == UNRATED
    unrated = np.where(missing, "unrated", "ok")
    columns: dict[str, object] = {"ds2_index": np.arange(len(pool), dtype=np.uint32)}
    if pool.ids is not None:
        columns["ds2_id"] = pool.ids
    columns |= {
        "ds2_score_raw": scores.raw,
        "ds2_score": _classes(scores.values),
        "ds2_rating_status": status if status is not None else pl.Series(unrated),
        "ds2_score_curated": _classes(curated.curated),
        "ds2_score_expected": _numbers(curated.expected),
        "ds2_suggested": _classes(curated.suggested),
        "ds2_noise": _numbers(curated.p_misrated),
        "ds2_confidence": _numbers(curated.confidence),
        "ds2_entropy": _numbers(curated.entropy),
        "ds2_long_tail": longtail,
        "ds2_rank": pl.Series(rank).replace(0, None),
        "ds2_selected": (rank > 0) & (rank <= (n or 0)),
        "ds2_reason": _reasons(rank, ranking, missing, n),
    }
    return pl.DataFrame(columns)


def _classes(values: NDArray[np.int8]) -> pl.Series:
    import polars as pl

    return pl.Series(values).replace(UNRATED, None)


def _numbers(values: NDArray[np.float64]) -> pl.Series:
    import polars as pl

    return pl.Series(values).fill_nan(None)


def _reasons(
    rank: NDArray[np.uint32], ranking: Ranking, missing: NDArray[np.bool_], n: int | None
) -> pl.Series:
    """Why each row was taken or left, in words."""
    import polars as pl

    words = [
        "",
        "selected",
        "score below the cut",
        "long-tail score below the cut",
        "outlier set aside",
        "unrated",
    ]
    code = np.zeros(len(rank), dtype=np.uint8)
    if n is not None and len(ranking.order):
        cut = ranking.bucket[ranking.order[n - 1]]
        code[:] = np.where(ranking.bucket < cut, 2, 3)
        code[(rank > 0) & (rank <= n)] = 1
    code[ranking.trimmed] = 4
    code[missing] = 5
    return pl.Series(words).gather(code)
