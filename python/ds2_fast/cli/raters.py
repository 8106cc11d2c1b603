"""`ds2-fast raters`: several raters of one pool, compared."""

from __future__ import annotations

import json
from typing import Any

import click

from ds2_fast.cli.options import feature_options, neighbor_options, run_options, score_options
from ds2_fast.cli.pool_options import pool_options
from ds2_fast.cli.sections import SectionedCommand
from ds2_fast.progress import Narrator

_WIDEST = 160


@click.group()
def raters() -> None:
    """Compare several raters of one pool.

    \b
    Examples:
      ds2-fast raters compare pool.parquet --score-col gpt --score-col llama
    """


@raters.command(cls=SectionedCommand)
@click.argument("pool", nargs=-1, required=True, type=click.Path())
@score_options
@feature_options
@neighbor_options
@pool_options
@run_options
def compare(
    pool: tuple[str, ...],
    narrator: Narrator,
    quiet: bool,
    as_json: bool,
    score_col: tuple[str, ...],
    pool_options: dict[str, Any],
    **options: Any,
) -> None:
    """Say how the raters of POOL agree, what neighbors know of each, and what each is worth.

    Nothing is selected. Name each rater's column with --score-col.

    \b
    Examples:
      ds2-fast raters compare pool.parquet --score-col gpt --score-col llama --score-col mistral
      ds2-fast raters compare pool.jsonl --score-col first --score-col second --json
    """
    if len(score_col) < 2:  # noqa: PLR2004
        raise click.UsageError("name two raters or more: --score-col A --score-col B")
    from rich.console import Console

    from ds2_fast.comparing import compare_raters
    from ds2_fast.rater_report import print_panel

    found = compare_raters(
        list(pool), score_col, pool_options=pool_options, narrator=narrator, **options
    )
    if as_json:
        click.echo(json.dumps(found.report, allow_nan=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    # A table that is wider than the terminal may run over its edge: rich would cut its numbers.
    console.width = max(console.width, _WIDEST)
    print_panel(found.report, console)
