"""How long work tells its caller where it is, and who turns that into words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], None]
"""Called between blocks with `(done, total)`, both in the unit the stage names; may raise to stop
it."""


def silent(done: int, total: int) -> None:
    """Say nothing: the default of every stage function."""


class Narrator:
    """Says what a run does. This one says nothing; `ds2_fast.terminal` has the one that speaks."""

    @contextmanager
    def stage(self, name: str, unit: str) -> Iterator[Progress]:
        """Accompany one stage; the callback counts in `unit`."""
        yield silent

    def done(self, name: str, text: str) -> None:
        """One past-tense line for a finished stage."""

    def note(self, text: str) -> None:
        """Something the user should know, once."""

    def detail(self, text: str) -> None:
        """Something for those who want to know everything."""

    def warn(self, text: str) -> None:
        """Something the user should look at."""


QUIET = Narrator()
