"""The score sheet: one row per pool row with everything the run found about it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.curation import Curated
from ds2_fast.safeguards import Chosen, lowest_buckets

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.knn import Neighbors
    from ds2_fast.pool import Pool, Scores
    from ds2_fast.projection import Projection

UNRATED = -1
NO_ROW = 2**32 - 1
NEIGHBORS_SHOWN = 10
"""Nearest neighbors that the sheet names of each sample."""


def score_sheet(
    pool: Pool,
    *,
    scores: Scores,
    status: pl.Series | None,
    curated: Curated,
    longtail: NDArray[np.float64],
    chosen: Chosen,
    projection: Projection,
    graph: Neighbors,
    bought: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Gather what is known of every sample, in pool order.

    Columns: `ds2_index` (row in the pool), `ds2_id` (the pool's own id, if it has one),
    `ds2_score_raw` (the rating as given), `ds2_score` (its class, 0..K-1), `ds2_rating_status`
    (`ok`, or why it is null), `ds2_score_curated` (class after curation), `ds2_score_expected`
    (mean of the posterior, in classes), `ds2_suggested` (most probable class), `ds2_noise`
    (probability that the rating is wrong), `ds2_confidence` (probability of the suggested class),
    `ds2_entropy` (nats), `ds2_long_tail` (0 common .. 0.76 rare), `ds2_rank` (1 = best; null = not
    ranked: unrated, set aside, a near duplicate, or not chosen by the order `reference`),
    `ds2_selected`, `ds2_reason`; with a budget, `ds2_rating_source` (`rated` or `predicted`) and
    `ds2_rating_p` (predicted probability of each class, where predicted); and, if near duplicates
    were looked for, `ds2_duplicate_of` (the
    row that stands for a dropped one). Named and formed as embedding-atlas takes them:
    `projection_x` and `projection_y`, its place on a map, and `neighbors`, `{"ids", "distances"}`,
    the rows of the 10 nearest samples and their cosine distances `1 - similarity`, 0..2.

    Args:
        pool: the pool.
        scores: its scores.
        status: why a rating is missing, one word per row; None if the scores came with the pool.
        curated: the curated scores.
        longtail: the long-tail scores.
        chosen: the ranking and the chosen samples.
        projection: where the samples lie on a map.
        graph: their neighbors.
        bought: `rating_source` and `rating_p` of every row, if a budget was given.
    """
    import polars as pl

    rank = np.zeros(len(pool), dtype=np.uint32)
    rank[chosen.order] = np.arange(1, len(chosen.order) + 1, dtype=np.uint32)
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
        "ds2_selected": (rank > 0) & (rank <= chosen.n),
        "ds2_reason": _reasons(chosen, missing),
    }
    if bought is not None:
        columns["ds2_rating_source"] = bought["rating_source"]
        columns["ds2_rating_p"] = bought["rating_p"]
    if chosen.distinct is not None:
        stands_for = np.full(len(pool), NO_ROW, dtype=np.uint32)
        stands_for[chosen.distinct.dropped] = chosen.distinct.stands_for
        columns["ds2_duplicate_of"] = pl.Series(stands_for).replace(NO_ROW, None)
    columns["projection_x"], columns["projection_y"] = projection.places.T
    columns["neighbors"] = nearest_of(graph)
    return pl.DataFrame(columns)


def nearest_of(graph: Neighbors) -> pl.Series:
    """Give the column `neighbors` of a sheet: the 10 nearest samples and their distances.

    Args:
        graph: the neighbors of every sample.
    """
    import polars as pl

    near = slice(0, min(NEIGHBORS_SHOWN, graph.indices.shape[1]))
    similar = np.asarray(graph.similarities[:, near], dtype=np.float32)
    # Of rows that are equal, the rounded similarity can be above 1.
    columns = {"ids": np.asarray(graph.indices[:, near]), "distances": np.maximum(1 - similar, 0)}
    return pl.DataFrame(columns).select(pl.all().arr.to_list()).to_struct()


def _classes(values: NDArray[np.int8]) -> pl.Series:
    import polars as pl

    return pl.Series(values).replace(UNRATED, None)


def _numbers(values: NDArray[np.float64]) -> pl.Series:
    import polars as pl

    return pl.Series(values).fill_nan(None)


class Reason(IntEnum):
    """Why a row was taken or left; a place in `WORDS`."""

    NONE = 0
    SELECTED = 1
    SCORE = 2
    LONG_TAIL = 3
    OUTLIER = 4
    UNRATED = 5
    DUPLICATE = 6
    QUOTA = 7
    FULL = 8
    CENTER = 9
    NO_CENTER = 10


WORDS = (
    "",
    "selected",
    "score below the cut",
    "long-tail score below the cut",
    "outlier set aside",
    "unrated",
    "near duplicate",
    "selected for the share of its group",
    "share of its group is full",
    "selected by k-center",
    "k-center chose others",
)


def _reasons(chosen: Chosen, missing: NDArray[np.bool_]) -> pl.Series:
    """Why each row was taken or left, in words."""
    import polars as pl

    bucket = chosen.ranking.bucket
    code = np.full(len(bucket), Reason.NONE, dtype=np.uint8)
    if chosen.n:
        rows = chosen.order[: chosen.n]
        codes = np.zeros(len(bucket), np.int64) if chosen.groups is None else chosen.groups.codes
        cut = lowest_buckets(rows, bucket, codes)
        code[:] = np.where(
            bucket < cut.min(),
            Reason.SCORE,
            np.where(bucket < cut[codes], Reason.FULL, Reason.LONG_TAIL),
        )
        if chosen.centers is not None:
            code[chosen.candidates] = Reason.NO_CENTER
        seated = chosen.plain if chosen.seats is None else chosen.seats.order[: chosen.n]
        code[rows] = Reason.CENTER
        code[np.intersect1d(rows, seated)] = Reason.QUOTA
        code[np.intersect1d(rows, chosen.plain)] = Reason.SELECTED
    code[chosen.ranking.trimmed] = Reason.OUTLIER
    if chosen.distinct is not None:
        code[chosen.distinct.dropped] = Reason.DUPLICATE
    code[missing] = Reason.UNRATED
    return pl.Series(WORDS).gather(code)
