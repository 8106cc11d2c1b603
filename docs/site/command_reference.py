"""The directive `commands`: the whole help of every command, as a terminal shows it.

Help is grouped by stage, which a generated list of parameters would lose, and the program itself
prints it here, so that it cannot go stale.
"""

from __future__ import annotations

from collections.abc import Iterator

import click
from click.testing import CliRunner
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ds2_fast.cli import cli
from ds2_fast.cli.rate import ON_A_RUN

WIDTH = 88


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words that name a command and every command below it."""
    yield path
    if path == ("rate",):
        # They are not click's: `rate POOL` is a command itself.
        yield from ((*path, name) for name in ON_A_RUN)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None, name
            yield from commands(below, (*path, name))


def whole_help(path: tuple[str, ...]) -> str:
    """What `--help-all` prints, or `--help` where that is all."""
    for flag in ("--help-all", "--help"):
        done = CliRunner().invoke(
            cli, [*path, flag], prog_name="ds2-fast", terminal_width=WIDTH, max_content_width=WIDTH
        )
        if done.exit_code == 0:
            return done.output
    raise ValueError(f"no help of `{' '.join(path)}`: {done.output}")


class Commands(SphinxDirective):
    """One section per command."""

    def run(self) -> list[nodes.Node]:
        """Print the help of every command."""
        return [self._section(path) for path in commands(cli)]

    def _section(self, path: tuple[str, ...]) -> nodes.Node:
        name = " ".join(("ds2-fast", *path))
        section = nodes.section(ids=[nodes.make_id(name)], names=[name])
        section += nodes.title(name, "", nodes.literal(name, name))
        text = whole_help(path)
        section += nodes.literal_block(text, text, language="text")
        return section


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
