"""The flags of rating, shared by every command that rates."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, overload

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
from ds2_fast.rating import rate

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULTS = {
    name: p.default
    for name, p in inspect.signature(rate).parameters.items()
    if p.default is not inspect.Parameter.empty
}
_ARGUMENTS = tuple(inspect.signature(rate).parameters)


def _option(name: str, **settings: Any) -> Option:
    """A click option whose default is that of `rate`'s argument of the same name."""
    return default_option(_DEFAULTS, name, **settings)


_OPTIONS: tuple[Option, ...] = (
    _option("--model", metavar="NAME", help="Rating model by its litellm name, provider/model."),
    *endpoint_options(_DEFAULTS),
    _option("--prompt", metavar="NAME|FILE.toml", help="Rating prompt, shipped or your own."),
    *sampling_options(_DEFAULTS, "Longer samples are cut in the middle."),
    *pace_options(_DEFAULTS),
    _option("--max-null", type=Share(), help="Largest share of rows that may have no rating."),
    _option("--limit", type=click.IntRange(0), help="Rate only the first rows."),
    _option("--retry-null", is_flag=True, help="Ask again for samples that got no rating."),
    click.option(
        "--no-raw", "keep_raw", flag_value=False, default=True, type=bool,
        help="Keep the text of answers out of the journal.",
    ),
    _option(
        "--expected", type=click.Choice(("auto", "off", "require")),
        help="Expected ratings from the probabilities of tokens.",
    ),
    _option("--repeats", type=click.IntRange(1), help="How often to ask for each sample."),
    _option(
        "--injection-probe", type=click.IntRange(0), metavar="N",
        help="Samples to rate again with a plea for the maximum rating.",
    ),
    *identity_options(_DEFAULTS),
)  # fmt: skip


OPTION_NAMES = tuple(
    name
    for name in _ARGUMENTS
    if name not in ("conversations", "model", "journal_path", "on_progress", "rater")
)
"""The arguments of `ds2_fast.rating.rate` that have a flag."""


_SEVERAL: tuple[Option, ...] = (
    click.option(
        "--model", multiple=True, metavar="NAME",
        help="Rating model by its litellm name, provider/model; repeat it for several.",
    ),
    click.option(
        "--raters", type=click.Path(path_type=Path), metavar="FILE.toml",
        help="Several raters with options of their own.",
    ),
    *_OPTIONS[1:],
)  # fmt: skip


@overload
def rate_options(function: F) -> F: ...


@overload
def rate_options(*, several: bool) -> Callable[[F], F]: ...


def rate_options(function: F | None = None, *, several: bool = False) -> F | Callable[[F], F]:
    """Give a command all flags of rating.

    They arrive as keywords under the names of `ds2_fast.rating.rate`'s arguments, and `dry_run` and
    `yes`; `model` is None if it was not given.

    Args:
        function: the command's function.
        several: `--model` may be repeated, and is a tuple; `raters` is a file that names more.

    Returns:
        The same function with options.
    """

    def decorate(function: F) -> F:
        decorated: Callable[..., Any] = function
        for option in reversed(_SEVERAL if several else _OPTIONS):
            decorated = option(decorated)
        return decorated  # type: ignore[return-value]

    return decorate if function is None else decorate(function)
