"""Embeddings that a pool already has: a file beside it, or a column of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from zipfile import BadZipFile

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.pool.phrases import counted, named, nearest
from ds2_fast.pool.pool import Pool

_BLOCK = 16384
Floats = NDArray[np.float32] | NDArray[np.float16]


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of a pool, made by `read_embeddings`.

    Attributes:
        values: float32 or float16 `(N, d)`, C-contiguous, in the order of the pool, finite, no
            zero row; a read-only memory map where it comes straight from an .npy file.
        verdict: one sentence on where they come from.
        notices: what else the user should know, one sentence each.
    """

    values: Floats = field(repr=False)
    verdict: str
    notices: tuple[str, ...] = ()


def read_embeddings(
    pool: Pool, source: str | os.PathLike[str] | NDArray[np.floating]
) -> Embeddings:
    """Read the embeddings of a pool and check every row.

    Args:
        pool: the pool.
        source: an .npy file `(N, d)` in the order of the pool; an .npz file with `embeddings` and,
            optionally, `ids`, which put the rows into the order of the pool; the name of a column
            of lists; or an array. float64 is converted to float32, and the notices say so.

    Raises:
        PoolError: there is no such file or column, it is not a matrix of floats with one row per
            sample, an id has no row, or a row is zero or not finite (with row and column).

    Cost: O(Nd), one pass over the values; memory: none for float32 and float16 .npy files.
    """
    name, values, notices = _find(pool, source)
    if len(values) != len(pool):
        raise PoolError(
            f"{name} has {counted(len(values), 'row')}, the pool has {len(pool):,}",
            "embed the same samples in the same order, or give an .npz file with `ids`",
        )
    _check_rows(name, values)
    verdict = f"embeddings from {name}: {len(values):,} rows of {values.shape[1]} {values.dtype}"
    return Embeddings(values, verdict, tuple(notices))


_Found = tuple[str, Floats, list[str]]


def _find(pool: Pool, source: str | os.PathLike[str] | NDArray[np.floating]) -> _Found:
    if isinstance(source, np.ndarray):
        return "the array", *_floats("the array", source)
    name, suffix = os.fspath(source), Path(source).suffix.lower()
    if name in pool.frame.columns:
        return _column(pool, name)
    if suffix not in {".npy", ".npz"}:
        raise PoolError(
            f"the pool has no column `{name}`, and it is no .npy or .npz file",
            nearest(name, pool.frame.columns),
        )
    if not Path(source).is_file():
        raise PoolError(f"there is no file `{name}`", "look at the path")
    return _npy(name) if suffix == ".npy" else _npz(pool, name)


def _npy(path: str) -> _Found:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(path, error) from None
    values, notices = _floats(f"`{path}`", array)
    return f"`{path}`", values, notices


def _npz(pool: Pool, path: str) -> _Found:
    name = f"`{path}`"
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            arrays = {key: archive[key] for key in ("embeddings", "ids") if key in names}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise _unreadable(path, error) from None
    if "embeddings" not in arrays:
        raise PoolError(
            f"{name} has no array `embeddings`: it has {named(names)}",
            "save it with `numpy.savez(path, ids=..., embeddings=...)`",
        )
    values, notices = _floats(name, arrays["embeddings"])
    if "ids" not in arrays:
        return name, values, [*notices, f"{name} has no `ids`: its rows are taken in order"]
    order, more = _order(pool, arrays["ids"], len(values), name)
    ordered = cast("Floats", np.ascontiguousarray(values[order]))
    return name, ordered, [*notices, *more]


def _order(
    pool: Pool, ids: NDArray[np.generic], rows: int, name: str
) -> tuple[NDArray[np.int64], list[str]]:
    """Find the row of each sample by its id."""
    own = pool.ids
    if own is None:
        raise PoolError(f"{name} goes by ids, and the pool has none", "name them with `--id-col`")
    if ids.shape != (rows,):
        raise PoolError(f"{name} has {rows:,} embeddings and ids of shape {ids.shape}", _SAVE)
    theirs = pl.Series("id", [str(value) for value in ids.tolist()], dtype=pl.String)
    twice = theirs.is_duplicated().arg_true()
    if len(twice):
        raise PoolError(f"{name} has the id `{theirs[int(twice[0])]}` more than once", _SAVE)
    places = pl.DataFrame([theirs]).with_row_index("place")
    found = pl.DataFrame([own]).join(places, on="id", how="left", maintain_order="left")
    missing = found["place"].is_null().arg_true()
    if len(missing):
        row = int(missing[0])
        raise PoolError(
            f"{name} has no embedding for {counted(len(missing), 'sample')} "
            f"(first: row {row}, id `{own[row]}`)",
            "embed the whole pool",
        )
    spare = rows - found["place"].n_unique()
    notices = [f"{name} has {counted(spare, 'row')} of no sample"] if spare else []
    return found["place"].cast(pl.Int64).to_numpy(), notices


_SAVE = "save one id and one row per sample"


def _column(pool: Pool, name: str) -> _Found:
    column = pool.frame[name]
    what = f"column `{name}`"
    if isinstance(column.dtype, pl.Array) and column.dtype.shape:
        column = column.arr.to_list()
    dtype = column.dtype
    if not isinstance(dtype, pl.List) or not dtype.inner.is_numeric():
        raise PoolError(
            f"{what} holds {dtype}, not lists of numbers", "name another column, or an .npy file"
        )
    wanted = column.list.len().drop_nulls().head(1).to_list()
    wrong = (column.list.len().fill_null(0) != (wanted or [0])[0]).arg_true()
    if len(wrong):
        row = int(wrong[0])
        has = 0 if column[row] is None else len(column[row])
        raise PoolError(
            f"row {row} of {what} has {counted(has, 'number')}, the first one has {wanted[0]}",
            "embed all samples with the same model",
        )
    flat = column.explode(empty_as_null=False)
    if flat.null_count():
        row = int(flat.is_null().arg_true()[0]) // wanted[0]
        raise PoolError(f"row {row} of {what} holds a null", "embed that sample again")
    values, notices = _floats(what, flat.to_numpy().reshape(len(column), -1))
    return what, values, notices


def _floats(name: str, array: NDArray[np.generic]) -> tuple[Floats, list[str]]:
    """Check that it is a matrix of floats, in a layout the core takes without a copy."""
    if array.ndim != 2:  # noqa: PLR2004
        raise PoolError(
            f"{name} has shape {array.shape}, not (samples, dimensions)", "save one row per sample"
        )
    if array.shape[1] == 0:
        raise PoolError(f"{name} has rows of no dimensions", "embed the samples again")
    if array.dtype in {np.dtype(np.float32), np.dtype(np.float16)}:
        floats = cast("Floats", array)
        if floats.flags.c_contiguous:
            return floats, []
        copied = cast("Floats", np.ascontiguousarray(floats))
        return copied, [f"{name} is not stored row by row and was copied"]
    if array.dtype.kind == "f":
        copy = np.empty(array.shape, np.float32)
        with np.errstate(over="ignore"):  # What overflows is infinite, and refused below.
            copy[...] = array
        return copy, [f"{name} is {array.dtype} and was converted to float32"]
    raise PoolError(
        f"{name} is {array.dtype}, not float32 or float16",
        "convert it with `numpy.save(path, array.astype('float32'))`",
    )


def _check_rows(name: str, values: Floats) -> None:
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        finite = np.isfinite(block)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise PoolError(
                f"{name} is not finite: {block[row, column]} in row {start + row}, column {column}",
                "embed that sample again",
            )
        zero = ~block.any(axis=1)
        if zero.any():
            row = int(zero.argmax())
            raise PoolError(
                f"row {start + row} of {name} is zero, and has no direction to compare",
                "embed that sample again, or remove it from the pool",
            )


def _unreadable(path: str, error: Exception) -> PoolError:
    if isinstance(error, OSError) and error.strerror:
        return PoolError(f"cannot read `{path}`: {error.strerror.lower()}", "look at the file")
    reason = str(error).splitlines()[0].rstrip(".")
    return PoolError(
        f"`{path}` is not a numpy file: {reason}", "save it with `numpy.save(path, embeddings)`"
    )
