"""The user's own training or evaluation of each subset, journaled so that none runs twice."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError, RunError
from ds2_fast.rundir import digest_files, digest_json
from ds2_fast.terminal import duration, printable

if TYPE_CHECKING:
    from ds2_fast.line import Line
    from ds2_fast.pool import Pool

FOLDER = "bakeoff"
JOURNAL = "runs.jsonl"
VERSION = 1

_TAIL = 600
_PROGRAM = "name a program that is there; a shell's own words need `sh -c '...'`"
_CHUNKS = re.compile(r"[\s=:;|()\[\]{}\"']+")
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?%?")


@dataclass(frozen=True)
class CommandResult:
    """What came of one run of the user's command.

    Attributes:
        value: the number it printed last; None if it failed or printed none.
        why: why there is none; empty if there is one.
        stderr: the end of what it said on stderr, where there is no number.
        seconds: it took.
        reused: whether it had been run before.
    """

    value: float | None
    why: str
    stderr: str
    seconds: float
    reused: bool = False


def split_command(command: str) -> tuple[str, ...]:
    """Split a command into words, as a shell does; none is started.

    Args:
        command: words with `{subset}`, and, where wanted, `{strategy}`, `{n}` and `{seed}`.

    Raises:
        PoolError: quotes are open, it has no `{subset}`, or there is no such program.
    """
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise PoolError(
            f"`{command}` is no command: {str(error).lower()}", "close the quotes"
        ) from None
    if not any("{subset}" in word for word in words):
        raise PoolError(
            f"`{command}` never sees the subset", "put `{subset}` where its file is to stand"
        )
    if "{" not in words[0] and shutil.which(words[0]) is None:
        raise PoolError(f"cannot run `{words[0]}`: {_why_not(words[0])}", _PROGRAM)
    return words


def _why_not(program: str) -> str:
    if Path(program).is_file() and Path(program).name != program:
        return "the file may not be executed"
    return "there is no such program"


def last_number(text: str) -> tuple[float | None, str]:
    r"""Read the last number of the last line that is not empty.

    A line is cut at spaces, `= : ; |`, quotes and brackets. The last piece with a digit must be a
    finite number, with a percent sign or a full stop behind it at most: what might be read in two
    ways, such as `1,234` or `5/7`, is not guessed at.

    Args:
        text: what a command printed.

    Returns:
        The number and an empty text, or None and what is wrong.

    Example:
        >>> last_number("epoch 3\naccuracy = 61.5%\n")
        (61.5, '')
        >>> last_number("done in 5s")
        (None, 'its last line ends on `5s`, which is no number')
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return None, "it printed nothing"
    pieces = [piece for piece in _CHUNKS.split(lines[-1]) if any(c.isdigit() for c in piece)]
    if not pieces:
        return None, f"its last line `{_short(lines[-1])}` has no number"
    piece = pieces[-1].rstrip(".,!")
    if not piece.isascii() or _NUMBER.fullmatch(piece) is None:
        return None, f"its last line ends on `{_short(pieces[-1])}`, which is no number"
    number = float(piece.removesuffix("%"))
    if not math.isfinite(number):
        return None, f"its last line ends on `{_short(piece)}`, which is not finite"
    return number, ""


def _short(text: str) -> str:
    return printable(text.strip())[:60]


class CommandRunner:
    """Runs the user's command on subsets, and remembers what came of it.

    Subsets, what the command printed and the journal lie in the folder `bakeoff` of the run
    directory. A run is known by its command and the bytes of its subset; what gave a number is not
    run again, what failed is.

    Args:
        line: the run.
        pool: its pool.
        command: the words, see `split_command`.
        name: of the result.
    """

    def __init__(self, line: Line, pool: Pool, command: tuple[str, ...], name: str) -> None:
        self._line, self._pool, self._command, self._name = line, pool, command, name
        self._folder = line.run.path / FOLDER
        self._known = _load(self._folder / JOURNAL)
        suffix = "jsonl" if pool.format == "memory" else pool.format
        self._suffix = f".{suffix}"

    def run(self, label: str, rows: NDArray[np.uint32], n: int, seed: int) -> CommandResult:
        """Write a subset, run the command on it, and journal what came of it.

        Args:
            label: of the strategy.
            rows: the subset.
            n: how many were wanted.
            seed: it was drawn under.

        Raises:
            RunError: the subset or the journal cannot be written, or there is no such program.
        """
        from ds2_fast.pool import write_subset

        self._folder.mkdir(exist_ok=True)
        stem = f"{label}-n{n}-seed{seed}"
        subset = self._folder / f"{stem}{self._suffix}"
        write_subset(self._pool, rows, subset)
        places = {"{strategy}": label, "{n}": str(n), "{seed}": str(seed)}
        words = [_filled(word, places) for word in self._command]
        key = digest_json([VERSION, words, digest_files((subset,))])
        found = self._known.get(key)
        if found is None:
            found = self._start([_filled(w, {"{subset}": str(subset)}) for w in words], stem)
            self._keep(key, {"strategy": label, "n": n, "seed": seed, "words": words}, found)
        self._tell(f"{label}, n = {n:,}, seed {seed}", found)
        return found

    def _start(self, words: list[str], stem: str) -> CommandResult:
        out, err = (self._folder / f"{stem}.{name}.txt" for name in ("stdout", "stderr"))
        started = perf_counter()
        # To files: what a training prints in a day need not lie in memory, and can be read on.
        try:
            with out.open("wb") as stdout, err.open("wb") as stderr:
                done = subprocess.run(
                    words, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, check=False
                )
        except OSError as error:
            raise RunError(
                f"cannot run `{words[0]}`: {(error.strerror or str(error)).lower()}",
                _PROGRAM,
            ) from error
        seconds = perf_counter() - started
        if done.returncode:
            why = f"it ended with exit code {done.returncode}"
            if done.returncode < 0:
                why = f"it was ended by signal {-done.returncode}"
            return CommandResult(None, why, _tail(err), seconds)
        value, why = last_number(_tail(out, whole_lines=True))
        return CommandResult(value, why, "" if value is not None else _tail(err), seconds)

    def _keep(self, key: str, about: dict[str, object], found: CommandResult) -> None:
        """Append a line that is on the disk before the next run starts."""
        entry = {"v": VERSION, "key": key, **about, **asdict(found)}
        file = self._folder / JOURNAL
        with file.open("ab+") as journal:
            # A line that a kill cut short must not spoil the next one.
            size = journal.seek(0, os.SEEK_END)
            torn = size > 0 and _last_byte(file) != b"\n"
            journal.write(b"\n" * torn + json.dumps(entry).encode() + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
        if found.value is not None:
            self._known[key] = replace(found, reused=True)

    def _tell(self, about: str, found: CommandResult) -> None:
        if found.value is None:
            self._line.narrator.warn(f"{self._name} of {about}: {found.why}")
            return
        when = "reused" if found.reused else duration(found.seconds)
        self._line.narrator.done("run", f"{self._name} of {about}: {found.value:g} ({when})")


def _filled(word: str, places: dict[str, str]) -> str:
    """Put values in place of names, all at once: a value that looks like a name stays."""
    names = re.compile("|".join(map(re.escape, places)))
    return names.sub(lambda found: places[found[0]], word)


def _load(file: Path) -> dict[str, CommandResult]:
    """Read the runs that gave a number; lines that are no record are skipped."""
    known: dict[str, CommandResult] = {}
    try:
        lines = file.read_bytes().splitlines()
    except FileNotFoundError:
        return known
    for line in lines:
        try:
            entry = json.loads(line)
            value, seconds = float(entry["value"]), float(entry["seconds"])
            if entry["v"] == VERSION and math.isfinite(value):
                known[str(entry["key"])] = CommandResult(value, "", "", seconds, reused=True)
        except (ValueError, KeyError, TypeError):
            continue
    return known


def _last_byte(file: Path) -> bytes:
    with file.open("rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1)


def _tail(file: Path, *, whole_lines: bool = False) -> str:
    """The end of what was printed, as text that can be shown."""
    most = 1 << 16 if whole_lines else _TAIL
    with file.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(size - most, 0))
        text = handle.read().decode("utf-8", "replace")
    return text if whole_lines else printable(text.strip())
