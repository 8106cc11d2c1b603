"""Ratings as columns aligned with the pool, and the summary of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.rating.jobs import BEYOND_LIMIT, EMPTY, Jobs
from ds2_fast.rating.journal import Record

if TYPE_CHECKING:
    import polars as pl

RATED, SKIPPED = "ok", "skipped"


@dataclass(frozen=True)
class Ratings:
    """Ratings of a pool.

    Attributes:
        frame: one row for each row of the pool, in its order. A float32 column for each criterion
            and `overall`, as the model gave them, null where there is none; `score` int8, the class
            of `overall` in 0..K-1 (high = good) or null; `status`: `ok` or the reason there is no
            rating; `truncated`, `flag_delim`, `flag_inject`: what was done to, or seen in, the
            sample; `key`: its identity in the journal.
        num_classes: K.
        summary: counts, tokens, cost, models as answered, prompt; JSON-able.
    """

    frame: pl.DataFrame
    num_classes: int
    summary: dict[str, Any]

    @property
    def scores(self) -> NDArray[np.int8]:
        """Int8 `(N,)`, classes 0..K-1, -1 = unrated: what curation reads."""
        return self.frame["score"].fill_null(-1).to_numpy().astype(np.int8)


def build_frame(jobs: Jobs, results: Mapping[str, Record]) -> pl.DataFrame:
    """Spread the results of the distinct samples over the rows of the pool.

    Args:
        jobs: the requests of the pool.
        results: record by key.

    Returns:
        The frame described at `Ratings`.
    """
    import polars as pl

    prompt = jobs.asking.prompt
    values = np.full((len(jobs) + 1, len(prompt.names)), np.nan, np.float32)
    scores = np.full(len(jobs) + 1, -1, np.int8)
    half = np.zeros(len(jobs) + 1, np.bool_)
    status = ["not_rated"] * len(jobs)
    for job, key in enumerate(jobs.keys):
        record = results.get(key)
        if record is None:
            continue
        half[job] = record.half
        status[job] = record.why or RATED
        if record.ratings is not None:
            values[job] = record.ratings
            scores[job] = prompt.class_of(record.ratings[-1])
    rows = jobs.job_of_row
    # The last, unrated entry stands for rows without a job.
    at = np.where(rows < 0, len(jobs), rows)
    said = np.array([*status, "empty_sample", SKIPPED], dtype=object)
    said_at = np.select([rows == EMPTY, rows == BEYOND_LIMIT], [len(jobs), len(jobs) + 1], rows)
    keys = np.array([*jobs.keys, None], dtype=object)
    columns = {
        name: pl.Series(values[at, i]).fill_nan(None) for i, name in enumerate(prompt.columns)
    }
    score = pl.Series("score", scores[at])
    return pl.DataFrame(columns).with_columns(
        score.set(score < 0, None),
        pl.Series("status", said[said_at], dtype=pl.String),
        pl.Series("truncated", jobs.truncated | half[at]),
        pl.Series("flag_delim", jobs.flag_delim),
        pl.Series("flag_inject", jobs.flag_inject()),
        pl.Series("key", keys[at], dtype=pl.String),
    )


def count_status(frame: pl.DataFrame) -> Counter[str]:
    """Rows by status."""
    return Counter(dict(frame["status"].value_counts().iter_rows()))


def count_models(results: Mapping[str, Record]) -> dict[str, int]:
    """Answers by the model's name as the provider gave it."""
    return dict(Counter(r.model for r in results.values() if r.model).most_common())
