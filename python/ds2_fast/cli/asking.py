"""What a person sees of a rating run: the plan, the question, the progress line."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ds2_fast.garbage import uncollected
from ds2_fast.rating import plan_rating, rate

if TYPE_CHECKING:
    from pathlib import Path

    from ds2_fast.rating.plan import RatingPlan
    from ds2_fast.rating.progress import RatingProgress
    from ds2_fast.rating.result import Ratings

_ASK_ABOVE = 1.0
_PLAIN_SECONDS = 30.0


def tell_plan(
    source: Sequence[str],
    raters: Mapping[str, Mapping[str, Any]],
    *,
    pool_options: Mapping[str, Any],
    run_dir: Path | None,
    budget: str | None = None,
) -> None:
    """Print on stdout what rating a pool would ask and cost; nothing is written.

    Args:
        source: the pool.
        raters: arguments of `ds2_fast.rating.rate` for each rating model.
        pool_options: how the pool is to be read.
        run_dir: where answers of earlier runs may be; None for beside the pool.
        budget: how much is to be rated; None for all.
    """
    with uncollected():  # a million turns
        _tell_plans(source, raters, pool_options, run_dir, budget)


def _tell_plans(
    source: Sequence[str],
    raters: Mapping[str, Mapping[str, Any]],
    pool_options: Mapping[str, Any],
    run_dir: Path | None,
    budget: str | None,
) -> None:
    from ds2_fast.line import default_run_dir
    from ds2_fast.pool import read_pool
    from ds2_fast.scoring import JOURNAL

    pool = read_pool(list(source), **pool_options)
    folder = run_dir or default_run_dir(pool.inputs[0])
    conversations = pool.conversations()
    plans = []
    for model, said in raters.items():
        plan = _plan(conversations, model, {**said, "journal_path": folder / JOURNAL})
        click.echo(plan.describe(said.get("rpm"), said.get("tpm")))
        if budget is not None:
            from ds2_fast.cli.budget_options import tell_budget

            click.echo(tell_budget(conversations, model, budget, said))
        plans.append(plan)
    known = [plan.cost for plan in plans if plan.cost is not None]
    if len(plans) > 1 and len(known) == len(plans):
        click.echo(f"all      about ${sum(known):,.2f}")


def _plan(
    conversations: Sequence[Sequence[tuple[str, str]]], model: str, options: Mapping[str, Any]
) -> RatingPlan:
    wanted = inspect.signature(plan_rating).parameters
    asked = {name: value for name, value in options.items() if name in wanted}
    return plan_rating(conversations, model, **asked)


def teller() -> Callable[..., Ratings]:
    """Make what prints the plan on stdout and ends the command, in place of rating."""

    def tell(
        conversations: Sequence[Sequence[tuple[str, str]]], model: str, **options: Any
    ) -> Ratings:
        plan = _plan(conversations, model, options)
        click.echo(plan.describe(options.get("rpm"), options.get("tpm")))
        raise click.exceptions.Exit(0)

    return tell


def asker(
    *,
    quiet: bool = False,
    yes: bool = False,
    told: bool = False,
    call: Callable[..., Any] = rate,
    plan: Callable[..., RatingPlan] | None = None,
) -> Callable[..., Any]:
    """Make what a command calls in place of `ds2_fast.rating.rate`, or of what else asks a model.

    It takes the same arguments, shows the plan, asks before money is spent, and calls that function
    with a progress line.

    Args:
        quiet: print nothing but questions and errors.
        yes: do not ask.
        told: the plan is told, and agreed to, already.
        call: what asks: `ds2_fast.rating.rate`, or `ds2_fast.tagging.tag_queries`.
        plan: what plans it, with the same arguments; None for that of rating.
    """

    def ask(conversations: Sequence[Sequence[tuple[str, str]]], model: str, **options: Any) -> Any:
        say: Callable[[str], None] = _silent if quiet else _say
        if not told:
            if plan is None:
                planned = _plan(conversations, model, options)
            else:
                planned = plan(conversations, model, **options)
            say(planned.describe(options.get("rpm"), options.get("tpm")))
            _confirm(planned, yes=yes or options.get("max_cost") is not None)
        try:
            with _progress_line(quiet) as show:
                found = call(conversations, model, **options, on_progress=show)
        except KeyboardInterrupt as stop:
            say(str(stop) or "stopped")
            raise
        if probe := found.summary.get("injection_probe"):
            say(_probe_line(probe))
        for warning in found.summary["warnings"]:
            say(f"warning: {warning}")
        return found

    return ask


def _probe_line(probe: Mapping[str, Any]) -> str:
    if probe["uplift"] is None:
        return "probe    no sample could be rated with a plea for the maximum rating"
    error = "" if probe["uplift_error"] is None else f" (± {1.96 * probe['uplift_error']:.2f})"
    return (
        f"probe    a plea for the maximum rating lifts it by {probe['uplift']:+.2f}{error} on the "
        f"mean, on {probe['raised']:.0%} of {probe['samples']:,} samples"
    )


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
