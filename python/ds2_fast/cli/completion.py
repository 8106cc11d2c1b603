"""`ds2-fast completion`: the lines that make a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what makes SHELL complete commands, options and files.

    \b
    Once, in the start-up file of the shell:
      eval "$(ds2-fast completion bash)"       ~/.bashrc
      eval "$(ds2-fast completion zsh)"        ~/.zshrc
      ds2-fast completion fish | source        ~/.config/fish/config.fish
    """
    from ds2_fast.cli import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"there is no completion for `{shell}`")
    click.echo(kind(cli, {}, "ds2-fast", "_DS2_FAST_COMPLETE").source())
