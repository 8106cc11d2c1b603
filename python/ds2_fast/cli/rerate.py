"""`ds2-fast rerate`: a stronger rater where it can change the selection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ds2_fast.cli.options import narrator
from ds2_fast.cli.rating_options import rate_options
from ds2_fast.cli.sections import SectionedCommand

if TYPE_CHECKING:
    from ds2_fast.rerate_line import Budget


class _Budget(click.ParamType):  # type: ignore[type-arg]
    """`500` samples, or `5usd`."""

    name = "N|Xusd"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Budget:
        from ds2_fast.rerate_line import Budget

        text = str(value).strip().lower()
        try:
            if text.endswith("usd"):
                dollars = float(text.removesuffix("usd"))
                if 0 < dollars < float("inf"):
                    return Budget(dollars=dollars)
            elif int(text) > 0:
                return Budget(samples=int(text))
        except ValueError:
            pass
        self.fail(f"{value!r} is no budget; write 500 for samples or 5usd for dollars", param, ctx)


@click.command(cls=SectionedCommand)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--budget", required=True, type=_Budget(), help="Samples to ask about, or dollars to spend."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File of the new subset.")
@click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
@rate_options
def rerate(
    run: Path,
    model: str | None,
    budget: Budget,
    output: Path | None,
    quiet: bool,
    as_json: bool,
    dry_run: bool,
    yes: bool,
    **options: Any,
) -> None:
    """Ask a stronger MODEL about the samples of the selection RUN that its ratings could move.

    Those near the cut and those whose ratings are in doubt come first; a sample that no rating
    could move in or out is never asked about. A price cap on top: --max-cost.

    \b
    Examples:
      ds2-fast rerate pool.ds2 --model openai/gpt-4o --budget 500 -o better.jsonl
      ds2-fast rerate pool.ds2 --model openai/gpt-4o --budget 5usd
    """
    if not model:
        raise click.UsageError("name the stronger model with `--model`")
    from ds2_fast.cli.asking import asker, teller
    from ds2_fast.rerate_line import describe
    from ds2_fast.rerate_line import rerate as run_rerate

    if budget.dollars is not None and options.get("max_cost") is not None:
        raise click.UsageError("a budget in dollars and --max-cost are two caps: give one")
    told = narrator(quiet=quiet)
    try:
        found = run_rerate(
            run,
            model,
            budget,
            output=output,
            rating_options=options,
            ask=teller() if dry_run else asker(quiet=quiet, yes=yes or budget.dollars is not None),
            narrator=told,
        )
    except click.exceptions.Exit:
        return
    if as_json:
        click.echo(json.dumps(found.report))
    elif not quiet:
        click.echo(describe(found.report), err=True)
