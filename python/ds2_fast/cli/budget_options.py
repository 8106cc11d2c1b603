"""The flags of budgeted rating."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ds2_fast.cli.options import Command, feature_options

if TYPE_CHECKING:
    from ds2_fast.budgeting import Confirm

_ASK_ABOVE = 1.0

budget_option = click.option(
    "--budget",
    metavar="N|20%|$3",
    help="Rate only so much, where the best samples are to be expected.",
)


def budget_rate_options(command: Command) -> Command:
    """The budget of `rate`, and what a budget needs to know there."""
    options: tuple[Callable[[Command], Command], ...] = (
        budget_option,
        click.option(
            "-n",
            "--n",
            "n",
            metavar="N|5%",
            help="Samples to be selected later: what a budget aims at.  [default: a quarter of it]",
        ),
        feature_options,
        click.option("--seed", type=int, default=42, show_default=True, help="Seed of a budget."),
        click.option("--threads", type=click.IntRange(min=1), help="Threads at most."),
        click.option("--offline", is_flag=True, help="Open no socket."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def confirmer(*, yes: bool, capped: bool) -> Confirm:
    """Make what asks before more than a dollar, or an unknown sum, is spent on a budget.

    Args:
        yes: do not ask.
        capped: a cap on the cost is given.
    """

    def confirm(cost: float | None) -> None:
        if yes or capped or (cost is not None and cost <= _ASK_ABOVE):
            return
        text = "an unknown sum" if cost is None else f"about ${cost:,.2f}"
        if not sys.stdin.isatty():
            raise click.UsageError(f"this would spend {text}: allow it with --yes or --max-cost")
        click.confirm(f"Spend {text}?", abort=True, err=True)

    return confirm


def tell_budget(conversations: Any, model: str, budget: str, options: Any) -> str:
    """The line of a dry run that says what a budget costs."""
    from ds2_fast.budget import parse_budget
    from ds2_fast.buying import make_purchase
    from ds2_fast.scoring import Rater

    purchase = make_purchase(conversations, Rater(model, options), None)
    return f"budget   {purchase.describe(parse_budget(budget, len(purchase.rows)))}"
