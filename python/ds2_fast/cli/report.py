"""`ds2-fast report`: what a finished run found."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ds2_fast.cli.options import show
from ds2_fast.errors import RunError


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
def report(run: Path, as_json: bool) -> None:
    """Print what the run in the folder RUN found.

    \b
    Examples:
      ds2-fast report pool.ds2
      ds2-fast report pool.ds2 --json
    """
    from ds2_fast.rundir import read_manifest

    read_manifest(run)
    file = run / "report.json"
    if not file.is_file():
        raise RunError(
            f"`{run}` has no report.json: its run did not finish",
            "run the same `ds2-fast select` again; what is finished is kept",
        )
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise RunError(
            f"`{file}` is not valid JSON: {error}", "run the same `ds2-fast select` again"
        ) from error
    show(found, quiet=False, as_json=as_json, run_dir=run)
