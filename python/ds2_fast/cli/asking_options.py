"""The flags of every command that asks a model: where it is, how it answers, pace and price."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import click

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


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


def default_option(defaults: Mapping[str, Any], name: str, **settings: Any) -> Option:
    """A click option whose default is that of a function's argument of the same name.

    Args:
        defaults: of the arguments of the function.
        name: the flag.
        settings: of the option.
    """
    default = defaults.get(name.removeprefix("--").replace("-", "_"))
    if default is not None:
        settings.setdefault("default", default)
        settings.setdefault("show_default", not isinstance(default, bool))
    return click.option(name, **settings)


def endpoint_options(defaults: Mapping[str, Any]) -> tuple[Option, ...]:
    """Where the model is, and with what key."""
    return (
        default_option(
            defaults, "--api-base", metavar="URL", help="Address of an OpenAI-compatible server."
        ),
        default_option(
            defaults,
            "--api-key-env",
            metavar="VARIABLE",
            help="Environment variable that holds the key.",
        ),
    )


def sampling_options(defaults: Mapping[str, Any], longest: str) -> tuple[Option, ...]:
    """How it answers.

    Args:
        defaults: of the arguments of the function that asks.
        longest: what is cut in the middle, in one sentence.
    """
    return (
        default_option(
            defaults,
            "--temperature",
            type=Temperature(),
            help="Sampling temperature; none: the model's.",
        ),
        default_option(
            defaults, "--max-tokens", type=click.IntRange(1), help="Longest answer, in tokens."
        ),
        click.option(
            "--param",
            "params",
            multiple=True,
            callback=read_params,
            metavar="NAME=VALUE",
            help="Further parameter of a request, by its OpenAI name; repeatable.",
        ),
        default_option(defaults, "--max-sample-tokens", type=click.IntRange(64), help=longest),
    )


def pace_options(defaults: Mapping[str, Any]) -> tuple[Option, ...]:
    """How fast it is asked, how long it is waited for, and what may be spent."""

    def option(name: str, **settings: Any) -> Option:
        return default_option(defaults, name, **settings)

    return (
        option(
            "--max-concurrency",
            type=click.IntRange(1),
            help="Most requests in flight.  [default: 64, direct 512]",
        ),
        option(
            "--transport",
            type=click.Choice(["litellm", "direct"]),
            help="How requests go out: by litellm, or straight to an OpenAI-compatible server.",
        ),
        option("--rpm", type=float, help="Requests a minute; default: as the provider says."),
        option("--tpm", type=float, help="Tokens a minute; default: as the provider says."),
        option("--timeout", type=Duration(), help="Time a request may take in all, in seconds."),
        option("--give-up", type=Duration(), help="Time without any answer before the run stops."),
        option("--reask", type=click.IntRange(0), help="How often to ask again for a bad answer."),
        option("--max-cost", type=float, metavar="DOLLARS", help="Cap on what all answers cost."),
        option(
            "--price-in", type=float, metavar="DOLLARS", help="Price of a million input tokens."
        ),
        option(
            "--price-out", type=float, metavar="DOLLARS", help="Price of a million output tokens."
        ),
    )


def identity_options(defaults: Mapping[str, Any]) -> tuple[Option, ...]:
    """What a server is known by, and what is done before it is asked."""
    return (
        default_option(
            defaults,
            "--endpoint-label",
            metavar="NAME",
            help="Identity of the server, if it moves.",
        ),
        default_option(
            defaults,
            "--insecure-http",
            is_flag=True,
            help="Send a key over plain http all the same.",
        ),
        click.option("--dry-run", is_flag=True, help="Show counts and cost, ask nothing."),
        click.option("--yes", is_flag=True, help="Do not ask before spending more than $1."),
    )
