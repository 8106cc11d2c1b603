"""Scores a person gave to some rows of a pool, from a file with the habits of spreadsheets."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.pool.files import PoolFile, kind_of
from ds2_fast.pool.phrases import named
from ds2_fast.pool.pool import Pool
from ds2_fast.pool.tables import read_files

ROW, KEY, ID, WEIGHT, SCORE = "row", "key", "id", "weight", "score"
FORMULA = "=+-@\t\r"
"""A cell that starts with one of these is a formula to a spreadsheet."""
_EMPTY = ("", "nan")
_SHOWN = 5
"""Bad cells that an error names."""


@dataclass(frozen=True)
class HandScores:
    """What a person scored, made by `read_hand_scores`.

    Attributes:
        name: the file.
        rows: uint32 `(m,)`, rows of the pool.
        ratings: float64 `(m,)`, whole numbers on the scale of the pool's scores.
        weights: float64 `(m,)`, 1 where the file has none.
        places: where in the file each is.
        unscored: rows of the file whose score is still empty.
    """

    name: str
    rows: NDArray[np.uint32] = field(repr=False)
    ratings: NDArray[np.float64] = field(repr=False)
    weights: NDArray[np.float64] = field(repr=False)
    places: tuple[str, ...] = field(repr=False)
    unscored: int

    def classes(self, starts: Sequence[int], high: int) -> NDArray[np.int8]:
        """Put the ratings into the classes of the pool's scores.

        Args:
            starts: lowest rating of each class, ascending.
            high: highest rating of the scale.

        Returns:
            int8 `(m,)` in 0..K-1.

        Raises:
            PoolError: with every place whose rating lies outside the scale.
        """
        low = starts[0]
        outside = (self.ratings < low) | (self.ratings > high)
        _refuse(
            self.name,
            [
                f"{self.places[n]}: score {self.ratings[n]:g} lies outside {low} to {high}"
                for n in np.flatnonzero(outside)
            ],
        )
        return (np.searchsorted(starts, self.ratings, side="right") - 1).astype(np.int8)


def read_hand_scores(path: str | PathLike[str], pool: Pool) -> HandScores:
    """Read the scores a person gave to some rows of a pool.

    The file has a column `row` (row of the pool, from 0) or `id`, a column `score` (its name may
    go on with the scale in parentheses), and, where rows were drawn with unequal probabilities, a
    column `weight`. A column `key`, as `ds2-fast audit sample` writes it, proves that the row is
    still the sample it was. Rows without a score are left out. CSV may be what a spreadsheet made
    of it: a byte order mark, UTF-16, semicolons or tabs, decimal commas, empty rows at the end.

    Args:
        path: a .csv, .tsv, .jsonl, .ndjson, .json or .parquet file.
        pool: the pool.

    Raises:
        PoolError: the file cannot be read, lacks a column, or holds cells that cannot be used; each
            is named with its line.
    """
    name = fspath(path)
    found = kind_of(path)
    if found is None:
        raise PoolError(f"`{name}` is of a kind that is not read", "save it as CSV")
    if not Path(path).is_file():
        raise PoolError(f"there is no file `{name}`", "write one with `ds2-fast audit sample`")
    text = found[0] in {"csv", "tsv"} and found[1] is None
    records = list(_sheet(Path(path)) if text else _frame(PoolFile(name, *found)))
    if not records:
        raise PoolError(f"`{name}` holds no rows", "write one with `ds2-fast audit sample`")
    return _collect(name, records, pool)


def sample_key(row: int, text: str) -> str:
    """Name a sample by 8 letters, which no spreadsheet takes for a number or a date."""
    digest = hashlib.blake2b(f"{row}\n{text}".encode(), digest_size=4).digest()
    return "".join(chr(ord("a") + nibble) for byte in digest for nibble in (byte >> 4, byte & 15))


def guarded(cell: str) -> str:
    """Put an apostrophe before what a spreadsheet would run as a formula."""
    return f"'{cell}" if cell.startswith(tuple(FORMULA)) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell[:1] == "'" and cell[1:2] in tuple(FORMULA) else cell


Record = tuple[str, Mapping[str, str]]


def _sheet(path: Path) -> Iterator[Record]:
    """Give place and cells of every row of a CSV file."""
    text = _decoded(path.read_bytes())
    header = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(";\t,", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    names: list[str] | None = None
    end = 0
    try:
        for cells in reader:
            start, end = end + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if names is None:
                names = [_column(cell) for cell in cells]
                continue
            yield f"line {start}", dict(zip(names, (cell.strip() for cell in cells), strict=False))
    except csv.Error as error:
        raise PoolError(
            f"{path}:{end + 1} cannot be read as CSV: {error}", "save it anew"
        ) from None


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # A spreadsheet that saves in its own code page; what is read back is ASCII in all of them.
        return data.decode("cp1252", errors="replace")


def _frame(file: PoolFile) -> Iterator[Record]:
    frame = read_files([file]).frame
    unit = "line" if file.kind == "jsonl" else "row"
    names = [_column(name) for name in frame.columns]
    for number, values in enumerate(frame.iter_rows(), start=int(unit == "line")):
        cells = ("" if value is None else str(value).strip() for value in values)
        yield f"{unit} {number}", dict(zip(names, cells, strict=True))


def _column(name: str) -> str:
    """`Score (1 to 5)` is `score`."""
    return name.partition("(")[0].strip().lower()


def _collect(name: str, records: Sequence[Record], pool: Pool) -> HandScores:
    columns = records[0][1].keys()
    _check_columns(name, columns, pool)
    find = _by_row(pool) if ROW in columns else _by_id(pool)
    bad: list[str] = []
    seen: dict[int, str] = {}
    kept: list[tuple[int, float, float, str]] = []
    unscored = 0
    for place, cells in records:
        if cells.get(SCORE, "").lower() in _EMPTY:
            unscored += 1
            continue
        try:
            row, rating, weight = find(cells), _rating(cells[SCORE]), _weight(cells)
        except ValueError as error:
            bad.append(f"{place}: {error}")
            continue
        if row in seen:
            bad.append(f"{place}: row {row} was scored on {seen[row]} already")
        seen.setdefault(row, place)
        kept.append((row, rating, weight, place))
    _refuse(name, bad)
    return HandScores(
        name=name,
        rows=np.array([each[0] for each in kept], dtype=np.uint32),
        ratings=np.array([each[1] for each in kept], dtype=np.float64),
        weights=np.array([each[2] for each in kept], dtype=np.float64),
        places=tuple(each[3] for each in kept),
        unscored=unscored,
    )


def _check_columns(name: str, columns: Iterable[str], pool: Pool) -> None:
    names = list(columns)
    if SCORE not in names:
        raise PoolError(
            f"`{name}` has no column `{SCORE}`", f"name one so; the columns are {named(names)}"
        )
    if ROW not in names and ID not in names:
        raise PoolError(
            f"`{name}` has neither a column `{ROW}` nor `{ID}`",
            f"say which sample each score is of; the columns are {named(names)}",
        )
    if ROW not in names and pool.ids is None:
        raise PoolError(
            f"`{name}` names samples by `{ID}`, and the pool has no column of ids",
            f"name it with `--id-col`, or give a column `{ROW}`",
        )


def _by_row(pool: Pool) -> Callable[[Mapping[str, str]], int]:
    def find(cells: Mapping[str, str]) -> int:
        number = _number(cells.get(ROW, ""), ROW)
        if not (number.is_integer() and 0 <= number < len(pool)):
            raise ValueError(f"row {cells[ROW]} is not in 0..{len(pool) - 1}")
        row = int(number)
        key = cells.get(KEY)
        if key and key.lower() != sample_key(row, pool.text[row]):
            raise ValueError(f"row {row} of the pool is another sample than when the file was made")
        return row

    return find


def _by_id(pool: Pool) -> Callable[[Mapping[str, str]], int]:
    ids = pool.ids
    values = [] if ids is None else ids.to_list()
    rows: dict[str, int] = {}
    twice: set[str] = set()
    for row, each in enumerate(values):
        if each is not None and rows.setdefault(each, row) != row:
            twice.add(each)

    def find(cells: Mapping[str, str]) -> int:
        wanted = _unguarded(cells.get(ID, ""))
        if wanted not in rows:
            raise ValueError(f"the pool has no id `{wanted}`")
        if wanted in twice:
            raise ValueError(f"several samples of the pool have the id `{wanted}`")
        return rows[wanted]

    return find


def _number(cell: str, what: str) -> float:
    """Read a number that may have a decimal comma."""
    try:
        number = float(_unguarded(cell).replace(",", "."))
    except ValueError:
        raise ValueError(f"{what} `{cell}` is no number") from None
    if not math.isfinite(number):
        raise ValueError(f"{what} `{cell}` is no number")
    return number


def _rating(cell: str) -> float:
    rating = _number(cell, SCORE)
    if not rating.is_integer():
        raise ValueError(f"score `{cell}` is no whole number")
    return rating


def _weight(cells: Mapping[str, str]) -> float:
    if WEIGHT not in cells:
        return 1.0
    weight = _number(cells[WEIGHT], WEIGHT)
    if weight <= 0:
        raise ValueError(f"weight `{cells[WEIGHT]}` is not above 0")
    return weight


def _refuse(name: str, bad: Sequence[str]) -> None:
    if not bad:
        return
    more = f"; and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
    cells = "1 cell" if len(bad) == 1 else f"{len(bad):,} cells"
    raise PoolError(
        f"{name} holds {cells} that cannot be used: {'; '.join(bad[:_SHOWN])}{more}",
        "correct them, or leave the score empty where there is none",
    )
