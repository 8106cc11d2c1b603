"""The options of `compare` for strategies: what is compared, and what it is judged by."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from ds2_fast.cli.options import feature_options, neighbor_options
from ds2_fast.cli.pool_options import OPTION_NAMES as POOL
from ds2_fast.cli.pool_options import pool_options
from ds2_fast.cli.rating_options import OPTION_NAMES as RATING
from ds2_fast.cli.rating_options import rate_options

Command = Callable[..., Any]

_OPTIONS = (
    click.option(
        "--strategies",
        metavar="NAME,NAME,...",
        help="Ways to select; `ds2-fast strategies` lists them. LABEL=NAME compares one with "
        "itself under other options. `random`, the control, is always there.",
    ),
    click.option("-n", "--n", "n", metavar="N|5%|N,N,...", help="Samples each is to select."),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME.OPTION=VALUE",
        help="Option of a strategy, such as deita.threshold=0.8; repeat it for several.",
    ),
    click.option(
        "--score-col",
        metavar="COLUMN",
        multiple=True,
        help="Column with the scores that strategies are given; repeat it for several raters.  "
        "[default: a column of a known name]",
    ),
    click.option(
        "--held-out",
        metavar="COLUMN",
        multiple=True,
        help="Column of a rater that judges; repeat it.  [default: all other rating columns of a "
        "known name]",
    ),
    click.option(
        "--scale",
        metavar="0-5|1-10|observed",
        help="Range of the scores; 1-10 is compressed to 0..5 as published.",
    ),
    click.option(
        "--curate",
        is_flag=True,
        help="Correct the scores before strategies other than ds2 look at them.",
    ),
    click.option(
        "--seeds",
        type=click.IntRange(2, 30),
        default=5,
        show_default=True,
        help="Seeds under which a random strategy chooses: --seed and those after it.",
    ),
    click.option(
        "--run",
        metavar="'COMMAND {subset}'",
        help="Run this on each subset, without a shell; {strategy}, {n} and {seed} are replaced, "
        "too. The last number of the last line it prints goes into the table.",
    ),
    click.option(
        "--run-name",
        default="run",
        show_default=True,
        metavar="NAME",
        help="What that number is called.",
    ),
)

OPTION_NAMES = (
    "n", "settings", "score_col", "held_out", "scale", "curate", "seeds", "run", "run_name",
    "embeddings", "embedder", "space", "knn", "recall", *RATING, "yes", *POOL,
)  # fmt: skip
"""Options that are of no use to the comparison of two runs."""


def bakeoff_options(command: Command) -> Command:
    """Add the options of a comparison of strategies.

    The command gets `rating_options` and `pool_options` as one mapping each.
    """

    @functools.wraps(command)
    def gathered(*args: Any, **options: Any) -> Any:
        rating_options = {name: options.pop(name) for name in RATING}
        options["score_col"] = options["score_col"] or None
        options["held_out"] = options["held_out"] or None
        return command(*args, rating_options=rating_options, **options)

    wrapped: Command = gathered
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return feature_options(neighbor_options(_rating(pool_options(wrapped))))


def _rating(command: Command) -> Command:
    """Add the flags of rating, but the dry run: `select --dry-run` tells what it tells."""
    command = rate_options(command)
    given: list[click.Parameter] = command.__click_params__  # type: ignore[attr-defined]
    given[:] = [param for param in given if param.name != "dry_run"]
    return command
