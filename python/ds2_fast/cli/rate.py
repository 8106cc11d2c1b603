"""The command `rate`, and the part of it that every command that rates has in common."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ds2_fast.cli.rating_options import rate_options
from ds2_fast.rating import plan_rating, rate

if TYPE_CHECKING:
    from ds2_fast.rating.plan import RatingPlan
    from ds2_fast.rating.progress import RatingProgress
    from ds2_fast.rating.result import Ratings

JOURNAL = "ratings.jsonl"
RATINGS = "ratings.parquet"
_ASK_ABOVE = 1.0
_PLAIN_SECONDS = 30.0


@click.command("rate", short_help="Rate every sample with a language model.")
@click.argument("pool")
@click.option(
    "--run-dir", type=click.Path(path_type=Path), help="Folder of the run [POOL's name + .rating]."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File for the ratings [in --run-dir]."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors and the result.")
@rate_options
def command(
    pool: str,
    run_dir: Path | None,
    output: Path | None,
    quiet: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    r"""Rate every sample of POOL with a language model and write the ratings, row by row.

    Each answer is stored as it comes: after a crash, Ctrl-C or a reached cap the same command goes
    on where it was, and buys no stored answer again.

    \b
      ds2-fast rate pool.parquet --model openai/gpt-4o-mini --max-cost 10
      ds2-fast rate pool.jsonl --model hosted_vllm/llama --api-base http://127.0.0.1:8000/v1
    """
    if not options["model"]:
        raise click.UsageError("name the rating model with --model")
    from ds2_fast.atomic import atomic_path
    from ds2_fast.pool import read_pool

    source = read_pool(pool)
    run_dir = run_dir or Path(f"{Path(pool).stem}.rating")
    ratings = rate_into(source.conversations(), run_dir, quiet=quiet, **options)
    if ratings is None:
        return
    output = output or run_dir / RATINGS
    frame = ratings.frame.insert_column(0, source.ids.alias("id"))
    with atomic_path(output) as path:
        frame.write_parquet(path)
    click.echo(str(output))


def rate_into(
    conversations: Sequence[Sequence[tuple[str, str]]],
    run_dir: Path,
    *,
    quiet: bool = False,
    dry_run: bool = False,
    yes: bool = False,
    **options: Any,  # noqa: ANN401
) -> Ratings | None:
    """Show the plan, ask before spending, rate with a progress line, say what came out.

    Args:
        conversations: the pool.
        run_dir: folder of the run; made if it does not exist. The journal is `ratings.jsonl` in it.
        quiet: print nothing but questions and errors.
        dry_run: stop after the plan.
        yes: do not ask.
        **options: arguments of `ds2_fast.rating.rate`, `model` among them.

    Returns:
        The ratings; None after a dry run.

    Raises:
        click.Abort: if the user declines.
        click.UsageError: if it would spend more than $1, nobody can be asked, and neither `yes`
            nor `max_cost` was given.
        Ds2Error: as `rate`.
    """
    say: Callable[[str], None] = _silent if quiet else _say
    journal = run_dir / JOURNAL
    wanted = inspect.signature(plan_rating).parameters
    asked = {name: value for name, value in options.items() if name in wanted}
    plan = plan_rating(conversations, **asked, journal_path=journal)
    if dry_run:
        click.echo(plan.describe(options.get("rpm")))
        return None
    say(plan.describe(options.get("rpm")))
    _confirm(plan, yes=yes or options.get("max_cost") is not None)
    run_dir.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    try:
        with _progress_line(quiet) as show:
            ratings = rate(conversations, **options, journal_path=journal, on_progress=show)
    except KeyboardInterrupt as stop:
        say(f"rating   stopped; {stop}" if str(stop) else "rating   stopped")
        raise
    for warning in ratings.summary["warnings"]:
        say(f"warning: {warning}")
    say(_done_line(ratings, time.monotonic() - start))
    return ratings


def _say(text: str) -> None:
    click.echo(text, err=True)


def _silent(_text: str) -> None:
    pass


def _confirm(plan: RatingPlan, *, yes: bool) -> None:
    """Ask before more than a dollar, or an unknown sum, is spent."""
    if yes or plan.to_rate == 0 or (plan.cost is not None and plan.cost <= _ASK_ABOVE):
        return
    sum_ = "an unknown sum" if plan.cost is None else f"about ${plan.cost:,.2f}"
    if not sys.stdin.isatty():
        raise click.UsageError(f"this would spend {sum_}: allow it with --yes or --max-cost")
    click.confirm(f"Spend {sum_}?", abort=True, err=True)


def _done_line(ratings: Ratings, seconds: float) -> str:
    summary = ratings.summary
    cost = summary["cost"]["total"]
    parts = [f"{summary['rated']:,} rated", f"{summary['null']:,} without a rating", _time(seconds)]
    if cost is not None:
        parts.append(f"${cost:,.2f}")
    return "rating   " + "  ".join(parts)


@contextmanager
def _progress_line(quiet: bool) -> Iterator[Callable[[RatingProgress], None]]:
    """A live line on a terminal, else a plain one every 30 s; a closed pipe stops nothing."""
    if quiet:
        yield lambda _: None
        return
    if not sys.stderr.isatty():
        yield _PlainLine()
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield lambda now: live.update(Text(progress_text(now)), refresh=True)


class _PlainLine:
    """Prints a line when the last one is old enough."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, now: RatingProgress) -> None:
        if time.monotonic() - self._last < _PLAIN_SECONDS:
            return
        self._last = time.monotonic()
        try:
            click.echo(progress_text(now), err=True)
        except OSError:
            self._last = float("inf")  # nobody reads it any more


def progress_text(now: RatingProgress) -> str:
    """One line: how far, how fast, how well, how much, how long."""
    share = now.done / now.total if now.total else 1.0
    parts = [
        f"{now.model} {now.done:,}/{now.total:,} {share:.0%}",
        f"{now.rate:,.0f}/s",
        f"null {now.null_share:.1%}",
        f"in flight {now.in_flight}/{now.limit}",
        f"refused {now.refused_share:.1%}",
    ]
    if now.spent is not None and now.expected is not None:
        parts.append(f"${now.spent:,.2f} of about ${now.expected:,.2f}")
    if now.seconds_left is not None:
        parts.append(f"eta {_time(now.seconds_left)}")
    return " · ".join(parts)


def _time(seconds: float) -> str:
    """`8s`, `1m33s`, `2h05m`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
