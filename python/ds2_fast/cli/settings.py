"""Options from the environment and from a file.

A flag comes before `DS2_FAST_*`, that before the file, that before the default.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ds2_fast.cli.usage import HintedError, nearest

FILE = "ds2-fast.toml"
"""The file that is read where it lies in the working directory."""

PREFIX = "DS2_FAST_"
OPTION = "config_file"

NAMED_ONLY = frozenset({"yes", "insecure-http", "api-base", "api-key-env", "run"})
"""What spends money, sends a key somewhere or runs a command: not from a file that merely lies
there."""

_NOT_SET = frozenset({"help", "help-all", "version", "config"})
_READ = f"{__name__}.file"


def settle(command: click.Command, path: tuple[str, ...]) -> click.Command:
    """Let the options of a command, and of those below it, come from environment and file.

    Args:
        command: the command; it is changed, once.
        path: the words that call it.

    Returns:
        The same command.
    """
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            settle(sub, (*path, name))
        return command
    if any(param.name == OPTION for param in command.params):
        return command
    for key, option in options_of(command):
        option.envvar = option.envvar or PREFIX + key.replace("-", "_").upper()

    def read(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
        _read(ctx, command, path, value)

    command.params.append(
        click.Option(
            ["--config", OPTION],
            type=click.Path(path_type=Path),
            is_eager=True,
            expose_value=False,
            callback=read,
            envvar=f"{PREFIX}CONFIG",
            metavar="FILE.toml",
            help=f"File with options, TOML or JSON.  [default: {FILE}, if it is there]",
        )
    )
    return command


def options_of(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    """Give the options that can be set, by their key in a file: `score-col` for `--score-col`."""
    for param in command.params:
        if isinstance(param, click.Option) and param.name not in {OPTION, None}:
            key = _key(param)
            if key not in _NOT_SET:
                yield key, param


def _key(option: click.Option) -> str:
    if option.is_flag and option.flag_value is False:
        return str(option.name).replace("_", "-")  # `--no-raw` as a key would say the opposite
    longest = max(option.opts, key=len)
    return longest.lstrip("-")


def settings_of(ctx: click.Context) -> dict[str, dict[str, Any]]:
    """Give every option that is not at its default, with its origin.

    Args:
        ctx: the context of a command that was parsed.

    Returns:
        key to `value` and `from`: `flag`, the environment variable, or the file. Of `--param` the
        names alone, as a value could be a secret.
    """
    found = {}
    for key, option in options_of(ctx.command):
        origin = _origin(ctx, option)
        if origin is not None:
            found[key] = {"value": _plain(key, ctx.params.get(str(option.name))), "from": origin}
    return found


def _origin(ctx: click.Context, option: click.Option) -> str | None:
    source = ctx.get_parameter_source(str(option.name))
    if source is ParameterSource.COMMANDLINE:
        return "flag"
    if source is ParameterSource.ENVIRONMENT:
        return str(option.envvar)
    if source is ParameterSource.DEFAULT_MAP:
        return str(ctx.meta.get(_READ))
    return None


def _plain(key: str, value: Any) -> Any:
    if key == "param" and isinstance(value, Mapping):
        return sorted(value)
    return json.loads(json.dumps(value, default=str))


def tell_settings(ctx: click.Context) -> str:
    """Say which options came from where, flags aside; empty if none did."""
    by_origin: dict[str, list[str]] = {}
    for key, setting in settings_of(ctx).items():
        if setting["from"] != "flag":
            by_origin.setdefault(setting["from"], []).append(key)
    return "; ".join(f"{', '.join(keys)} from {origin}" for origin, keys in by_origin.items())


def _read(
    ctx: click.Context, command: click.Command, path: tuple[str, ...], named: Path | None
) -> None:
    file = named or Path(FILE)
    if ctx.resilient_parsing or (named is None and not file.is_file()):
        return
    ctx.meta[_READ] = str(file)
    options = dict(options_of(command))
    found: dict[str, Any] = {}
    for key, value in _values(_load(file), path, file):
        if key not in options:
            continue
        if named is None and key in NAMED_ONLY:
            raise click.UsageError(
                f"`{file}` sets `{key}`, which a file may only do if it is named: `--config {file}`"
            )
        found[str(options[key].name)] = _as_option(value, options[key])
    ctx.default_map = found


def _load(file: Path) -> dict[str, Any]:
    import tomllib

    try:
        text = file.read_text("utf-8")
        loaded = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise click.UsageError(f"cannot read `{file}`: {error.strerror}") from None
    except ValueError as error:
        raise click.UsageError(f"`{file}` cannot be read: {error}") from None
    if not isinstance(loaded, dict):
        raise click.UsageError(f"`{file}` holds no table of options")
    return loaded


def _values(
    table: Mapping[str, Any], path: tuple[str, ...], file: Path
) -> Iterator[tuple[str, Any]]:
    """Give what the file sets for all commands, then what it sets for this one."""
    from ds2_fast.cli import COMMANDS, cli

    ctx = click.Context(cli)
    known: set[str] | None = None
    for key, value in table.items():
        name = key.replace("_", "-")
        if key in COMMANDS and isinstance(value, dict):
            if key == path[0]:
                yield from _own(value, path, file)
            continue
        if known is None:
            known = {each for word in COMMANDS for each in _keys(cli.get_command(ctx, word))}
        _check(name, known, file)
        yield name, value


def _own(table: Mapping[str, Any], path: tuple[str, ...], file: Path) -> Iterator[tuple[str, Any]]:
    from ds2_fast.cli import cli

    command = cli.get_command(click.Context(cli), path[0])
    for word in path[1:]:
        table, command = table.get(word, {}), commands_below(command)[word]
    known, below = _keys(command), commands_below(command)
    for key, value in table.items():
        name = key.replace("_", "-")
        if key in below and isinstance(value, dict):
            continue  # the table of that command
        _check(name, known, file)
        yield name, value


def commands_below(command: click.Command | None) -> Mapping[str, click.Command]:
    """Give the commands that a word after this one calls; of most there are none."""
    below: Mapping[str, click.Command] = getattr(command, "commands", {})
    return below


def _keys(command: click.Command | None) -> set[str]:
    if command is None:
        return set()
    own = {key for key, _ in options_of(command)}
    return own.union(*(_keys(sub) for sub in commands_below(command).values()))


def _check(key: str, known: set[str], file: Path) -> None:
    if key not in known:
        raise HintedError(f"`{file}` sets `{key}`, which is no option", nearest(key, known))


def _as_option(value: Any, option: click.Option) -> Any:
    """Write a list or a table as the flag would have it, where the flag takes one text."""
    if isinstance(value, Mapping):
        pairs = [f"{name}={part}" for name, part in value.items()]
        return pairs if option.multiple else ",".join(pairs)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(value) if option.multiple else ",".join(map(str, value))
    return [value] if option.multiple else value
