"""Ratings as columns aligned with the pool, and the summary of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.rating.chances import count_ratings, to_classes, to_scale
from ds2_fast.rating.jobs import BEYOND_LIMIT, EMPTY, Jobs
from ds2_fast.rating.journal import Record
from ds2_fast.rating.prompt import Prompt

if TYPE_CHECKING:
    import polars as pl

RATED, SKIPPED = "ok", "skipped"
FROM_TOKENS, FROM_REPEATS = "logprobs", "repeats"


@dataclass(frozen=True)
class Ratings:
    """Ratings of a pool.

    Attributes:
        frame: one row for each row of the pool, in its order. A float32 column for each criterion
            and `overall`, as the model gave them (the mean over repeats), null where there is none;
            `score` int8, the class of `overall` in 0..K-1 (high = good) or null; `expected`
            float32, the mean class by the probabilities, and `chances`, a list of K float32, the
            probability of each class, null where nobody knows; `expected_from`: `logprobs` or
            `repeats`; `status`: `ok` or the reason there is no rating; `truncated`, `flag_delim`,
            `flag_inject`: what was done to, or seen in, the sample; `key`: its identity in the
            journal.
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


class _Columns:
    """What is known of each distinct sample; the last entry stands for rows without one."""

    def __init__(self, samples: int, prompt: Prompt) -> None:
        self.prompt = prompt
        self.values = np.full((samples + 1, len(prompt.names)), np.nan, np.float32)
        self.scores = np.full(samples + 1, -1, np.int8)
        self.chances = np.full((samples + 1, prompt.num_classes), np.nan, np.float32)
        self.source: list[str | None] = [None] * (samples + 1)
        self.half = np.zeros(samples + 1, np.bool_)
        self.status = ["not_rated"] * samples

    def take(self, sample: int, records: Sequence[Record]) -> None:
        """Take down the answers to one sample: one, or as many as there are repeats."""
        rated = [record.ratings for record in records if record.ratings is not None]
        self.half[sample] = any(record.half for record in records)
        self.status[sample] = RATED if rated else records[0].why or RATED
        if not rated:
            return
        values = np.mean(rated, axis=0)
        self.values[sample] = values
        # A mean of numbers of the scale may pass its end by the last bit.
        self.scores[sample] = self.prompt.class_of(float(np.clip(values[-1], *self.prompt.scale)))
        found = _distribution(records, rated, self.prompt)
        if found is not None:
            self.chances[sample], self.source[sample] = found


def _distribution(
    records: Sequence[Record], rated: Sequence[tuple[float, ...]], prompt: Prompt
) -> tuple[NDArray[np.float64], str] | None:
    """The distribution over the classes, and what it is from."""
    size = 4 * (prompt.scale[1] - prompt.scale[0] + 1)  # a file can be edited
    known = [to_scale(r.chances) for r in records if r.chances and len(r.chances) == size]
    if known:
        return to_classes(np.mean(known, axis=0), prompt), FROM_TOKENS
    if len(rated) > 1:
        return to_classes(count_ratings((r[-1] for r in rated), prompt), prompt), FROM_REPEATS
    return None


def build_frame(jobs: Jobs, results: Mapping[str, Record]) -> pl.DataFrame:
    """Spread the results of the distinct samples over the rows of the pool.

    Args:
        jobs: the requests of the pool.
        results: record by key.

    Returns:
        The frame described at `Ratings`.
    """
    import polars as pl

    prompt, samples = jobs.asking.prompt, jobs.samples
    found = _Columns(samples, prompt)
    for sample in range(samples):
        records = [results[key] for key in jobs.keys_of(sample) if key in results]
        if records:
            found.take(sample, records)
    rows = jobs.job_of_row
    at = np.where(rows < 0, samples, rows)
    said = np.array([*found.status, "empty_sample", SKIPPED], dtype=object)
    said_at = np.select([rows == EMPTY, rows == BEYOND_LIMIT], [samples, samples + 1], rows)
    keys = np.array([*jobs.keys[:samples], None], dtype=object)
    columns = {
        name: pl.Series(found.values[at, i]).fill_nan(None) for i, name in enumerate(prompt.columns)
    }
    score = pl.Series("score", found.scores[at])
    mean = found.chances @ np.arange(prompt.num_classes, dtype=np.float32)
    lists = pl.Series("chances", found.chances[at], dtype=pl.Array(pl.Float32, prompt.num_classes))
    unknown = pl.Series(np.isnan(mean)[at])
    return pl.DataFrame(columns).with_columns(
        score.set(score < 0, None),
        pl.Series("expected", mean[at]).fill_nan(None),
        pl.select(pl.when(~unknown).then(lists).alias("chances")).to_series(),
        pl.Series("expected_from", [found.source[i] for i in at], dtype=pl.String),
        pl.Series("status", said[said_at].tolist(), dtype=pl.String),
        pl.Series("truncated", jobs.truncated | found.half[at]),
        pl.Series("flag_delim", jobs.flag_delim),
        pl.Series("flag_inject", jobs.flag_inject()),
        pl.Series("key", keys[at].tolist(), dtype=pl.String),
    )


def count_status(frame: pl.DataFrame) -> Counter[str]:
    """Rows by status."""
    return Counter(dict(frame["status"].value_counts().iter_rows()))


def count_models(results: Mapping[str, Record]) -> dict[str, int]:
    """Answers by the model's name as the provider gave it."""
    return dict(Counter(r.model for r in results.values() if r.model).most_common())
