"""The options of what `select` writes besides the run directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from ds2_fast.snippets import SHAPES, TOOLS, write_snippet

Command = Callable[..., Any]


def delivery_options(command: Command) -> Command:
    """Add what is written for training tools and viewers."""
    for option in reversed(
        (
            click.option(
                "--to",
                type=click.Choice(SHAPES),
                help="Convert the subset; a sample that does not fit is an error, never cut.",
            ),
            click.option(
                "--emit",
                type=click.Choice(TOOLS),
                help="With --to: print what makes this training tool load the subset.",
            ),
            click.option(
                "--card",
                metavar="FILE.md",
                type=click.Path(path_type=Path),
                help="Write a dataset card: how the subset was chosen.",
            ),
            click.option(
                "--atlas",
                metavar="FILE.parquet",
                type=click.Path(path_type=Path),
                help="Write the pool with scores, map and neighbors, as embedding-atlas opens it.",
            ),
        )
    ):
        command = option(command)
    return command


def check_snippet(emit: str | None, to: str | None, output: str | None) -> None:
    """See whether a snippet can be written, before anything is paid for.

    Raises:
        click.UsageError: the conversion or the output is missing.
        Ds2Error: the tool does not load what would be written.
    """
    if emit is None:
        return
    if to is None or output is None:
        raise click.UsageError(
            "`--emit` tells how a converted subset is loaded: give `--to` and `-o`"
        )
    write_snippet(emit, to, output)


def tell_snippet(emit: str | None, to: str | None, files: Sequence[Path]) -> None:
    """Print the snippet of every subset on stderr."""
    for file in files if emit is not None and to is not None else ():
        click.echo(f"\n{emit}:\n{write_snippet(str(emit), str(to), file)}", err=True)
