"""`ds2-fast tag`: have an LLM say what the user of every sample wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import click

from ds2_fast.cli.options import narrator
from ds2_fast.cli.pool_options import OPTION_NAMES, pool_options
from ds2_fast.cli.sections import SectionedCommand
from ds2_fast.cli.tag_options import OPTION_NAMES as TAGGING
from ds2_fast.cli.tag_options import tag_options


class TagCommand(SectionedCommand):
    """A command whose model is no rater."""

    sections: ClassVar = {
        "Output": ("output",),
        "Tagging": TAGGING,
        "Reading the pool": OPTION_NAMES,
    }


@click.command(cls=TagCommand)
@click.argument("pool", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the tags to this .parquet file, with the samples' ids.",
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="Folder of the artifacts.  [default: POOL.ds2 beside the pool]",
)
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
@tag_options
@pool_options
def tag(
    pool: tuple[str, ...],
    model: str,
    output: Path | None,
    run_dir: Path | None,
    quiet: bool,
    dry_run: bool,
    yes: bool,
    pool_options: dict[str, Any],
    **options: Any,
) -> None:
    """Ask a language model for the intention tags of every sample of POOL.

    They are of what the user says, and `ds2-fast select --strategy instag` on the same pool uses
    them. Each answer is stored as it comes: after a crash, Ctrl-C or a reached cap the same command
    goes on where it was, and buys no stored answer again.

    \b
    Examples:
      ds2-fast tag pool.parquet --model openai/gpt-4o-mini --max-cost 10 -o tags.parquet
      ds2-fast tag pool.jsonl --model hosted_vllm/llama --api-base http://127.0.0.1:8000/v1
    """
    from ds2_fast import tag_line
    from ds2_fast.cli.asking import asker
    from ds2_fast.tagging import plan_tags, tag_queries

    if dry_run:
        _tell_plan(pool, model, options, pool_options=pool_options, run_dir=run_dir)
        return
    tag_line.tag(
        list(pool),
        model,
        output=output,
        run_dir=run_dir,
        pool_options=pool_options,
        tag_options=options,
        ask=asker(quiet=quiet, yes=yes, call=tag_queries, plan=plan_tags),
        narrator=narrator(quiet=quiet),
    )


def _tell_plan(
    source: tuple[str, ...],
    model: str,
    options: dict[str, Any],
    *,
    pool_options: dict[str, Any],
    run_dir: Path | None,
) -> None:
    """Print on stdout what tagging a pool would ask and cost; nothing is written."""
    from ds2_fast.line import default_run_dir
    from ds2_fast.pool import read_pool
    from ds2_fast.tag_line import JOURNAL, queries_of
    from ds2_fast.tagging import plan_tags

    pool = read_pool(list(source), **pool_options)
    folder = run_dir or default_run_dir(pool.inputs[0])
    plan = plan_tags(queries_of(pool), model, journal_path=folder / JOURNAL, **options)
    click.echo(plan.describe(options["rpm"], options["tpm"]))
