"""The run, told on stderr: one bar at a time, one past-tense line per finished stage."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unicodedata import category

from ds2_fast.progress import Narrator, Progress, silent

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

_NAME_WIDTH = 11
# Joiners, without which some scripts and emoji fall apart.
_HARMLESS = "\n\t\u200c\u200d"


class TerminalNarrator(Narrator):
    """Tells a run on stderr.

    Args:
        quiet: only warnings are said.
        verbose: details are said, too.
    """

    def __init__(self, *, quiet: bool = False, verbose: bool = False) -> None:
        from rich.console import Console

        self._quiet, self._verbose = quiet, verbose
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)

    @property
    def console(self) -> Console:
        """Where everything goes."""
        return self._console

    @contextmanager
    def stage(self, name: str, unit: str) -> Iterator[Progress]:
        """Show a bar with rate and ETA while a stage runs, where there is a terminal."""
        if self._quiet or not self._console.is_terminal:
            yield silent
            return
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn(f"{name:<{_NAME_WIDTH}}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f} " + unit),
            TextColumn("{task.fields[rate]}"),
            TextColumn("eta"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        bar = Bar(*columns, console=self._console, transient=True, refresh_per_second=8)
        task = bar.add_task(name, total=None, rate="")
        try:

            def update(done: int, total: int) -> None:
                speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
                rate = f"{_short(speed)}/s" if speed else ""
                bar.update(task, completed=done, total=total, rate=rate)
                # Not before the total is known; a stage that never reports shows no bar.
                if not bar.live.is_started:
                    bar.start()

            yield update
        finally:
            bar.stop()

    def done(self, name: str, text: str) -> None:
        """One line for a finished stage."""
        if not self._quiet:
            self._console.print(
                f"[green]✓[/green] [bold]{name:<{_NAME_WIDTH}}[/bold] {_plain(text)}"
            )

    def note(self, text: str) -> None:
        """An indented remark."""
        if not self._quiet:
            for line in text.splitlines():
                self._console.print(f"  {'':<{_NAME_WIDTH}} [dim]{_plain(line)}[/dim]")

    def detail(self, text: str) -> None:
        """A remark for `--verbose`."""
        if self._verbose:
            self.note(text)

    def warn(self, text: str) -> None:
        """A remark that `--quiet` does not silence."""
        self._console.print(f"[yellow]![/yellow] {_plain(text)}")


def printable(text: str) -> str:
    """Keep control characters from painting the terminal; spaces of all scripts stay."""
    return "".join(
        c if c.isprintable() or c in _HARMLESS or category(c) == "Zs" else "�" for c in text
    )


def print_files(console: Console, files: Sequence[Path], run_dir: Path | None, parts: str) -> None:
    """Print what a run has written.

    Args:
        console: where to.
        files: the subsets.
        run_dir: where the run is kept; None if it is not.
        parts: what lies there besides the page.
    """
    if files or run_dir is not None:
        console.print("\n[bold]Files[/bold]")
    for file in files:
        console.print(f"  {file}", markup=False)
    if run_dir is not None and (run_dir / "report.html").is_file():
        console.print(
            f"  {run_dir / 'report.html'}: all of this and more, for a browser", markup=False
        )
    if run_dir is not None:
        console.print(f"  {run_dir}{os.sep} with {parts}", markup=False)


def _plain(text: str) -> str:
    """Keep rich from reading markup, too."""
    from rich.markup import escape

    return escape(printable(text))


def _short(value: float) -> str:
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.1f}{unit}"
    return f"{value:.0f}"


def duration(seconds: float) -> str:
    """Say seconds as people do: `0.4 s`, `12 s`, `6 min 12 s`, `1 h 03 min`."""
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
