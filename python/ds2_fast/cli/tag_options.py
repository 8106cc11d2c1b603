"""The flags of tagging: those of rating that have a meaning for it, with its own defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import click

from ds2_fast.cli.rating_options import Duration, Share, Temperature, read_params
from ds2_fast.tagging.asking import tag_queries

Command = Callable[..., Any]

_DEFAULTS = {name: p.default for name, p in inspect.signature(tag_queries).parameters.items()}


def _option(name: str, **settings: Any) -> Callable[[Command], Command]:
    """A click option whose default is that of `tag_queries`' argument of the same name."""
    default = _DEFAULTS.get(name.removeprefix("--").replace("-", "_"))
    if default is not None and not isinstance(default, bool):
        settings = {"default": default, "show_default": True, **settings}
    return click.option(name, **settings)


_OPTIONS = (
    click.option(
        "--model", required=True, metavar="PROVIDER/NAME", help="Model by its litellm name."
    ),
    _option("--api-base", metavar="URL", help="Address of an OpenAI-compatible server."),
    _option("--api-key-env", metavar="VARIABLE", help="Environment variable that holds the key."),
    _option("--temperature", type=Temperature(), help="Sampling temperature; none: the model's."),
    _option("--max-tokens", type=click.IntRange(1), help="Longest answer, in tokens."),
    click.option(
        "--param", "params", multiple=True, callback=read_params, metavar="NAME=VALUE",
        help="Further parameter of a request, by its OpenAI name; repeatable.",
    ),
    _option(
        "--max-sample-tokens", type=click.IntRange(64),
        help="Longer requests of users are cut in the middle.",
    ),
    _option(
        "--max-concurrency", type=click.IntRange(1),
        help="Most requests in flight.  [default: 64, direct 512]",
    ),
    _option(
        "--transport", type=click.Choice(["litellm", "direct"]),
        help="How requests go out: by litellm, or straight to an OpenAI-compatible server.",
    ),
    _option("--rpm", type=float, help="Requests a minute; default: as the provider says."),
    _option("--tpm", type=float, help="Tokens a minute; default: as the provider says."),
    _option("--timeout", type=Duration(), help="Time a request may take in all, in seconds."),
    _option("--give-up", type=Duration(), help="Time without any answer before the run stops."),
    _option("--reask", type=click.IntRange(0), help="How often to ask again for a bad answer."),
    _option("--max-cost", type=float, metavar="DOLLARS", help="Cap on what all answers cost."),
    _option(
        "--price-in", type=float, metavar="DOLLARS", help="Price of a million input tokens."
    ),
    _option(
        "--price-out", type=float, metavar="DOLLARS", help="Price of a million output tokens."
    ),
    _option("--max-null", type=Share(), help="Largest share of rows that may have no tags."),
    click.option("--retry-null", is_flag=True, help="Ask again for samples that got no tags."),
    click.option(
        "--no-raw", "keep_raw", flag_value=False, default=True, type=bool,
        help="Keep the text of answers, and so the explanations, out of the journal.",
    ),
    _option("--endpoint-label", metavar="NAME", help="Identity of the server, if it moves."),
    click.option(
        "--insecure-http", is_flag=True, help="Send a key over plain http all the same."
    ),
    click.option("--dry-run", is_flag=True, help="Show counts and cost, ask nothing."),
    click.option("--yes", is_flag=True, help="Do not ask before spending more than $1."),
)  # fmt: skip

OPTION_NAMES = (
    "model",
    *(name for name in _DEFAULTS if name not in ("queries", "model", "journal_path", "on_progress",
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
