"""`ds2-fast explain`: why a run made of a sample what it made of it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ds2_fast.cli.options import narrator

_WIDTH = 100


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--row", type=click.IntRange(min=0), help="The sample's row, from 0.")
@click.option("--id", "id_", metavar="ID", help="The sample's id.")
@click.option(
    "-k", "k", type=click.IntRange(min=1), default=10, show_default=True, help="Neighbors to show."
)
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON on stdout.")
def explain(run: Path, row: int | None, id_: str | None, k: int, as_json: bool) -> None:
    """Say why the run in the folder RUN took or left a sample.

    Its rating, its neighbors and theirs, the posterior of its true score, its rarity, its place in
    the ranking, and who is just above and below the cut.

    \b
    Examples:
      ds2-fast explain pool.ds2 --row 17
      ds2-fast explain pool.ds2 --id s-1017 --json
    """
    if (row is None) == (id_ is None):
        raise click.UsageError("say which sample: --row or --id")
    from ds2_fast.explaining import explain as explain_sample

    found = explain_sample(run, row=row, id=id_, k=k, narrator=narrator(quiet=False))
    if as_json:
        click.echo(json.dumps(found.to_dict(), allow_nan=False))
        return
    from rich.console import Console

    from ds2_fast.explaining import ChoiceExplanation
    from ds2_fast.explaining.choice import lay_out_choice
    from ds2_fast.explaining.layout import lay_out

    console = Console(highlight=False, soft_wrap=True)
    width = console.width if console.is_terminal else _WIDTH
    lines = (
        lay_out_choice(found, width)
        if isinstance(found, ChoiceExplanation)
        else lay_out(found, width)
    )
    for style, line in lines:
        console.print(line, style=style or None, markup=False)
