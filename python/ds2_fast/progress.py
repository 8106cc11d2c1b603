"""How long work tells the terminal where it is: one small callback type."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called between blocks with `(done, total)`, both in the unit the stage names; may raise to stop it."""


def silent(done: int, total: int) -> None:
    """Say nothing: the default of every stage function."""
