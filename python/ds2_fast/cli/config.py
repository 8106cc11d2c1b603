"""`ds2-fast config`: what the options come to, and where each comes from."""

from __future__ import annotations

import json
from copy import copy
from typing import Any

import click

from ds2_fast.cli.settings import commands_below, options_of, settings_of
from ds2_fast.cli.usage import HintedError


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--show", is_flag=True, help="Print the options (what happens anyway).")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
@click.argument("command", default="select")
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
def config(show: bool, as_json: bool, command: str, flags: tuple[str, ...]) -> None:
    """Print what the options of COMMAND come to, with the FLAGS given, and where from.

    A flag comes before an environment variable (DS2_FAST_SEED for --seed), that before the file
    (--config FILE, DS2_FAST_CONFIG, or ds2-fast.toml in the working directory), that before the
    default. In the file, what stands in the table of a command counts for that command:

    \b
      seed = 7
      [select]
      space = "lexical"

    \b
    Examples:
      ds2-fast config --show
      ds2-fast config --show select --seed 3
    """
    parsed = _parsed(command, list(flags))
    said = settings_of(parsed)
    rows = {
        key: said.get(key, {"value": _default(parsed, option), "from": "default"})
        for key, option in options_of(parsed.command)
    }
    if as_json:
        click.echo(json.dumps(rows))
        return
    click.echo(f"# ds2-fast {command}: flag, environment, file, default")
    for key, row in rows.items():
        value = row["value"]
        shown = f"{key} = {json.dumps(value)}"
        unset = value is None or value == []
        click.echo(f"{f'# {key} is not set' if unset else shown:<40} # {row['from']}")


def _parsed(name: str, flags: list[str]) -> click.Context:
    """Parse a command as it would be called, but for what it needs."""
    from ds2_fast.cli import cli

    group = click.Context(cli, info_name="ds2-fast")
    _, found, _ = cli.resolve_command(group, [name])
    while flags and flags[0] in commands_below(found):
        name, found = f"{name} {flags[0]}", commands_below(found)[flags.pop(0)]
    if found is None or isinstance(found, click.Group):
        names = ", ".join(f"`{name} {word}`" for word in commands_below(found))
        raise HintedError(f"`{name}` is several commands", f"name one: {names}")
    free = copy(found)
    free.params = [copy(param) for param in found.params]
    for param in free.params:
        param.required = False
    return free.make_context(name, flags, parent=group)


def _default(ctx: click.Context, option: click.Option) -> Any:
    return json.loads(json.dumps(ctx.params.get(str(option.name)), default=str))
