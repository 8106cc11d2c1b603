"""`ds2-fast curate`: the line without the selection."""

from __future__ import annotations

from typing import Any

import click

from ds2_fast.cli.options import (
    feature_options,
    neighbor_options,
    page_option,
    run_options,
    score_options,
    show,
)
from ds2_fast.cli.pool_options import pool_options
from ds2_fast.cli.sections import SectionedCommand
from ds2_fast.cli.settings import settings_of
from ds2_fast.progress import Narrator


@click.command(cls=SectionedCommand)
@click.argument("pool", nargs=-1, required=True, type=click.Path())
@click.option("--strict", is_flag=True, help="Exit with 6 if the trust check says not to curate.")
@score_options
@feature_options
@neighbor_options
@pool_options
@page_option
@run_options
def curate(
    pool: tuple[str, ...],
    narrator: Narrator,
    quiet: bool,
    as_json: bool,
    pool_options: dict[str, Any],
    **options: Any,
) -> None:
    """Correct the scores of POOL by what its neighbors say, without selecting.

    The run directory holds scores.parquet, one row per sample of the pool.

    \b
    Examples:
      ds2-fast curate pool.parquet --score-col rating
      ds2-fast curate pool.jsonl --space lexical --curation paper
    """
    from ds2_fast import pipeline

    result = pipeline.select(
        list(pool),
        None,
        pool_options=pool_options,
        config=settings_of(click.get_current_context()),
        narrator=narrator,
        **options,
    )
    show(result.report, quiet=quiet, as_json=as_json, run_dir=result.run_dir)
