"""What a strategy says of itself: for lists, reports and documentation."""

from __future__ import annotations

import inspect
from typing import Any

from ds2_fast.strategies.registry import option_types, options_of
from ds2_fast.strategies.strategy import Strategy


def describe(part: type[Strategy]) -> dict[str, Any]:
    """Tell name, title, text, roles, source, needs and options of a strategy, JSON-able.

    `title` is the first line of its docstring, `text` the rest.

    Args:
        part: the strategy.
    """
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
