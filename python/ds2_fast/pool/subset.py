"""Writing the chosen rows of a pool: the same rows, the same columns, whole or not at all."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from ds2_fast.atomic import atomic_path
from ds2_fast.errors import PoolError, RunError
from ds2_fast.pool.conversion import Shape, convert_rows
from ds2_fast.pool.files import COMPRESSIONS, KINDS, kind_of
from ds2_fast.pool.json_rows import JSON_SPACE
from ds2_fast.pool.phrases import named
from ds2_fast.pool.pool import Pool
from ds2_fast.pool.tables import SOURCE
from ds2_fast.pool.writing import encode_rows, write_frame, write_rows


class _ProbeError(Exception):
    """Ends an attempt to write that was only meant to be tried."""


def check_output(pool: Pool, path: str | os.PathLike[str], *, suffix: str | None = None) -> None:
    """See whether a file that is made from the pool could be written; nothing is left there.

    Args:
        pool: the pool.
        path: the file.
        suffix: the one it must have; None for those that `write_subset` knows.

    Raises:
        PoolError: the path belongs to the pool, or its kind is not known.
        RunError: the folder does not exist or cannot be written, or the path is no file.
    """
    _refuse_input(pool, Path(path))
    if suffix is None:
        _kind(pool, path)
    elif Path(path).suffix.lower() != suffix:
        raise PoolError(f"`{path}` is no {suffix} file", f"give it a name that ends in `{suffix}`")
    with suppress(_ProbeError), atomic_path(path):
        raise _ProbeError


def write_subset(
    pool: Pool,
    rows: Sequence[int] | NDArray[np.integer],
    path: str | os.PathLike[str],
    *,
    add_columns: pl.DataFrame | None = None,
    to: Shape | None = None,
) -> Path:
    """Write rows of the pool to a file, in the order given.

    The suffix picks the format (.jsonl, .ndjson, .json, .csv, .tsv, each also with .gz, .zst, .bz2
    or .xz; .parquet, .arrow, .feather); without a suffix it is that of the pool. From JSON to
    JSON, every row keeps the bytes it had (line ends, and space between rows, aside). Otherwise
    every column keeps its name and type, as far as the format has the type: .csv holds lists and
    objects as JSON text, JSON holds dates as text and NaN as null. The file appears whole or not
    at all.

    Args:
        pool: the pool.
        rows: which rows, each in 0..N-1.
        path: the file to write; an old one is replaced, one that belongs to the pool is not.
        add_columns: columns to append, one row per row written, in the same order.
        to: the shape to convert the rows to (`ds2_fast.pool.convert_rows`); None leaves them.

    Returns:
        The path.

    Raises:
        PoolError: the path belongs to the pool, its kind is not known, a column to add exists
            already, a column cannot be written in this format, or a row does not fit the shape.
        RunError: the folder does not exist or cannot be written, or the disk is full.
        ValueError: a row is outside the pool, or `add_columns` has another height.

    Cost: O(bytes written).
    """
    chosen = _checked_rows(pool, rows)
    kind, compression = _kind(pool, path)
    _refuse_input(pool, Path(path))
    added = _checked_columns(pool, len(chosen), add_columns)
    frame = None if to is None else _converted(pool, chosen, to, added)
    with atomic_path(path) as temporary:
        try:
            if kind in {"jsonl", "json"}:
                lines = _json_rows(pool, chosen, added) if frame is None else encode_rows(frame)
                write_rows(lines, temporary, kind, compression)
            else:
                table = _frame(pool, chosen, added) if frame is None else frame
                write_frame(table, temporary, kind, compression)
        except (PolarsError, OSError) as error:
            raise _cannot_write(path, error) from None
    return Path(path)


def _checked_rows(pool: Pool, rows: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
    chosen = np.asarray(rows)
    if chosen.size == 0:
        chosen = chosen.astype(np.int64)
    if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
        raise ValueError(f"rows: expected whole numbers, got {chosen.dtype} {chosen.shape}")
    wrong = (chosen < 0) | (chosen >= len(pool))
    if wrong.any():
        raise ValueError(f"rows: {chosen[wrong.argmax()]} is outside 0..{len(pool) - 1}")
    return chosen.astype(np.int64)


def _checked_columns(pool: Pool, height: int, added: pl.DataFrame | None) -> pl.DataFrame | None:
    if added is None:
        return None
    if len(added) != height:
        raise ValueError(f"add_columns: expected {height} rows, got {len(added)}")
    both = [name for name in added.columns if name in pool.frame.columns]
    if both:
        raise PoolError(
            f"the pool already has the columns {named(both)}",
            "leave out `--add-columns`, or rename them in the pool",
        )
    return added


def _kind(pool: Pool, path: str | os.PathLike[str]) -> tuple[str, str | None]:
    if str(path) == "-":
        raise PoolError("a subset goes to a file, not to stdout", "name one, such as subset.jsonl")
    found = kind_of(path)
    if found is None and not Path(path).suffix:
        # The pool's own format, as a suffix: `subset` of a `jsonl.gz` pool.
        found = kind_of(f"pool.{pool.format}")
    if found is None:
        known = f"{', '.join(KINDS)}, text also with {', '.join(COMPRESSIONS)}"
        raise PoolError(f"`{path}` is of a kind that is not written", f"the kinds are {known}")
    return found


def _refuse_input(pool: Pool, path: Path) -> None:
    """Refuse a path that is a file of the pool, or would become one at the next run."""
    for source in pool.sources:
        if source != "-" and path.exists() and path.samefile(source):
            raise PoolError(
                f"`{path}` is a file of the pool, which is never written over",
                "choose another name",
            )
    real = os.path.realpath(path)
    for named_input in pool.inputs:
        if _would_match(named_input, real):
            raise PoolError(
                f"`{path}` would become a part of the pool `{named_input}`", "choose another folder"
            )


def _would_match(named_input: str, real: str) -> bool:
    if Path(named_input).is_dir():
        return Path(real).parent == Path(os.path.realpath(named_input))
    if not glob.has_magic(named_input) or Path(named_input).exists():
        return False
    # `**` also stands for no folder at all, which fnmatch does not know.
    pattern = os.path.abspath(named_input)  # noqa: PTH100 - a pattern, not a path to resolve
    return any(fnmatch.fnmatch(real, each) for each in (pattern, pattern.replace("**/", "")))


def _converted(
    pool: Pool, rows: NDArray[np.int64], to: Shape, added: pl.DataFrame | None
) -> pl.DataFrame:
    frame = convert_rows(pool, rows, to).frame
    return frame if added is None else frame.hstack(added)


def _frame(pool: Pool, rows: NDArray[np.int64], added: pl.DataFrame | None) -> pl.DataFrame:
    """Give the rows with the columns of the input and the ones to add."""
    frame = pool.frame[rows]
    if pool.adds_source:
        frame = frame.drop(SOURCE)
    return frame if added is None else frame.hstack(added)


def _json_rows(pool: Pool, rows: NDArray[np.int64], added: pl.DataFrame | None) -> pl.Series:
    """Give each row as one JSON text: as it was written, where it was JSON."""
    if pool.raw is None:
        return encode_rows(_frame(pool, rows, added))
    raw = pool.raw[rows]
    if added is None or not added.columns:
        return raw
    bare = raw.str.strip_chars(JSON_SPACE).str.head(-1)
    ends = pl.select(
        pl.when(bare.str.strip_chars_end(JSON_SPACE) == "{").then(pl.lit("")).otherwise(pl.lit(","))
    ).to_series()
    return bare + ends + encode_rows(added).str.slice(1)


def _cannot_write(path: str | os.PathLike[str], error: Exception) -> PoolError | RunError:
    reason = _first_line(error)
    # Some of its errors of the disk polars only tells by their text.
    if isinstance(error, OSError) or "underlying IO error" in reason:
        reason = reason.rpartition("underlying IO error: ")[2].lower()
        return RunError(f"cannot write `{path}`: {reason}", "make room, or choose another folder")
    return PoolError(
        f"cannot write `{path}`: {reason}",
        "choose another format, for example .jsonl or .parquet",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
