"""`ds2-fast select`: the whole line."""

from __future__ import annotations

from inspect import signature
from typing import Any

import click

from ds2_fast.cli.budget_options import budget_option
from ds2_fast.cli.delivery_options import check_snippet, delivery_options, tell_snippet
from ds2_fast.cli.options import (
    feature_options,
    neighbor_options,
    page_option,
    run_options,
    score_options,
    show,
)
from ds2_fast.cli.pool_options import pool_options
from ds2_fast.cli.rating_options import OPTION_NAMES, rate_options
from ds2_fast.cli.safety_options import safety_options
from ds2_fast.cli.sections import SectionedCommand
from ds2_fast.cli.settings import settings_of
from ds2_fast.cli.strategy_options import strategy_options, take_options
from ds2_fast.progress import Narrator
from ds2_fast.strategies import IS_DS2


@click.command(cls=SectionedCommand)
@click.argument("pool", nargs=-1, required=True, type=click.Path())
@click.option(
    "-n",
    "--n",
    "n",
    required=True,
    metavar="N|5%|N,N,...",
    help="Samples to select; several sizes give nested subsets.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE|FOLDER/",
    help="File of the subset; its extension picks the format. With a slash at the end: a dataset "
    "folder with a card.",
)
@click.option("--add-columns", is_flag=True, help="Add the ds2_ columns to the subset.")
@delivery_options
@strategy_options
@click.option("--keep-outliers", is_flag=True, help="Do not set the 1 % rarest samples aside.")
@safety_options
@click.option("--strict", is_flag=True, help="Exit with 6 if the trust check says not to curate.")
@score_options
@feature_options
@neighbor_options
@budget_option
@rate_options
@pool_options
@page_option
@run_options
def select(
    pool: tuple[str, ...],
    n: str,
    narrator: Narrator,
    quiet: bool,
    as_json: bool,
    dry_run: bool,
    yes: bool,
    pool_options: dict[str, Any],
    emit: str | None,
    **options: Any,
) -> None:
    """Choose the best n samples of POOL: rate, embed, curate, select.

    A pool without scores is rated by `--model`; a pool without `--embeddings` is embedded.

    \b
    Examples:
      ds2-fast select pool.parquet --score-col rating -n 10000 -o subset.parquet
      ds2-fast select pool.jsonl --model gpt-4o-mini --max-cost 20 -n 5% -o subset.jsonl
    """
    from ds2_fast import pipeline
    from ds2_fast.cli.asking import asker
    from ds2_fast.cli.budget_options import confirmer

    check_snippet(emit, options["to"], options["output"])
    rating_options = {name: options.pop(name) for name in OPTION_NAMES}
    strategy_options = take_options(options)
    if dry_run:
        if options["strategy"] not in IS_DS2:
            _tell_strategy(pool, n, pool_options, rating_options, strategy_options, options)
            return
        _tell_plan(pool, pool_options, rating_options, options)
        return
    result = pipeline.select(
        list(pool),
        n,
        pool_options=pool_options,
        rating_options=rating_options,
        strategy_options=strategy_options,
        ask=asker(quiet=quiet, yes=yes, told=options["budget"] is not None),
        confirm=confirmer(yes=yes, capped=rating_options["max_cost"] is not None),
        config=settings_of(click.get_current_context()),
        narrator=narrator,
        **options,
    )
    show(
        result.report,
        quiet=quiet,
        as_json=as_json,
        run_dir=result.run_dir,
        files=result.files,
    )
    tell_snippet(emit, options["to"], result.files)


def _tell_strategy(
    pool: tuple[str, ...],
    n: str,
    pool_options: dict[str, Any],
    rating_options: dict[str, Any],
    strategy_options: dict[str, Any],
    options: dict[str, Any],
) -> None:
    """Say what another strategy would do: it may need no ratings at all."""
    from ds2_fast.planning import plan_run

    known = signature(plan_run).parameters
    found = plan_run(
        list(pool),
        n,
        pool_options=pool_options,
        rating_options=rating_options,
        strategy_options=strategy_options,
        **{name: value for name, value in options.items() if name in known},
    )
    click.echo(found.describe())


def _tell_plan(
    pool: tuple[str, ...],
    pool_options: dict[str, Any],
    rating_options: dict[str, Any],
    options: dict[str, Any],
) -> None:
    """Say what rating would cost, if the pool has no scores."""
    if not options["model"]:
        raise click.UsageError("a dry run tells what rating costs: name the model with `--model`")
    from ds2_fast.cli.asking import tell_plan
    from ds2_fast.pool import find_score_columns, read_pool

    if options["score_col"] or find_score_columns(read_pool(list(pool), **pool_options)):
        click.echo("the pool has scores: nothing would be asked, nothing spent")
        return
    tell_plan(
        pool,
        {options["model"]: rating_options},
        pool_options=pool_options,
        run_dir=options["run_dir"],
        budget=options["budget"],
    )
