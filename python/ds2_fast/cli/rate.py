"""`ds2-fast rate`: have an LLM rate the pool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ds2_fast.cli.options import narrator
from ds2_fast.cli.pool_options import pool_options
from ds2_fast.cli.rating_options import rate_options
from ds2_fast.cli.sections import SectionedCommand


@click.command(cls=SectionedCommand)
@click.argument("pool", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Copy the ratings to this .parquet file, with the samples' ids.",
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="Folder of the artifacts.  [default: POOL.ds2 beside the pool]",
)
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
@rate_options
@pool_options
def rate(
    pool: tuple[str, ...],
    model: str | None,
    output: Path | None,
    run_dir: Path | None,
    quiet: bool,
    dry_run: bool,
    yes: bool,
    pool_options: dict[str, Any],
    **options: Any,
) -> None:
    """Rate every sample of POOL with a language model.

    Each answer is stored as it comes: after a crash, Ctrl-C or a reached cap the same command goes
    on where it was, and buys no stored answer again. `ds2-fast select` on the same pool uses the
    ratings.

    \b
    Examples:
      ds2-fast rate pool.parquet --model openai/gpt-4o-mini --max-cost 10
      ds2-fast rate pool.jsonl --model hosted_vllm/llama --api-base http://127.0.0.1:8000/v1
    """
    if not model:
        raise click.UsageError("name the rating model with `--model`")
    from ds2_fast import pipeline
    from ds2_fast.cli.asking import asker, tell_plan

    if dry_run:
        tell_plan(pool, model, pool_options=pool_options, rating_options=options, run_dir=run_dir)
        return
    pipeline.rate(
        list(pool),
        model,
        output=output,
        run_dir=run_dir,
        pool_options=pool_options,
        rating_options=options,
        ask=asker(quiet=quiet, yes=yes),
        narrator=narrator(quiet=quiet),
    )
