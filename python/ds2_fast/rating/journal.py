"""The journal of a run: one JSON line for each paid answer, written before the answer counts.

Append-only, one `write` per line on a file opened with O_APPEND, flushed to the disk about once a
second and at the end: `kill -9` loses nothing that was written, a power cut at most a second. What
is in the file is never cut. `"r"` holds what was read of the answer: ratings, or the values of the
kind of answer that a run asks for (see `kind`).

    {"v":1,"k":key,"t":seconds,"r":[3,4,5,4]|null,"why":null|reason,"raw":text|null,"n":requests,
     "u":[in,out,cached],"c":dollars|null,"ms":latency,"m":model as answered,"fp":fingerprint,
     "p":[probability of each rating, low to high]|[]}

`"p"` is there if the provider gave probabilities of tokens, and empty if they did not tell.
`"more":1` marks an answer after which the sample is asked again, `"half":1` a sample sent at half
its length. `{"v":1,"run":{...}}` opens a run; `{"v":1,"hb":seconds,"inflight":n,"usd":x}` says what
that run has asked and not yet seen answered, and the most that can have cost.
"""

from __future__ import annotations

import errno
import json
import os
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ds2_fast import _core
from ds2_fast.garbage import uncollected
from ds2_fast.rating.kind import Values, restore_ratings

VERSION = 1
# Read at a time, to the end of the line: so much more memory does loading take.
_BLOCK = 4 << 20


class Record(NamedTuple):
    """The last good word on a key: `ratings`, or None and the reason `why`.

    `ratings` are numbers, or the values of another kind of answer (see `ds2_fast.rating.kind`).
    `final` is false if the sample was to be asked again; `chances` is what
    `ds2_fast.rating.chances.read_chances` made of the answer.
    """

    ratings: Values | None
    why: str | None
    final: bool
    half: bool
    model: str
    usage: tuple[int, int, int]
    chances: bytes | None = None


@dataclass
class Loaded:
    """What a journal holds.

    Attributes:
        records: the last good record of every key; a null never replaces ratings.
        unpriced: tokens [input, output, cached] of all records without a price.
        cost: dollars of all records with one.
        possible: dollars that may have been billed without an answer.
        unreadable: lines that are no record (torn by a crash, edited).
        in_flight: requests the last run had sent and not seen answered; 0 if it ended in order.
    """

    records: dict[str, Record] = field(default_factory=dict)
    unpriced: tuple[int, int, int] = (0, 0, 0)
    cost: float = 0.0
    possible: float = 0.0
    unreadable: int = 0
    in_flight: int = 0


@uncollected()
def load_journal(path: Path, restore: Callable[[Any], Values] = restore_ratings) -> Loaded:
    """Read a journal; a missing file is an empty one, lines that are no record are skipped.

    Args:
        path: the file.
        restore: makes values of what `"r"` holds, see `ds2_fast.rating.kind`.

    O(bytes): about 3 us a record, and 8 us for a line that has not the form it is written in.
    """
    loading = _Loading(restore)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return loading.loaded
    with file:
        while lines := file.read(_BLOCK) + file.readline():
            for found in _core.read_records(lines):
                if isinstance(found, tuple):
                    key, cost, fields = found
                    loading.keep(key, cost, Record._make(fields))
                elif line := found.strip():
                    loading.read(line)
    loading.loaded.possible += loading.owed
    return loading.loaded


# What a line that is no record can raise: it may hold any JSON, infinities and deep nests included.
_NO_RECORD = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError)


def _dollars(value: object) -> float:
    """A sum; what is none must not get into the account, where NaN would pass every cap."""
    if isinstance(value, int | float) and 0 <= value < float("inf"):
        return float(value)
    raise ValueError


class _Loading:
    """A journal half read: what it holds so far, and what the latest run owes.

    Lines in the form they are written come read from the core; all others are read here.
    """

    def __init__(self, restore: Callable[[Any], Values] = restore_ratings) -> None:
        self.loaded = Loaded()
        self._restore = restore
        self.owed = 0.0  # the last heartbeat counts
        self._shared: dict[object, Any] = {}  # equal ratings and names are kept once
        self._decode = json.JSONDecoder().raw_decode  # a third faster than `loads`

    def read(self, line: bytes) -> None:
        """Read any line, which may be no record at all."""
        loaded = self.loaded
        try:
            text = line.decode()
            entry, end = self._decode(text)
            if end != len(text) or entry["v"] != VERSION:
                loaded.unreadable += 1
            elif "hb" in entry:
                loaded.in_flight, self.owed = int(entry["inflight"]), _dollars(entry["usd"])
            elif "run" in entry:
                loaded.possible, loaded.in_flight, self.owed = loaded.possible + self.owed, 0, 0.0
            else:
                self._take(entry)
        except _NO_RECORD:
            loaded.unreadable += 1

    def _take(self, entry: Mapping[str, Any]) -> None:
        key, ratings, cost = entry["k"], entry["r"], entry["c"]
        cost = None if cost is None else _dollars(cost)
        tokens_in, tokens_out, cached = map(int, entry["u"])
        if ratings is not None:
            ratings = self._restore(ratings)
            ratings = self._shared.setdefault(ratings, ratings)
        record = Record(
            ratings,
            self._shared.setdefault(entry["why"], entry["why"]),
            "more" not in entry,
            "half" in entry,
            self._shared.setdefault(entry["m"], entry["m"]),
            (tokens_in, tokens_out, cached),
            array("f", entry["p"]).tobytes() if "p" in entry else None,
        )
        self.keep(key, cost, record)

    def keep(self, key: str, cost: float | None, record: Record) -> None:
        """Count a record, and keep it unless a better one is known."""
        loaded = self.loaded
        if cost is None:
            a, b, c = loaded.unpriced
            tokens_in, tokens_out, cached = record.usage
            loaded.unpriced = (a + tokens_in, b + tokens_out, c + cached)
        else:
            loaded.cost += cost
        known = loaded.records.get(key)
        if known is None or known.ratings is None or record.ratings is not None:
            loaded.records[str(key)] = record  # a file can be edited


class Journal:
    """The writing end; open it under the run's lock only.

    Args:
        path: the file; made readable by its owner alone if it does not exist.

    Raises:
        OSError: if it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        new = not path.exists()
        flags = os.O_APPEND | os.O_CREAT | os.O_RDWR | getattr(os, "O_BINARY", 0)
        self._fd = os.open(path, flags, 0o600)
        self._dirty = False
        # A torn last line is closed, so that it swallows nothing.
        self._torn = _ends_torn(self._fd)
        if new:
            _sync_folder(path.parent)

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one record with one `write`.

        Args:
            entry: the record without its version.

        Raises:
            OSError: if it could not be written whole; the file stays readable.
        """
        line = json.dumps({"v": VERSION, **entry}, separators=(",", ":")).encode() + b"\n"
        if self._torn:
            line = b"\n" + line
        written = os.write(self._fd, line)
        self._dirty = True
        self._torn = written < len(line)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        """Flush what was written to the disk; free if nothing was.

        Raises:
            OSError: if the disk refuses it.
        """
        if self._dirty:
            self._dirty = False
            # macOS has no fdatasync.
            getattr(os, "fdatasync", os.fsync)(self._fd)

    def close(self) -> None:
        """Flush and close; safe to call twice."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def _ends_torn(fd: int) -> bool:
    size = os.lseek(fd, 0, os.SEEK_END)
    if size == 0:
        return False
    os.lseek(fd, size - 1, os.SEEK_SET)
    return os.read(fd, 1) != b"\n"


def _sync_folder(folder: Path) -> None:
    """Make the new file's name itself durable, where the system lets a folder be flushed."""
    if os.name != "posix":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
