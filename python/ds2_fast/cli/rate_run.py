"""`ds2-fast rate status`, `export`, `reparse`, `import`, `batch-export`, `batch-import`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ds2_fast.cli.pool_options import pool_options
from ds2_fast.cli.rating_options import rate_options
from ds2_fast.cli.sections import SectionedCommand

if TYPE_CHECKING:
    from ds2_fast.rating.review import RunStatus

_PATH = click.Path(path_type=Path)
_OUTPUT = click.option("-o", "--output", type=_PATH, required=True, help="File to write.")
_RUN_DIR = click.option(
    "--run-dir", type=_PATH, help="Folder of the run.  [default: POOL.ds2 beside the pool]"
)


@click.command("status")
@click.argument("run", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status_(run: Path, as_json: bool) -> None:
    """Say what RUN has of ratings, and what they cost.

    \b
    Examples:
      ds2-fast rate status pool.ds2
      ds2-fast rate status pool.ds2 --json
    """
    from ds2_fast.rated_runs import read_ratings_status

    found, whole = read_ratings_status(run)
    if as_json:
        click.echo(json.dumps({"raters": [each.to_dict() for each in found], **whole}))
        return
    for each in found:
        click.echo(_status_lines(each))
    if whole["in_flight"]:
        click.echo(
            f"the last run was killed: at most {whole['in_flight']} requests may have been paid "
            "without an answer"
        )
    if whole["possible"]:
        click.echo(f"up to ${whole['possible']:,.4f} may have been billed without an answer")
    if whole["unreadable"]:
        click.echo(f"{whole['unreadable']:,} lines of the journal could not be read")
    if not found:
        click.echo("no answer yet")


def _status_lines(status: RunStatus) -> str:
    asking = status.header.asking
    reasons = ", ".join(f"{why} {count:,}" for why, count in status.reasons.most_common())
    null = f"{status.reasons.total():,} without a rating" + (f" ({reasons})" if reasons else "")
    cost = "unknown price" if status.cost is None else f"${status.cost:,.4f}"
    tokens_in, tokens_out, cached = status.tokens
    times = [
        time.strftime("%Y-%m-%d %H:%M", time.localtime(t)) for t in (status.first, status.last)
    ]
    repeats = f", {status.header.repeats} times each" if status.header.repeats > 1 else ""
    return "\n".join(
        (
            f"{asking.model} at {status.header.endpoint}",
            f"  prompt    {asking.prompt.name}{repeats}",
            f"  answers   {status.rated:,} rated, {null}",
            f"  sure      {status.chances:,} with probabilities",
            f"  requests  {status.requests:,}, {tokens_in:,} tokens in ({cached:,} cached), "
            f"{tokens_out:,} out",
            f"  cost      {cost}",
            f"  time      {times[0]} to {times[1]}",
        )
    )


@click.command("export")
@click.argument("run", type=_PATH)
@_OUTPUT
@click.option("--with-pool", is_flag=True, help="Write the pool's own columns too.")
def export_(run: Path, output: Path, with_pool: bool) -> None:
    """Write the ratings of RUN, finished or not, to a parquet file; nothing is asked.

    With --with-pool the file is a pool that can be selected from by `--score-col rating_NAME`.

    \b
    Examples:
      ds2-fast rate export pool.ds2 -o ratings.parquet
      ds2-fast rate export pool.ds2 -o rated.parquet --with-pool
    """
    from ds2_fast.rated_runs import export_ratings

    found = export_ratings(run, output, with_pool=with_pool)
    for name, ratings in found.items():
        rated = len(ratings.frame) - ratings.frame["score"].null_count()
        click.echo(
            f"rating_{name}: {rated:,} of {len(ratings.frame):,} rated by "
            f"{ratings.summary['model']} ({ratings.summary['prompt']})",
            err=True,
        )


@click.command("reparse")
@click.argument("run", type=_PATH)
def reparse_(run: Path) -> None:
    """Read the stored answers of RUN that gave no rating once more; nothing is asked.

    \b
    Examples:
      ds2-fast rate reparse pool.ds2
    """
    from ds2_fast.rated_runs import reparse_ratings

    done = reparse_ratings(run)
    click.echo(
        f"{done['rated']:,} answers have ratings now, {done['unreadable']:,} still have none, "
        f"{done['no text']:,} were stored without their text",
        err=True,
    )


@click.command("import", cls=SectionedCommand)
@click.argument("pool", nargs=-1, required=True, type=click.Path())
@click.option("--column", required=True, help="Column with the ratings.")
@click.option("--name", help="What to call the rater.  [default: the column's name]")
@click.option("--scale", default="auto", show_default=True, help="0-5, 1-10, observed or LO-HI.")
@_OUTPUT
@pool_options
def import_(
    pool: tuple[str, ...], output: Path, pool_options: dict[str, Any], **options: Any
) -> None:
    """Write POOL with the ratings of one of its columns in the form of this tool.

    \b
    Examples:
      ds2-fast rate import rated.parquet --column gpt_scores --scale 1-10 -o pool.parquet
    """
    from ds2_fast.rated_runs import import_ratings

    verdict, notices = import_ratings(
        list(pool), options.pop("column"), output, pool_options=pool_options, **options
    )
    for line in (verdict, *notices):
        click.echo(line, err=True)


@click.command("batch-export", cls=SectionedCommand)
@click.argument("pool", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", type=_PATH, help="Folder of the files.  [default: RUN/batch]")
@_RUN_DIR
@rate_options
@pool_options
def batch_export_(
    pool: tuple[str, ...],
    model: str | None,
    output: Path | None,
    run_dir: Path | None,
    dry_run: bool,
    yes: bool,
    pool_options: dict[str, Any],
    **options: Any,
) -> None:
    """Write what is left to rate of POOL as batch files in OpenAI's format; nothing is sent.

    Upload them to the provider, or run them with `vllm run-batch`; then `rate batch-import`.
    Options of the live engine (--rpm, --timeout, --max-cost, ...) say nothing here.

    \b
    Examples:
      ds2-fast rate batch-export pool.jsonl --model openai/gpt-4o-mini
      ds2-fast rate batch-import pool.ds2 batch_abc_output.jsonl
    """
    if not model:
        raise click.UsageError("name the rating model with `--model`")
    from ds2_fast.cli.asking import tell_plan
    from ds2_fast.rated_runs import export_batch

    if dry_run:
        tell_plan(pool, {model: options}, pool_options=pool_options, run_dir=run_dir)
        return
    files, plan = export_batch(
        list(pool),
        model,
        output,
        run_dir=run_dir,
        pool_options=pool_options,
        rating_options=options,
    )
    cost = "an unknown sum" if plan.cost is None else f"about ${plan.cost:,.2f}"
    click.echo(f"{plan.to_rate:,} requests in {len(files)} files, {cost} by batch", err=True)
    for file in files:
        click.echo(file)


@click.command("batch-import")
@click.argument("run", type=_PATH)
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def batch_import_(run: Path, files: tuple[Path, ...]) -> None:
    """Read the result files of a batch into RUN, in any order, in part or twice.

    \b
    Examples:
      ds2-fast rate batch-import pool.ds2 batch_abc_output.jsonl batch_abc_error.jsonl
    """
    from ds2_fast.rated_runs import import_batch

    done = import_batch(run, files)
    reasons = ", ".join(f"{why} {count:,}" for why, count in done.reasons.most_common())
    cost = "at an unknown price" if done.cost is None else f"${done.cost:,.4f}"
    click.echo(f"{done.rated:,} answers with ratings, {cost}", err=True)
    for count, what in (
        (done.reasons.total(), f"without a rating ({reasons})"),
        (done.known, "known already, left alone"),
        (done.foreign, "no results of this run, left out"),
    ):
        if count:
            click.echo(f"{count:,} {what}", err=True)
