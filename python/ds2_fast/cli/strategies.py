"""`ds2-fast strategies`: what ways to select there are."""

from __future__ import annotations

import inspect
import json
from typing import Any

import click

from ds2_fast.strategies import (
    Strategy,
    find_strategy,
    option_types,
    options_of,
    strategy_names,
)

_ROLE_WORDS = {"filter": "filter", "scorer": "scorer", "rule": "set rule"}


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
    names = strategy_names() if name is None else [name]
    found = [_described(find_strategy(each)) for each in names]
    if as_json:
        click.echo(json.dumps(found if name is None else found[0]))
    elif name is None:
        _print_table(found)
    else:
        _print_one(found[0])


def _described(part: type[Strategy]) -> dict[str, Any]:
    title, _, rest = inspect.cleandoc(part.__doc__ or "").partition("\n\n")
    types = option_types(part)
    return {
        "name": part.name,
        "title": title.replace("\n", " "),
        "text": rest,
        "roles": list(part.roles()),
        "source": part.source,
        "needs": part.needs,
        "options": [
            {
                "flag": f"--{each.name.replace('_', '-')}",
                "type": getattr(types[each.name], "__name__", str(types[each.name])),
                "default": list(each.default) if isinstance(each.default, tuple) else each.default,
                "text": each.metadata.get("text", ""),
            }
            for each in options_of(part)
        ],
    }


def _print_table(found: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("strategy", "what it brings", "what it takes"):
        table.add_column(title)
    for each in found:
        roles = ", ".join(_ROLE_WORDS[role] for role in each["roles"]) or "the order of the pool"
        table.add_row(each["name"], roles, each["title"].rstrip("."))
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, 160)
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
