"""`ds2-fast report`: what a finished run found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ds2_fast.cli.options import narrator
from ds2_fast.errors import RunError

PARTS = {"pool", "scores", "selection"}
RATERS = ({"transition", "curation", "trust"}, {"raters", "agreement", "partly_rated"})
"""Of one rater, or of several."""
STRATEGY = {"pool", "strategy", "selection", "figures"}
"""Of a run that another strategy selected."""


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
@click.option(
    "--html",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Draw the report as a page, too.  [default FILE: report.html in RUN]",
)
def report(run: Path, as_json: bool, html: str | None) -> None:
    """Print what the run in the folder RUN found, or draw it.

    \b
    Examples:
      ds2-fast report pool.ds2
      ds2-fast report pool.ds2 --html report.html
    """
    from rich.console import Console

    from ds2_fast.report import print_report
    from ds2_fast.rundir import read_manifest

    read_manifest(run)
    file = run / "report.json"
    if not file.is_file():
        raise RunError(
            f"`{run}` has no report.json: its run did not finish",
            "run the same `ds2-fast select` again; what is finished is kept",
        )
    found = _read(file)
    if as_json:
        click.echo(json.dumps(found))
    else:
        print_report(found, Console(highlight=False, soft_wrap=True), run_dir=run)
    if html is not None:
        _draw(run, html)


def _draw(run: Path, file: str) -> None:
    from ds2_fast.page import draw_report

    teller = narrator(quiet=False)
    teller.done("wrote", str(draw_report(run, file or None, narrator=teller)))


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except ValueError:
        found = None
    kinds = (*(PARTS | part for part in RATERS), STRATEGY)
    if not isinstance(found, dict) or not any(found.keys() >= kind for kind in kinds):
        raise RunError(
            f"`{file}` is damaged", "run the same `ds2-fast select` again: it takes a second or two"
        )
    return found
