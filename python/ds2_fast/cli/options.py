"""Options that several commands share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import click

from ds2_fast.cli.settings import tell_settings
from ds2_fast.presets import MOST_NEIGHBORS
from ds2_fast.progress import Narrator

Command = Callable[..., Any]


def run_options(command: Command) -> Command:
    """Add the options of every run; `--quiet` becomes a `narrator`, `--json` `as_json`."""

    @click.option(
        "--run-dir",
        type=click.Path(path_type=Path),
        help="Folder of the artifacts.  [default: POOL.ds2 beside the pool]",
    )
    @click.option(
        "--seed", type=int, default=42, show_default=True, help="Seed of everything random."
    )
    @click.option(
        "--threads",
        type=click.IntRange(min=1),
        help="Threads at most; the result does not depend on it.  [default: all]",
    )
    @click.option("--offline", is_flag=True, help="Open no socket.")
    @click.option("-q", "--quiet", is_flag=True, help="Say only what is wrong.")
    @click.option("-v", "--verbose", is_flag=True, help="Say parameters and digest of every stage.")
    @click.option("--json", "as_json", is_flag=True, help="Print the report as JSON on stdout.")
    @wraps(command)
    def wrapped(*args: Any, quiet: bool, verbose: bool, as_json: bool, **kwargs: Any) -> Any:
        if quiet and verbose:
            raise click.UsageError("`--quiet` and `--verbose` do not go together")
        if kwargs.get("threads") is not None:
            # Read once, when the first stage that takes no number of its own starts.
            os.environ["RAYON_NUM_THREADS"] = str(kwargs["threads"])
        teller = narrator(quiet=quiet, verbose=verbose)
        settings = tell_settings(click.get_current_context())
        if settings:
            teller.done("config", settings)
        return command(*args, narrator=teller, quiet=quiet, as_json=as_json, **kwargs)

    return wrapped


def feature_options(command: Command) -> Command:
    """Where the feature rows come from."""
    for option in reversed(
        (
            click.option(
                "--embeddings",
                metavar="FILE.npy|COLUMN",
                help="Embeddings you have, one row per sample.",
            ),
            click.option(
                "--embedder",
                metavar="NAME|DIR|lexical",
                help="Model that embeds the pool.  [default: all-MiniLM-L6-v2]",
            ),
            click.option(
                "--space",
                metavar="NAME|FILE.npy",
                help="embedding, lexical (no model needed), hybrid, or your own rows; auto: of the "
                "three the one whose neighbors predict the scores best.  [default: auto, if "
                "neither embeddings nor embedder are named]",
            ),
        )
    ):
        command = option(command)
    return command


def neighbor_options(command: Command) -> Command:
    """How neighbors are found."""
    for option in reversed(
        (
            click.option(
                "--knn",
                type=click.Choice(["exact", "approx", "usearch", "auto"]),
                default="auto",
                show_default=True,
                help="How neighbors are found: exact compares all pairs; approx each sample with "
                "the clusters near it; usearch builds an index that is kept in the run directory. "
                "auto: exact up to 300,000 samples, then approx.",
            ),
            click.option(
                "--recall",
                type=click.FloatRange(0, 1, min_open=True),
                default=0.99,
                show_default=True,
                help="Share of the true neighbors that is enough; exact finds all.",
            ),
        )
    ):
        command = option(command)
    return command


def score_options(command: Command) -> Command:
    """Where the scores come from and how they are corrected."""
    for option in reversed(
        (
            click.option(
                "--score-col",
                metavar="COLUMN",
                multiple=True,
                help="Column with the scores; repeat it for several raters, whose curated scores "
                "are combined.  [default: a column of a known name]",
            ),
            click.option(
                "--scale",
                metavar="0-5|1-10|observed",
                help="Range of the scores; 1-10 is compressed to 0..5 as published.",
            ),
            click.option(
                "--preset",
                type=click.Choice(["default", "paper", "reference"]),
                default="default",
                show_default=True,
                help="Defaults of the options below.",
            ),
            click.option(
                "--curation",
                type=click.Choice(["bayes", "paper", "reference", "none"]),
                help="How scores are corrected.  [default: the preset's]",
            ),
            click.option(
                "--noise-share",
                type=click.FloatRange(0, 1),
                help="Share of neighbor disagreement that is rater noise (bayes).  "
                "[default: 0.5, an assumption]",
            ),
            click.option(
                "--second-rater",
                metavar="COLUMN",
                help="Choose the noise share by a second rater of 500 or more samples.",
            ),
            click.option(
                "--audit",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Correct by a person's scores of 50 or more samples (`audit sample`).",
            ),
            click.option(
                "-k",
                "k",
                type=click.IntRange(2, MOST_NEIGHBORS),
                help="Neighbors of the counts and the long-tail score.  [default: 10]",
            ),
        )
    ):
        command = option(command)
    return command


def page_option(command: Command) -> Command:
    """Whether the report is drawn."""
    return click.option(
        "--html/--no-html",
        "html",
        default=True,
        show_default=True,
        help="Draw the report: report.html in the run directory.",
    )(command)


def narrator(*, quiet: bool, verbose: bool = False) -> Narrator:
    """Who tells the run on this terminal."""
    from ds2_fast.terminal import TerminalNarrator

    return TerminalNarrator(quiet=quiet, verbose=verbose)


def show(
    report: dict[str, Any],
    *,
    quiet: bool,
    as_json: bool,
    run_dir: Path | None,
    files: Sequence[Path] = (),
) -> None:
    """Print the report: JSON on stdout if asked for, else the summary on stderr."""
    if as_json:
        click.echo(json.dumps(report, allow_nan=False))
    elif not quiet:
        from ds2_fast.report import print_report
        from ds2_fast.terminal import TerminalNarrator

        print_report(report, TerminalNarrator().console, run_dir=run_dir, files=files)
