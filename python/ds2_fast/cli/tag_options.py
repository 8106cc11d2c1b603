"""The flags of tagging: those of rating that have a meaning for it, with its own defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import click

from ds2_fast.cli.asking_options import (
    Option,
    Share,
    default_option,
    endpoint_options,
    identity_options,
    pace_options,
    sampling_options,
)
from ds2_fast.tagging.asking import tag_queries

Command = Callable[..., Any]

_DEFAULTS = {
    name: p.default
    for name, p in inspect.signature(tag_queries).parameters.items()
    if p.default is not inspect.Parameter.empty
}
_ARGUMENTS = tuple(inspect.signature(tag_queries).parameters)

_OPTIONS: tuple[Option, ...] = (
    click.option(
        "--model", required=True, metavar="PROVIDER/NAME", help="Model by its litellm name."
    ),
    *endpoint_options(_DEFAULTS),
    *sampling_options(_DEFAULTS, "Longer requests of users are cut in the middle."),
    *pace_options(_DEFAULTS),
    default_option(
        _DEFAULTS, "--max-null", type=Share(), help="Largest share of rows that may have no tags."
    ),
    click.option("--retry-null", is_flag=True, help="Ask again for samples that got no tags."),
    click.option(
        "--no-raw", "keep_raw", flag_value=False, default=True, type=bool,
        help="Keep the text of answers, and so the explanations, out of the journal.",
    ),
    *identity_options(_DEFAULTS),
)  # fmt: skip

OPTION_NAMES = (
    "model",
    *(name for name in _ARGUMENTS if name not in ("queries", "model", "journal_path", "on_progress",
                                                 "rater")),
    "dry_run",
    "yes",
)  # fmt: skip
"""The arguments of the flags."""


def tag_options(command: Command) -> Command:
    """Give a command all flags of tagging, under the names of `tag_queries`' arguments."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
