"""`ds2-fast doctor`: whether this machine and this installation are as they should be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ds2_fast.terminal import printable

if TYPE_CHECKING:
    from ds2_fast.doctor import Finding

_WRONG = 7
_SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


@click.command()
@click.option(
    "--embedder", metavar="NAME|DIR", help="The model to check.  [default: all-MiniLM-L6-v2]"
)
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    default=".",
    help="Where runs will be kept.  [default: this folder]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON on stdout.")
@click.pass_context
def doctor(ctx: click.Context, embedder: str | None, run_dir: Path, as_json: bool) -> None:
    """Check the installation and this machine, one line for each thing.

    Versions, processor and kernel, threads, memory, disk, the embedding model, the names of keys
    in the environment (never their values); and whether small known work comes out right and how
    fast. Opens no socket. Exits with 7 if anything is wrong.

    \b
    Examples:
      ds2-fast doctor
      ds2-fast doctor --embedder ./my-model --json
    """
    from ds2_fast.doctor import examine
    from ds2_fast.features import DEFAULT_EMBEDDER

    findings = examine(embedder or DEFAULT_EMBEDDER, folder=run_dir, say=None if as_json else _say)
    if as_json:
        click.echo(json.dumps([finding.to_dict() for finding in findings]))
    if any(finding.state == "wrong" for finding in findings):
        ctx.exit(_WRONG)


def _say(finding: Finding) -> None:
    mend = f"; {finding.mend}" if finding.mend else ""
    click.echo(printable(f"{_SIGNS[finding.state]}  {finding.name:<14}  {finding.found}{mend}"))
