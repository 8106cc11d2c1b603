"""The first half of every run: the scores and the features of a pool, taken or made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ds2_fast.bought import Bought
from ds2_fast.budgeting import Confirm, budgeted_scores
from ds2_fast.errors import PoolError
from ds2_fast.features import Features, make_features
from ds2_fast.line import Line
from ds2_fast.noise import Noise, NoiseSource
from ds2_fast.rundir import Stage
from ds2_fast.scoring import Rater, pool_scores
from ds2_fast.source import record_source

if TYPE_CHECKING:
    from ds2_fast.panel import Rated
    from ds2_fast.pool import Pool


@dataclass(frozen=True)
class Wanted:
    """Where scores and features are to come from.

    Attributes:
        columns: score columns, one per rater; None looks for one.
        scale: of the scores; None decides by their values.
        rater: the model that rates what has no scores.
        budget: rate only so much; None for all.
        n: samples to be selected, which a budget aims at.
        confirm: called with the cost of a budget.
        embeddings: given rows.
        embedder: model that embeds.
        space: the space, see `ds2_fast.features.make_features`.
        offline: open no socket.
        seed: of everything random.
        threads: at most so many.
    """

    columns: tuple[str | None, ...]
    scale: str | None
    embeddings: str | Path | NDArray[Any] | None
    embedder: str | None
    space: str | None
    offline: bool
    seed: int
    threads: int | None
    rater: Rater | None = None
    budget: int | str | None = None
    n: int | None = None
    confirm: Confirm | None = None

    def __post_init__(self) -> None:
        """Refuse a budget for several raters."""
        if self.budget is not None and len(self.columns) > 1:
            raise PoolError(
                f"a budget is for one rater, and {len(self.columns)} score columns are named",
                "name one with `--score-col`, or leave out `--budget`",
            )


@dataclass(frozen=True)
class Gathered:
    """What an analysis starts from.

    Attributes:
        rated: the scores of each rater, and why ratings made in this run are missing.
        features: rows to seek neighbors in.
        noise: what tells the noise share of each rater.
        bought: what a budget bought; None without one.
    """

    rated: list[Rated]
    features: Features
    noise: list[Noise]
    bought: Stage[Bought] | None


def gather(
    line: Line,
    pool: Pool,
    wanted: Wanted,
    source: NoiseSource,
    pool_options: Mapping[str, Any] | None,
) -> Gathered:
    """Take or make the scores and the features, and record the pool and its features.

    Scores come first, as a comparison of spaces needs them; under a budget the features do, as they
    tell which samples to rate.

    Args:
        line: where artifacts go.
        pool: the pool.
        wanted: where both come from.
        source: what tells the noise share.
        pool_options: how the pool was read.

    Raises:
        PoolError: if scores or given features cannot be used.
        ModelError: if a model that embeds cannot be had.
        RatingError: if the rating stops.
    """
    make = partial(
        make_features,
        line,
        pool,
        embeddings=wanted.embeddings,
        embedder=wanted.embedder,
        space=wanted.space,
        offline=wanted.offline,
        seed=wanted.seed,
        threads=wanted.threads,
    )
    bought = None
    if wanted.budget is None:
        rated: list[Rated] = [
            pool_scores(line, pool, score_col=column, scale=wanted.scale, rater=wanted.rater)
            for column in wanted.columns
        ]
        noise = _resolve(line, source, rated)
        features = make(scores=rated[0][0])
    else:
        features = make()
        scores, bought = budgeted_scores(
            line,
            pool,
            features,
            rater=wanted.rater,
            score_col=wanted.columns[0],
            scale=wanted.scale,
            budget=wanted.budget,
            n=wanted.n,
            seed=wanted.seed,
            confirm=wanted.confirm,
        )
        rated = [(scores, bought.value.status)]
        noise = _resolve(line, source, rated)
    record_source(line, pool, pool_options, features)
    return Gathered(rated, features, noise, bought)


def _resolve(line: Line, source: NoiseSource, rated: list[Rated]) -> list[Noise]:
    return [source.resolve(line, scores) for scores, _ in rated]
