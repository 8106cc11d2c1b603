"""The options of a safe selection: duplicates, the fill of the last bucket, quotas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

Command = Callable[..., Any]


def _mix(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> Mapping[str, float] | None:
    """Split `web=0.7,books=0.3`; what the groups are is checked where the pool is read."""
    if value is None:
        return None
    mix: dict[str, float] = {}
    for pair in value.split(","):
        name, _, share = pair.rpartition("=")
        name = name.strip()
        try:
            number = float(share)
        except ValueError:
            name = ""
        if not name:
            raise click.BadParameter(f"{pair!r} is not of the form web=0.7")
        if name in mix:
            raise click.BadParameter(f"group {name!r} occurs twice")
        mix[name] = number
    return mix


def safety_options(command: Command) -> Command:
    """Add what keeps a selection safe beyond the ranking."""
    for option in reversed(
        (
            click.option(
                "--dedup",
                type=click.FloatRange(0, 1, min_open=True),
                metavar="SIMILARITY",
                help="Drop samples that are this similar to a better one, such as 0.95.",
            ),
            click.option(
                "--fill",
                type=click.Choice(["longtail", "kcenter"]),
                default="longtail",
                show_default=True,
                help="Who comes first in the bucket at the cut: the rarest, or those farthest from "
                "all that is chosen.",
            ),
            click.option(
                "--mix",
                metavar="GROUP=SHARE,...",
                callback=_mix,
                help="Shares of n for groups of `--group-col`; the rest is free.",
            ),
            click.option(
                "--min-share",
                type=click.FloatRange(0, 1),
                default=0.0,
                metavar="SHARE",
                help="Least share of n for every group that is not in `--mix`.",
            ),
        )
    ):
        command = option(command)
    return command
