"""Objects in memory to one frame, by what they can do and not by the library they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from ds2_fast.errors import PoolError
from ds2_fast.pool.columns import to_json, type_columns
from ds2_fast.pool.json_rows import rows_to_frame
from ds2_fast.pool.tables import Table


def table_of(source: object, split: str = "train") -> Table:
    """Read a frame, a dataset, or an iterable of mappings.

    Args:
        source: a polars frame or lazy frame, a pandas frame, a Hugging Face `Dataset` or
            `DatasetDict`, anything with `to_polars()` or the Arrow stream protocol, or an iterable
            of mappings.
        split: the part to read of a `DatasetDict`.

    Raises:
        TypeError: it is none of these.
        PoolError: its values cannot be put into columns, or it has no such split.
    """
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if isinstance(source, Mapping) and all(
        hasattr(part, "column_names") for part in source.values()
    ):
        if split not in source:
            raise PoolError(f"the dataset has no split `{split}`", f"it has {list(source)}")
        source = source[split]
    if isinstance(source, pl.DataFrame):
        return _table(source)
    if hasattr(source, "to_polars"):
        return _table(source.to_polars())
    if hasattr(source, "columns") and hasattr(source, "to_dict"):
        return _pandas(source)
    if hasattr(source, "__arrow_c_stream__"):
        return _table(pl.DataFrame(source))
    if hasattr(source, "column_names") and hasattr(source, "to_dict"):
        return _typed(source.to_dict())
    if isinstance(source, Iterable) and not isinstance(source, str | bytes | Mapping):
        return _mappings(source)
    raise TypeError(
        "source: expected a path, a frame, a dataset or an iterable of mappings, "
        f"got {type(source).__name__}"
    )


def _table(frame: pl.DataFrame) -> Table:
    return Table(frame, counts=(len(frame),))


def _pandas(source: Any) -> Table:  # noqa: ANN401 - a pandas frame, which is no dependency
    columns = {}
    for name in source.columns:
        values = source[name].tolist()
        # pandas writes a missing value of any type as NaN.
        columns[str(name)] = [None if value != value else value for value in values]  # noqa: PLR0124
    return _typed(columns)


def _typed(columns: dict[str, list[Any]]) -> Table:
    try:
        frame, encoded = type_columns(columns)
    except (TypeError, ValueError, PolarsError) as error:
        raise _no_column(error) from None
    return Table(frame, None, encoded, (len(frame),))


def _mappings(source: Iterable[object]) -> Table:
    rows = []
    for index, row in enumerate(source):
        if not isinstance(row, Mapping):
            raise TypeError(f"source: expected mappings, got {type(row).__name__} at row {index}")
        rows.append(dict(row))
    try:
        frame, encoded, notices = rows_to_frame(rows)
    except (TypeError, ValueError, PolarsError) as error:
        raise _no_column(error) from None
    return Table(frame, _raw(rows), encoded, (len(frame),), notices)


def _raw(rows: list[dict[str, Any]]) -> pl.Series | None:
    try:
        return pl.Series("raw", list(map(to_json, rows)), dtype=pl.String)
    except (TypeError, ValueError):
        return None  # Dates and arrays have no JSON of their own; the frame has them typed.


def _no_column(error: Exception) -> PoolError:
    first = str(error).splitlines()[0].rstrip(".")
    return PoolError(
        f"the values cannot be put into columns: {first}",
        "pass a polars frame, with the types you mean",
    )
