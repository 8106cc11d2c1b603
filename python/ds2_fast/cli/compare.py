"""`ds2-fast compare`: what differs between two runs, or between ways to select from one pool."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ds2_fast.cli.bakeoff_options import OPTION_NAMES, bakeoff_options
from ds2_fast.cli.options import run_options
from ds2_fast.cli.sections import SectionedCommand
from ds2_fast.cli.usage import HintedError

if TYPE_CHECKING:
    from rich.console import Console

    from ds2_fast.progress import Narrator

_WIDEST = 160
_WIDE = 100
_RUNS = 2


@click.command(cls=SectionedCommand)
@click.argument("paths", metavar="RUN_A RUN_B | POOL", nargs=-1, type=click.Path())
@bakeoff_options
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw it as a page that needs no network.",
)
@run_options
def compare(
    paths: tuple[str, ...],
    strategies: str | None,
    page: Path | None,
    narrator: Narrator,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Compare the runs in the folders RUN_A and RUN_B, or strategies on one POOL.

    Two runs: whom both selected; who went out and who came in, and why; how scores and T differ;
    the shares of groups in either selection.

    Strategies: each chooses n samples, and so does chance, the control. Subsets are judged by the
    raters a strategy did not look at, by coverage, diversity, rarity, length and shares, and by a
    command of your own.

    \b
    Examples:
      ds2-fast compare first.ds2 second.ds2 --html difference.html
      ds2-fast compare pool.parquet --strategies ds2,deita,longest -n 1000 --score-col rating
    """
    if strategies is None:
        _compare_runs(paths, page, narrator, as_json=as_json)
        return
    if options["n"] is None:
        raise HintedError("it is not said how many samples are to be chosen", "give `-n 1000`")
    if not paths:
        raise HintedError("there is no pool to choose from", "name its file")
    _compare_strategies(paths, strategies, page, narrator, quiet=quiet, as_json=as_json, **options)


def _compare_runs(
    paths: tuple[str, ...], page: Path | None, narrator: Narrator, *, as_json: bool
) -> None:
    ctx = click.get_current_context()
    for name in OPTION_NAMES:
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            flag = f"--{name.replace('_', '-')}" if len(name) > 1 else f"-{name}"
            raise HintedError(
                f"`{flag}` is for comparing strategies", "name them with `--strategies`"
            )
    if len(paths) != _RUNS:
        raise HintedError(
            f"two run folders can be compared, got {len(paths)}",
            "name both, or a pool and `--strategies ds2,longest -n 1000`",
        )
    from ds2_fast.compared_runs import compare_runs

    found = compare_runs(Path(paths[0]), Path(paths[1]))
    if as_json:
        click.echo(json.dumps(found.to_dict(), allow_nan=False))
    else:
        from ds2_fast.comparison_report import print_comparison

        print_comparison(found, _console(_WIDEST))
    if page is not None:
        from ds2_fast.page import draw_comparison

        draw_comparison(found, page, narrator=narrator)
        narrator.done("wrote", str(page))


def _compare_strategies(
    paths: tuple[str, ...],
    strategies: str,
    page: Path | None,
    narrator: Narrator,
    *,
    quiet: bool,
    as_json: bool,
    settings: tuple[str, ...],
    **options: Any,
) -> None:
    from ds2_fast.bakeoff import compare_strategies
    from ds2_fast.bakeoff.entries import read_settings
    from ds2_fast.cli.asking import asker

    found = compare_strategies(
        list(paths),
        strategies,
        options.pop("n"),
        strategy_options=read_settings(settings, strategies),
        ask=asker(quiet=quiet, yes=options.pop("yes"), told=False),
        narrator=narrator,
        **options,
    )
    if as_json:
        click.echo(json.dumps(found.to_dict(), allow_nan=False))
    else:
        from ds2_fast.bakeoff.printing import print_strategies

        print_strategies(found, _console(_WIDE))
    if page is not None:
        from ds2_fast.page import draw_strategies

        draw_strategies(found, page)
        narrator.done("wrote", str(page))


def _console(width: int) -> Console:
    """Give stdout, with room for tables: one that is wider than the terminal may run over."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, width)
    return console
