"""Wrong usage, in the form of every other error: a sentence, and a hint."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

import click


class HintedError(click.UsageError):
    """Wrong usage with a hint of its own.

    Args:
        message: what is wrong, in one sentence.
        hint: what mends it; empty for the usual one, where help is to be had.
        ctx: of the command.
    """

    def __init__(self, message: str, hint: str, ctx: click.Context | None = None) -> None:
        super().__init__(message, ctx)
        self.hint = hint


def nearest(word: str, words: Iterable[str]) -> str:
    """Ask whether the nearest of the words was meant; empty if none is near.

    Args:
        word: what was given.
        words: what there is.
    """
    near = get_close_matches(word, sorted(words), n=1)
    return f"did you mean `{near[0]}`?" if near else ""


def tell_usage(error: click.ClickException) -> tuple[str, str]:
    """Give the sentence and the hint of an error of the command line.

    What click says loses its capital and its period, and names stand in backticks.

    Args:
        error: as click, or a command, raised it.
    """
    hint = error.hint if isinstance(error, HintedError) else ""
    said = error.format_message()
    if isinstance(error, click.NoSuchOption):
        said = error.message  # without the options that click takes for near
        hint = nearest(error.option_name, error.possibilities or ())
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    if not hint and ctx is not None:
        hint = f"`{ctx.command_path} --help` says how it is used"
    said = re.sub(r"'([^'`]*)'", r"`\1`", " ".join(said.split())).removesuffix(".")
    return said[:1].lower() + said[1:], hint
