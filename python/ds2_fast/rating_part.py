"""`rate` within a budget: part of a pool, where the best samples are to be expected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast.atomic import atomic_path
from ds2_fast.budgeting import Confirm, buy_scores
from ds2_fast.features import make_features
from ds2_fast.line import open_line
from ds2_fast.sizes import parse_sizes
from ds2_fast.source import open_pool, record_source

if TYPE_CHECKING:
    from ds2_fast.progress import Narrator
    from ds2_fast.rating.result import Ratings
    from ds2_fast.scoring import Rater


def rate_part(
    data: object,
    rater: Rater,
    *,
    budget: int | str,
    n: int | str | None,
    output: str | Path | None,
    run_dir: str | Path | None,
    pool_options: Mapping[str, Any] | None,
    features: Mapping[str, Any],
    seed: int,
    confirm: Confirm | None,
    narrator: Narrator,
) -> Ratings:
    """Rate part of a pool; see `ds2_fast.rate`.

    Args:
        data: the pool.
        rater: the LLM.
        budget: how much.
        n: size of the selection to come.
        output: parquet file of the ratings and predictions.
        run_dir: folder of the artifacts.
        pool_options: how the pool is read.
        features: arguments of `ds2_fast.features.make_features`.
        seed: of the budget.
        confirm: asks before money is spent.
        narrator: is told what happens.

    Returns:
        The ratings, with `rating_source` and `rating_p`.
    """
    from ds2_fast.pool import check_output

    pool, folder = open_pool(data, run_dir, pool_options, narrator)
    if output is not None:
        check_output(pool, output, suffix=".parquet")
    with open_line(folder, narrator) as line:
        made = make_features(line, pool, **features)
        record_source(line, pool, pool_options, made)
        size = max(parse_sizes(n, len(pool)), default=None)
        _, bought = buy_scores(
            line, pool, rater, made, budget=budget, n=size, seed=seed, confirm=confirm
        )
        ratings = bought.value.ratings()
        if output is not None:
            ids = [] if pool.ids is None else [pool.ids.alias("id")]
            with atomic_path(output) as temporary:
                ratings.frame.select(*ids, *ratings.frame.columns).write_parquet(temporary)
            narrator.done("wrote", f"{len(ratings.frame):,} ratings to {output}")
        return ratings
