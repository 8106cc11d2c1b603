"""Rows and frames to files of every kind."""

from __future__ import annotations

import bz2
import json
import lzma
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ds2_fast.errors import PoolError
from ds2_fast.pool.columns import to_json

if TYPE_CHECKING:
    from polars._typing import PolarsDataType


def write_frame(frame: pl.DataFrame, path: Path, kind: str, compression: str | None) -> None:
    """Write a frame as parquet, arrow, csv or tsv.

    Raises:
        PoolError: a column of bytes is to be written as text.
        polars.exceptions.PolarsError: the format cannot hold a column.
    """
    if kind == "parquet":
        frame.write_parquet(path)
    elif kind == "arrow":
        # The oldest layout: string views are not read everywhere yet.
        frame.write_ipc(path, compat_level=pl.CompatLevel.oldest())
    else:
        _refuse_bytes(frame)
        cells = frame.select(_cells(column) for column in frame)
        _write_text(cells, path, compression, separator="\t" if kind == "tsv" else ",")


def write_rows(rows: pl.Series, path: Path, kind: str, compression: str | None) -> None:
    """Write JSON texts as the lines of a .jsonl file, or as the array of a .json file."""
    if kind == "json":
        ends = [","] * (len(rows) - 1) + [""] if len(rows) else []
        lines = rows.alias("line") + pl.Series(values=ends, dtype=pl.String)
        lines = pl.concat([_texts(["["]), lines, _texts(["]"])])
    elif rows.str.contains("\n", literal=True).any():
        # Rows of a .json file may be spread over lines, which .jsonl does not allow.
        lines = _texts([to_json(json.loads(row)) if "\n" in row else row for row in rows.to_list()])
    else:
        lines = rows.alias("line")
    # A table of one column without header and quotes: polars writes and compresses the lines.
    _write_text(lines.to_frame(), path, compression, is_lines=True)


def encode_rows(frame: pl.DataFrame) -> pl.Series:
    """Encode each row as one JSON object, nulls included.

    Raises:
        PoolError: a column holds bytes.
    """
    _refuse_bytes(frame)
    return frame.select(pl.struct(pl.all()).struct.json_encode().alias("line")).to_series()


def _texts(lines: list[str]) -> pl.Series:
    return pl.Series("line", lines, dtype=pl.String)


def _cells(column: pl.Series) -> pl.Series:
    """Give the cells of a column as CSV can hold them: lists and objects as JSON text."""
    if not column.dtype.is_nested():
        return column
    wrapped = encode_rows(column.alias("v").to_frame())
    text = wrapped.str.slice(len('{"v":')).str.head(-1)
    return pl.select(pl.when(text != "null").then(text).alias(column.name)).to_series()


def _refuse_bytes(frame: pl.DataFrame) -> None:
    for name, dtype in frame.schema.items():
        if _holds_bytes(dtype):
            raise PoolError(
                f"column `{name}` holds bytes, which is no text", "write .parquet or .arrow"
            )


def _holds_bytes(dtype: PolarsDataType) -> bool:
    if isinstance(dtype, pl.Struct):
        return any(_holds_bytes(inner) for inner in dict(dtype).values())
    if isinstance(dtype, pl.List | pl.Array):
        return _holds_bytes(dtype.inner)
    return dtype in {pl.Binary, pl.Object}


def _write_text(
    frame: pl.DataFrame,
    path: Path,
    compression: str | None,
    *,
    separator: str = ",",
    is_lines: bool = False,
) -> None:
    write = partial(
        frame.write_csv,
        separator=separator,
        include_header=not is_lines,
        quote_style="never" if is_lines else "necessary",
    )
    if compression == "bz2":
        path.write_bytes(bz2.compress(write().encode()))
    elif compression == "xz":
        path.write_bytes(lzma.compress(write().encode()))
    elif compression == "gzip" or compression == "zstd":  # noqa: PLR1714 - narrows the type
        write(path, compression=compression, check_extension=False)
    else:
        write(path, check_extension=False)
