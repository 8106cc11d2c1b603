"""`ds2-fast plan`: what a selection would do, before it is run."""

from __future__ import annotations

import json
from inspect import signature
from typing import Any

import click

from ds2_fast.cli.budget_options import budget_option
from ds2_fast.cli.options import (
    feature_options,
    neighbor_options,
    page_option,
    run_options,
    score_options,
)
from ds2_fast.cli.pool_options import pool_options
from ds2_fast.cli.rating_options import OPTION_NAMES, rate_options
from ds2_fast.cli.safety_options import safety_options
from ds2_fast.cli.sections import SectionedCommand
from ds2_fast.cli.select import select
from ds2_fast.cli.settings import OPTION
from ds2_fast.cli.strategy_options import take_options


@click.command(cls=SectionedCommand)
@safety_options
@score_options
@feature_options
@neighbor_options
@budget_option
@rate_options
@pool_options
@page_option
@run_options
def plan(
    pool: tuple[str, ...],
    n: str,
    as_json: bool,
    pool_options: dict[str, Any],
    **options: Any,
) -> None:
    """Say what `select` with the same options would do with POOL, take and cost.

    What would be rated, embedded, computed, or reused from the run directory; time, memory, disk
    and money, each with how it was estimated. Nothing is written, fetched or asked.

    \b
    Examples:
      ds2-fast plan pool.parquet --score-col rating -n 10000
      ds2-fast plan pool.jsonl --model gpt-4o-mini -n 5% --json
      ds2-fast plan pool.parquet --strategy deita -n 1000
    """
    from ds2_fast.planning import plan_run

    rating_options = {name: options.pop(name) for name in OPTION_NAMES}
    strategy_options = take_options(options)
    # What decides only how a run is told or written decides nothing here.
    known = signature(plan_run).parameters
    said = {name: value for name, value in options.items() if name in known}
    found = plan_run(
        list(pool),
        n,
        pool_options=pool_options,
        rating_options=rating_options,
        strategy_options=strategy_options,
        **said,
    )
    click.echo(json.dumps(found.to_dict(), allow_nan=False) if as_json else found.describe())


# The same command line plans and selects: what `select` takes besides is taken, too. Its file of
# options is its own: the one of `plan` is read for `plan`.
_own = {OPTION, *(param.name for param in plan.params)}
plan.params[:0] = [param for param in select.params if param.name not in _own]
