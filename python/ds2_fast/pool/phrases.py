"""How the pool words its sentences: counts, lists of names, near misses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def counted(number: int, noun: str) -> str:
    """Say how many: `1 sample`, `52,002 samples`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def named(names: Iterable[str], most: int = 30) -> str:
    """List names in backticks, the first `most` of them; `none` for no name."""
    listed = [f"`{name}`" for name in names]
    more = [f"and {len(listed) - most} more"] if len(listed) > most else []
    return ", ".join(listed[:most] + more) or "none"


def nearest(name: str, names: Sequence[str], what: str = "columns") -> str:
    """Advise on a name that does not exist: the nearest one that does, and all of them."""
    close = get_close_matches(name, names, n=1)
    guess = f"did you mean `{close[0]}`? " if close else ""
    return f"{guess}the {what} are {named(names)}"
