"""`ds2-fast compare`: what differs between two runs of one pool."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ds2_fast.cli.options import narrator

_WIDEST = 160


@click.command()
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON on stdout.")
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw it as a page, with the texts of the samples that went out and came in.",
)
def compare(run_a: Path, run_b: Path, as_json: bool, html: Path | None) -> None:
    """Compare the runs in the folders RUN_A and RUN_B, of one pool.

    Whom both selected; who went out and who came in, and why; how scores and T differ; the shares
    of groups in either selection.

    \b
    Examples:
      ds2-fast compare first.ds2 second.ds2
      ds2-fast compare first.ds2 second.ds2 --html difference.html
    """
    from ds2_fast.compared_runs import compare_runs

    found = compare_runs(run_a, run_b)
    if as_json:
        click.echo(json.dumps(found.to_dict(), allow_nan=False))
    else:
        from rich.console import Console

        from ds2_fast.comparison_report import print_comparison

        console = Console(highlight=False, soft_wrap=True)
        # A table that is wider than the terminal may run over its edge.
        console.width = max(console.width, _WIDEST)
        print_comparison(found, console)
    if html is not None:
        from ds2_fast.page import draw_comparison

        teller = narrator(quiet=False)
        draw_comparison(found, html, narrator=teller)
        teller.done("wrote", str(html))
