"""`ds2-fast verify`: whether a run is what it says."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from ds2_fast.cli.options import narrator


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--deep", is_flag=True, help="Find the neighbors anew, too.")
@click.option(
    "--pool",
    multiple=True,
    metavar="FILE",
    help="Where the pool is now, if it was moved; once for each.",
)
@click.option(
    "--embeddings",
    metavar="FILE.npy",
    help="Where the embeddings are now, if they were moved.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Threads at most; the result does not depend on it.  [default: all]",
)
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print what was checked as JSON on stdout.")
def verify(
    run: Path,
    deep: bool,
    pool: tuple[str, ...],
    embeddings: str | None,
    threads: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Check that the run in the folder RUN is what it says, and gives the same result again.

    Every file it made or stood on must have the bytes it had; then everything from the neighbors
    on is computed once more, and must be the same bit for bit. Exits with 7, and says what
    differs, if it is not.

    \b
    Examples:
      ds2-fast verify pool.ds2
      ds2-fast verify pool.ds2 --deep --pool /elsewhere/pool.parquet
    """
    from ds2_fast.verifying import verify_run

    if threads is not None:
        os.environ["RAYON_NUM_THREADS"] = str(threads)
    found = verify_run(
        run,
        deep=deep,
        pool=pool or None,
        embeddings=embeddings,
        threads=threads,
        narrator=narrator(quiet=quiet),
    )
    if as_json:
        click.echo(json.dumps(found.to_dict(), allow_nan=False))
