"""The command line. Commands are imported when they are called, so that `--help` stays quick."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from ds2_fast.errors import Ds2Error
from ds2_fast.terminal import printable

COMMANDS = {
    "select": "Choose the best n samples of a pool: rate, embed, curate, select.",
    "strategies": "List the ways to select, and their options.",
    "plan": "Say what a selection would do, take and cost; nothing is written.",
    "rate": "Rate every sample of a pool with an LLM.",
    "rerate": "Ask a stronger LLM where its ratings can change a selection.",
    "embed": "Embed every sample of a pool.",
    "tag": "Have an LLM say what the user of every sample wants, for `instag`.",
    "losses": "Measure how well a language model predicts the responses of a pool.",
    "curate": "Correct the scores of a pool, without selecting.",
    "raters": "Compare several raters of one pool.",
    "neighbors": "Find the samples of a finished run that are most like a text or a sample.",
    "audit": "Draw samples to score by hand, for `--audit`.",
    "explain": "Say why a finished run took or left a sample.",
    "report": "Print or draw what a finished run found.",
    "compare": "Compare two finished runs, or ways to select from one pool.",
    "verify": "Check that a finished run is what it says, and gives the same result again.",
    "doctor": "Check the installation and this machine.",
    "model": "Import, fetch and list embedding models.",
    "config": "Print what the options come to, and where each comes from.",
    "completion": "Print what makes bash, zsh or fish complete the commands.",
}

_UNSETTLED = ("config", "completion")
"""Commands whose options come from flags alone."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of the line, not of the alphabet."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command `ds2_fast.cli.<name>.<name>`."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"ds2_fast.cli.{cmd_name}"), cmd_name)
        if cmd_name in _UNSETTLED:
            return command
        from ds2_fast.cli.settings import settle

        return settle(command, (cmd_name,))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Look a command up, and name the nearest one where there is none of that name."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            from ds2_fast.cli.usage import HintedError, nearest

            raise HintedError(f"no command `{args[0]}`", nearest(args[0], COMMANDS), ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table above, so that help imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from ds2_fast import __version__

        click.echo(f"ds2-fast {__version__}")
        ctx.exit()


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def cli() -> None:
    """Choose the data to fine-tune on.

    Rates a pool of instruction samples with any LLM, corrects the ratings by what each sample's
    neighbors say, and selects the best and most diverse n.

    \b
    Examples:
      ds2-fast select pool.parquet --score-col rating -n 10000 -o subset.parquet
      ds2-fast select pool.jsonl --model gpt-4o-mini -n 5% -o subset.jsonl
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 done, 1 the run failed, 2 usage, 3 input, 4 ratings incomplete, 5 budget reached, 6
    `--strict` and the trust check failed, 7 a run is not what it says, or this machine not as it
    should be, 130 interrupted. Anything else that is raised is a bug and shows its traceback.
    """
    try:
        code: Any = cli.main(args=argv, prog_name="ds2-fast", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo(
            "interrupted: what is finished is kept; run the same command again to go on", err=True
        )
        return 130
    except click.ClickException as error:
        return _show_usage(error)
    except Ds2Error as error:
        _show(error.message, error.hint)
        return error.exit_code
    except BrokenPipeError:  # nobody reads stdout any more, so nobody misses the rest
        _drop_stdout()
        return 1
    except OSError as error:
        where = f"`{error.filename}`: " if error.filename else ""
        _show(f"{where}{error.strerror or error}", "")
        return 1
    return code if isinstance(code, int) else 0


def _show_usage(error: click.ClickException) -> int:
    from ds2_fast.cli.usage import tell_usage

    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
    else:
        _show(*tell_usage(error))
    return error.exit_code


def _show(message: str, hint: str) -> None:
    # The words of a file can be among them.
    click.echo(printable(f"error: {message}"), err=True)
    if hint:
        click.echo(printable(f"\nhint: {hint}"), err=True)


class _Heedless(io.FileIO):
    """Standard error that nobody may be reading any more: a closed pipe stops nothing."""

    def write(self, data: Any, /) -> int:
        """Write, or, where the pipe is closed, forget."""
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def _drop_stdout() -> None:
    """Let the flush at exit go nowhere; it would complain of the closed pipe once more."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def entry_point() -> None:
    """The `ds2-fast` program."""
    if sys.stderr is not None and not sys.stderr.isatty():
        raw = io.BufferedWriter(_Heedless(sys.stderr.fileno(), "w", closefd=False))
        sys.stderr = io.TextIOWrapper(
            raw, sys.stderr.encoding, sys.stderr.errors, line_buffering=True
        )
    sys.exit(main())
