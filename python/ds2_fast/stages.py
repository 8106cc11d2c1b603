"""One stage of the pipeline on its own: rate a pool, or embed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.atomic import atomic_path
from ds2_fast.budgeting import Confirm
from ds2_fast.features import make_features
from ds2_fast.line import open_line
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.scoring import JOURNAL, Rater, rate_pool
from ds2_fast.source import open_pool, record_pool, record_source

if TYPE_CHECKING:
    from ds2_fast.pool import Pool
    from ds2_fast.rating.result import Ratings


def rate(
    data: object,
    model: str,
    *,
    output: str | Path | None = None,
    run_dir: str | Path | None = None,
    pool_options: Mapping[str, Any] | None = None,
    rating_options: Mapping[str, Any] | None = None,
    ask: Callable[..., Ratings] | None = None,
    budget: int | str | None = None,
    n: int | str | None = None,
    embeddings: str | Path | NDArray[Any] | None = None,
    embedder: str | None = None,
    space: str | None = None,
    seed: int = 42,
    threads: int | None = None,
    offline: bool = False,
    confirm: Confirm | None = None,
    narrator: Narrator = QUIET,
) -> Ratings:
    """Rate the samples of a pool with an LLM; `select` on the same run directory uses the ratings.

    Args:
        data: the pool, see `select`.
        model: litellm name of the LLM, `provider/model`.
        output: parquet file that gets the ratings, with the samples' ids.
        run_dir: see `select`; for data in memory give one, or the answers are lost.
        pool_options: see `select`.
        rating_options: further arguments of `ds2_fast.rating.rate`: `prompt`, `api_base`,
            `max_cost` and so on.
        ask: called in place of `ds2_fast.rating.rate`, with the same arguments.
        budget: rate only so many, see `select`. The frame then has `rating_source` and `rating_p`
            (see `ds2_fast.budgeting.Bought`), and the arguments below count; else they do not.
        n: size of the selection to come; None for a quarter of the budget.
        embeddings: see `select`.
        embedder: see `select`.
        space: see `select`.
        seed: see `select`.
        threads: see `select`.
        offline: see `select`.
        confirm: see `select`.
        narrator: is told what happens.

    Returns:
        `frame`, one row per sample in pool order, and `summary`.

    Raises:
        PoolError: if the pool cannot be read, or the output is the pool or no `.parquet`.
        RatingError: if the provider refuses, or too many answers could not be read.
        BudgetReachedError: if the cap is reached; the same call with a higher cap goes on.
    """
    said = {model: dict(rating_options or {})}
    if budget is not None:
        from ds2_fast.rating_part import rate_part

        return rate_part(
            data,
            Rater(model, said[model], ask, offline),
            budget=budget,
            n=n,
            output=output,
            run_dir=run_dir,
            pool_options=pool_options,
            features={
                "embeddings": embeddings,
                "embedder": embedder,
                "space": space,
                "offline": offline,
                "seed": seed,
                "threads": threads,
            },
            seed=seed,
            confirm=confirm,
            narrator=narrator,
        )
    return rate_with(
        data,
        said,
        output=output,
        run_dir=run_dir,
        pool_options=pool_options,
        ask=ask,
        narrator=narrator,
    )[model]


def rate_with(
    data: object,
    raters: Mapping[str, Mapping[str, Any]],
    *,
    output: str | Path | None = None,
    run_dir: str | Path | None = None,
    pool_options: Mapping[str, Any] | None = None,
    ask: Callable[..., Ratings] | None = None,
    narrator: Narrator = QUIET,
) -> dict[str, Ratings]:
    """Rate every sample of a pool with several LLMs, one after the other, into one journal.

    Args:
        data: the pool, see `select`.
        raters: further arguments of `ds2_fast.rating.rate` for each model. A `max_cost` is a cap on
            all of them together, since it is one on the journal.
        output: parquet file that gets the ratings, with the samples' ids: the columns of
            `ds2_fast.rating.columns`, those of every model under its own name.
        run_dir: see `rate`.
        pool_options: see `select`.
        ask: called in place of `ds2_fast.rating.rate`, with the same arguments.
        narrator: is told what happens.

    Returns:
        The ratings by model, in the order given.

    Raises:
        PoolError: if the pool cannot be read, or the output is the pool or no `.parquet`.
        RatingError: if a provider refuses, or too many answers could not be read.
        BudgetReachedError: if the cap is reached; the same call with a higher cap goes on.
    """
    from ds2_fast.rating.columns import slugs

    pool, folder = open_pool(data, run_dir, pool_options, narrator)
    _check_file(pool, output, ".parquet")
    names = slugs(tuple(raters))
    with open_line(folder, narrator) as line:
        try:
            rated = {
                model: rate_pool(
                    line, pool, Rater(model, options, ask), name if len(raters) > 1 else ""
                ).value
                for name, (model, options) in zip(names, raters.items(), strict=True)
            }
        finally:
            # A stopped run can be exported; a run that was declined leaves nothing.
            if (line.run.path / JOURNAL).exists():
                record_pool(line, pool, pool_options)
        if output is not None:
            from ds2_fast.rated_runs import write_ratings

            write_ratings(pool, dict(zip(names, rated.values(), strict=True)), output)
            narrator.done("wrote", f"{len(pool):,} ratings to {output}")
        return rated


def embed(
    data: object,
    *,
    output: str | Path | None = None,
    embedder: str | None = None,
    space: str | None = None,
    run_dir: str | Path | None = None,
    seed: int = 42,
    threads: int | None = None,
    offline: bool = False,
    pool_options: Mapping[str, Any] | None = None,
    narrator: Narrator = QUIET,
) -> NDArray[np.float16]:
    """Make feature rows for every sample of a pool, resuming where an interrupted run stopped.

    Args:
        data: the pool, see `select`.
        output: `.npy` file that gets the rows; None leaves them in the run directory only.
        embedder: see `select`.
        space: `"embedding"`, `"lexical"` or `"hybrid"`.
        run_dir: see `select`.
        seed: of the lexical projection.
        threads: at most so many.
        offline: open no socket.
        pool_options: see `select`.
        narrator: is told what happens.

    Returns:
        float16 `(N, d)`, in pool order.

    Raises:
        PoolError: if the pool cannot be read, or the output is the pool or no `.npy`.
        ModelError: if the model cannot be had.
    """
    pool, folder = open_pool(data, run_dir, pool_options, narrator)
    _check_file(pool, output, ".npy")
    with open_line(folder, narrator) as line:
        features = make_features(
            line,
            pool,
            embeddings=None,
            embedder=embedder,
            space=space,
            offline=offline,
            seed=seed,
            threads=threads,
        )
        record_source(line, pool, pool_options, features)
        rows = features.rows
        if output is not None:
            with atomic_path(output) as temporary, temporary.open("wb") as file:
                np.save(file, rows)
            narrator.done("wrote", f"{len(rows):,} rows of {rows.shape[1]} to {output}")
        return np.array(rows)


def _check_file(pool: Pool, output: str | Path | None, suffix: str) -> None:
    from ds2_fast.pool import check_output

    if output is not None:
        check_output(pool, output, suffix=suffix)
