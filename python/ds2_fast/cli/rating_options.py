"""The flags of rating, shared by every command that rates."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar, overload

import click

from ds2_fast.rating import rate

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULTS = {name: p.default for name, p in inspect.signature(rate).parameters.items()}


class Share(click.ParamType):  # type: ignore[type-arg]
    """A share: `5%` or `0.05`."""

    name = "share"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Turn the text into a number from 0 to 1."""
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is no share; write 5% or 0.05", param, ctx)
        return share


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A time: `90`, `90s`, `15m` or `2h`."""

    name = "duration"
    _units: ClassVar = {"": 1, "s": 1, "m": 60, "h": 3600}

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Turn the text into seconds."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is no time; write 90s, 15m or 2h", param, ctx)
        return float(match[1]) * self._units[match[2]]


class Temperature(click.ParamType):  # type: ignore[type-arg]
    """A number, or `none` to leave it to the model."""

    name = "number|none"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | None:
        """Turn the text into a number or None."""
        if str(value).lower() == "none":
            return None
        try:
            return float(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a number nor `none`", param, ctx)


def read_params(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any] | None:
    """`NAME=VALUE` pairs; a value is JSON if it can be read as such, else text."""
    out: dict[str, Any] = {}
    for pair in values:
        name, sign, text = pair.partition("=")
        if not sign or not name:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE", ctx, param)
        try:
            out[name] = json.loads(text)
        except ValueError:
            out[name] = text
    return out or None


def _option(*names: str, **settings: Any) -> Callable[[F], F]:
    """A click option whose default is that of `rate`'s argument of the same name."""
    argument = names[-1].removeprefix("--").replace("-", "_")
    default = _DEFAULTS.get(argument)
    if default is not None and default is not inspect.Parameter.empty:
        settings.setdefault("default", default)
        settings.setdefault("show_default", not isinstance(default, bool))
    return click.option(*names, **settings)


_OPTIONS: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
    _option("--model", metavar="NAME", help="Rating model by its litellm name, provider/model."),
    _option("--api-base", metavar="URL", help="Address of an OpenAI-compatible server."),
    _option("--api-key-env", metavar="VARIABLE", help="Environment variable that holds the key."),
    _option("--prompt", metavar="NAME|FILE.toml", help="Rating prompt, shipped or your own."),
    _option("--temperature", type=Temperature(), help="Sampling temperature; none: the model's."),
    _option("--max-tokens", type=click.IntRange(1), help="Longest answer, in tokens."),
    click.option(
        "--param", "params", multiple=True, callback=read_params, metavar="NAME=VALUE",
        help="Further parameter of a request, by its OpenAI name; repeatable.",
    ),
    _option(
        "--max-sample-tokens", type=click.IntRange(64),
        help="Longer samples are cut in the middle.",
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
    _option("--endpoint-label", metavar="NAME", help="Identity of the server, if it moves."),
    _option("--insecure-http", is_flag=True, help="Send a key over plain http all the same."),
    click.option("--dry-run", is_flag=True, help="Show counts and cost, ask nothing."),
    click.option("--yes", is_flag=True, help="Do not ask before spending more than $1."),
)  # fmt: skip


OPTION_NAMES = tuple(
    name
    for name in _DEFAULTS
    if name not in ("conversations", "model", "journal_path", "on_progress", "rater")
)
"""The arguments of `ds2_fast.rating.rate` that have a flag."""


_SEVERAL: tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...] = (
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
