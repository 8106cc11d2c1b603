"""Errors a user can mend: one sentence, a hint, and the exit code of the command line."""

from __future__ import annotations

from typing import ClassVar


class Ds2Error(Exception):
    """What went wrong, in one sentence, and the command or option that mends it.

    Args:
        message: what is wrong and where (file, row, column); no period after a single sentence.
        hint: the command or option that mends it; empty where nothing can be advised.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class PoolError(Ds2Error):
    """The input cannot be used: file, schema, column, score or embedding (exit code 3)."""

    exit_code = 3


class ModelError(Ds2Error):
    """An embedding model cannot be found, fetched, imported or run (exit code 3)."""

    exit_code = 3


class RunError(Ds2Error):
    """The run directory cannot be used: locked, damaged, not writable (exit code 1)."""


class RatingError(Ds2Error):
    """Ratings are incomplete: the provider refuses, or too many answers are unreadable (4)."""

    exit_code = 4


class BudgetReachedError(Ds2Error):
    """The money is spent; what was bought is kept, and a higher cap resumes (exit code 5)."""

    exit_code = 5


class TrustError(Ds2Error):
    """The trust check failed under `--strict` (exit code 6)."""

    exit_code = 6


class VerifyError(Ds2Error):
    """A finished run is not what its manifest says, or cannot be repeated (exit code 7)."""

    exit_code = 7
