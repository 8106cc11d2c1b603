"""Options of the strategies, all those that any has, on the command that runs one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin

import click

from ds2_fast.cli.sections import StrategyOption
from ds2_fast.errors import Ds2Error
from ds2_fast.strategies import Strategy, find_strategy, option_types, options_of, strategy_names

Command = Callable[..., Any]


def strategy_options(command: Command) -> Command:
    """Add `--strategy`, `--curate`, and every option of every strategy, without a default.

    An option that several strategies have is one option; its help names them.
    """
    for name, option in reversed(list(_offered().items())):
        if not _taken(command, name):
            command = option(command)
    command = click.option(
        "--curate",
        is_flag=True,
        help="Correct the scores before a strategy other than ds2 looks at them.",
    )(command)
    return click.option(
        "--strategy",
        metavar="NAME|SCORER+RULE",
        default="ds2",
        show_default=True,
        help="How to select; `ds2-fast strategies` lists the ways and their options.",
    )(command)


def take_options(options: dict[str, Any]) -> dict[str, Any]:
    """Take the options of strategies that were given out of all options.

    Args:
        options: of the command, by name; those of strategies are removed.
    """
    taken = {name: options.pop(name) for name in option_names() if name in options}
    return {name: value for name, value in taken.items() if value not in (None, ())}


def option_names() -> tuple[str, ...]:
    """List the names of all options that strategies have."""
    return tuple(_offered())


@cache
def _offered() -> dict[str, Callable[[Command], Command]]:
    """One option of click for each name, with the strategies that have it in its help."""
    kinds: dict[str, Any] = {}
    texts: dict[str, dict[str, str]] = {}
    metadata: dict[str, Any] = {}
    for part in _strategies():
        types = option_types(part)
        for each in options_of(part):
            kind = _kind(types[each.name])
            if kinds.setdefault(each.name, kind) != kind:
                continue  # another package's of the same name and another type: Python alone has it
            metadata.setdefault(each.name, each.metadata)
            texts.setdefault(each.name, {})[part.name] = each.metadata["text"]
    return {name: _option(name, kind, texts[name], metadata[name]) for name, kind in kinds.items()}


def _strategies() -> list[type[Strategy]]:
    found = []
    for name in strategy_names():
        try:
            found.append(find_strategy(name))
        except Ds2Error:  # another package's that is broken: said when it is asked for
            continue
    return found


def _kind(annotation: Any) -> Any:
    """The type without `None`."""
    if isinstance(annotation, UnionType):
        (annotation,) = (each for each in get_args(annotation) if each is not NoneType)
    if get_origin(annotation) is Literal:
        return str
    return tuple if get_origin(annotation) is tuple else annotation


def _option(
    name: str, kind: Any, texts: dict[str, str], metadata: Any
) -> Callable[[Command], Command]:
    flag, first = f"--{name.replace('_', '-')}", next(iter(texts.values()))
    said = first if len(set(texts.values())) == 1 else first.rstrip(".") + ", and its like."
    settings: dict[str, Any] = {
        "cls": StrategyOption,
        "default": None,
        "help": f"{', '.join(texts)}: {said}",
    }
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, **settings)
    if metadata.get("choices") is not None and len(texts) == 1:
        settings["type"] = click.Choice(metadata["choices"])
    elif metadata.get("file"):
        settings |= {"type": click.Path(), "metavar": "FILE", "multiple": kind is tuple}
    elif kind is tuple:
        settings["multiple"] = True
    else:
        settings |= {"type": kind, "metavar": _METAVARS.get(kind, "TEXT")}
    return click.option(flag, name, **settings)


_METAVARS: dict[Any, str] = {float: "NUMBER", int: "INTEGER", Path: "FILE"}


def _taken(command: Command, name: str) -> bool:
    """Whether the command has an option of that name already: its own come first."""
    own: list[click.Parameter] = getattr(command, "__click_params__", [])
    flags = {flag for param in own for flag in (*param.opts, *param.secondary_opts)}
    return f"--{name.replace('_', '-')}" in flags or name in {param.name for param in own}
