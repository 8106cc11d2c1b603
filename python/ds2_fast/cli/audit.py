"""`ds2-fast audit`: samples to score by hand, and what their scores say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ds2_fast.cli.options import narrator as terminal
from ds2_fast.cli.pool_options import pool_options
from ds2_fast.cli.sections import SectionedCommand

_SCORE_COL = click.option(
    "--score-col",
    metavar="COLUMN",
    help="Column with the scores.  [default: the run's, else a column of a known name]",
)
_SCALE = click.option("--scale", metavar="0-5|1-10|observed", help="Range of the scores.")
_RUN_DIR = click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="The run of the pool.  [default: POOL.ds2 beside the pool, if it is there]",
)


@click.group()
def audit() -> None:
    """Draw samples to score by hand, and check the scores.

    100 to 300 samples scored by a person tell how much of the disagreement between neighbors is
    rater noise, and whether neighbors know anything about what a person thinks.

    \b
    Examples:
      ds2-fast audit sample pool.jsonl -n 200 -o audit.csv
      ds2-fast audit check audit.csv pool.jsonl
      ds2-fast select pool.jsonl --audit audit.csv -n 1000 -o subset.jsonl
    """


@audit.command(cls=SectionedCommand)
@click.argument("pool", nargs=-1, required=True, type=click.Path())
@click.option(
    "-n", "--n", "n", type=int, default=100, show_default=True, help="Samples, at least 50."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("audit.csv"),
    show_default=True,
    help="CSV file to fill in; it must not exist yet.",
)
@click.option("--seed", type=int, default=42, show_default=True, help="Seed of the draw.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
@_SCORE_COL
@_SCALE
@_RUN_DIR
@pool_options
def sample(pool: tuple[str, ...], quiet: bool, **options: Any) -> None:
    """Write the samples of POOL that tell most when a person scores them.

    POOL may also be a run directory. Every score is represented, and more of the samples near the
    cut of the last selection; the weights that undo this are in the file. Fill in the column
    `score` in any spreadsheet and save it as CSV.
    """
    from ds2_fast.auditing import sample_audit

    sample_audit(list(pool), narrator=terminal(quiet=quiet), **options)


@audit.command(cls=SectionedCommand)
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("pool", nargs=-1, required=True, type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON on stdout.")
@_SCORE_COL
@_SCALE
@_RUN_DIR
@pool_options
def check(file: Path, pool: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Read the scores in FILE and compare them with the ratings of POOL."""
    from ds2_fast.auditing import check_audit
    from ds2_fast.calibration import LEAST_AUDITED

    found = check_audit(file, list(pool), **options)
    if as_json:
        click.echo(json.dumps(found))
        return
    lines = [f"{found['scored']:,} samples are scored, {found['unscored']:,} are not yet"]
    if found["equal"] is not None:
        lines.append(f"the ratings equal them on {found['equal']:.0%} of the pool (by weight)")
    lines.append(
        "enough for `--audit`"
        if found["enough"]
        else f"`--audit` needs at least {LEAST_AUDITED} scores"
    )
    click.echo("\n".join(lines))
