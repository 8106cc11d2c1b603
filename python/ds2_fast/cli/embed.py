"""`ds2-fast embed`: feature rows for a pool, as a `.npy` file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ds2_fast.cli.options import run_options
from ds2_fast.cli.pool_options import pool_options
from ds2_fast.cli.sections import SectionedCommand
from ds2_fast.progress import Narrator


@click.command(cls=SectionedCommand)
@click.argument("pool", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Copy the rows to this `.npy` file."
)
@click.option(
    "--embedder",
    metavar="NAME|DIR|lexical",
    help="Model that embeds the pool.  [default: all-MiniLM-L6-v2]",
)
@click.option(
    "--space",
    type=click.Choice(["embedding", "lexical", "hybrid"]),
    help="Which rows to make.  [default: embedding]",
)
@pool_options
@run_options
def embed(
    pool: tuple[str, ...],
    narrator: Narrator,
    quiet: bool,
    as_json: bool,
    pool_options: dict[str, Any],
    **options: Any,
) -> None:
    """Embed every sample of POOL, resuming where an interrupted run stopped.

    \b
    Examples:
      ds2-fast embed pool.parquet -o embeddings.npy
      ds2-fast embed pool.jsonl --embedder ./my-model
    """
    from ds2_fast import stages

    rows = stages.embed(list(pool), pool_options=pool_options, narrator=narrator, **options)
    if as_json:
        about = {"rows": rows.shape[0], "dimensions": rows.shape[1], "dtype": str(rows.dtype)}
        click.echo(json.dumps(about))
