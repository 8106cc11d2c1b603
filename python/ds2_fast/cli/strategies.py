"""`ds2-fast strategies`: what ways to select there are."""

from __future__ import annotations

import json
from typing import Any

import click

from ds2_fast.errors import RunError
from ds2_fast.strategies import describe, find_strategy, strategy_names

_ROLE_WORDS = {"filter": "filter", "scorer": "scorer", "rule": "set rule"}


_WIDTH = 100
"""Of what is printed into a file or a pipe."""


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON on stdout.")
def strategies(name: str | None, as_json: bool) -> None:
    """List the ways to select, or tell of the one called NAME.

    A strategy is a scorer, a set rule, a filter, or several of these. `select --strategy A+B` takes
    the scores of A and the set rule of B; a filter can stand before any.

    \b
    Examples:
      ds2-fast strategies
      ds2-fast strategies deita
    """
    found = describe(find_strategy(name)) if name else [_said(each) for each in strategy_names()]
    if as_json:
        click.echo(json.dumps(found))
    elif isinstance(found, list):
        _print_table(found)
    else:
        _print_one(found)


def _said(name: str) -> dict[str, Any]:
    """Describe one of the list; another package's that is broken does not hide the others."""
    try:
        return describe(find_strategy(name))
    except RunError:
        told = f"cannot be loaded: `ds2-fast strategies {name}` says why"
        return {"name": name, "title": told, "roles": [], "broken": True}


def _print_table(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("strategy", "what it brings", "what it takes"):
        table.add_column(title)
    for each in found:
        roles = ", ".join(_ROLE_WORDS[role] for role in each["roles"]) or "the order of the pool"
        roles = "-" if each.get("broken") else roles
        table.add_row(each["name"], roles, each["title"].rstrip("."))
    console = Console(highlight=False)
    console.width = console.width if console.is_terminal else _WIDTH
    console.print(table)
    console.print("\nOne of them: ds2-fast strategies NAME", markup=False)


def _print_one(each: dict[str, Any]) -> None:
    roles = ", ".join(_ROLE_WORDS[role] for role in each["roles"]) or "the order of the pool"
    lines = [f"{each['name']}: {each['title']}", ""]
    if each["text"]:
        lines += [each["text"], ""]
    lines += [f"brings  {roles}", f"needs   {each['needs']}"]
    if each["source"]:
        lines.append(f"source  {each['source']}")
    if each["options"]:
        lines += ["", "options"]
        for option in each["options"]:
            default = "" if option["default"] in (None, []) else f"  [default: {option['default']}]"
            lines.append(f"  {option['flag']:20} {option['text']}{default}")
    click.echo("\n".join(lines))
