"""Numbers that a user has: columns of the pool, and `.npy` files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.pool.phrases import nearest
from ds2_fast.pool.pool import Pool


def find_column(pool: Pool, name: str, option: str) -> pl.Series:
    """Give a column, or the field `b` of a struct column `a` where `name` is `a.b`.

    Args:
        pool: the pool.
        name: of the column.
        option: that named it, for errors.

    Raises:
        PoolError: there is none of that name.
    """
    if name in pool.frame.columns:
        return pool.frame[name]
    parent, _, child = name.partition(".")
    dtype = pool.frame.schema.get(parent)
    if not child or dtype is None:
        raise PoolError(
            f"the pool has no column `{name}` (`{option}`)", nearest(name, pool.frame.columns)
        )
    fields = [each.name for each in dtype.fields] if isinstance(dtype, pl.Struct) else []
    if child not in fields:
        raise PoolError(
            f"column `{parent}` has no field `{child}`", nearest(child, fields, "fields")
        )
    return pool.frame[parent].struct.field(child)


def read_numbers(pool: Pool, name: str, option: str) -> NDArray[np.float64]:
    """Read one number per sample: numbers, truth values, or text of numbers.

    Args:
        pool: the pool.
        name: of the column.
        option: that named it, for errors.

    Returns:
        float64 `(N,)`, NaN where the column is null or NaN.

    Raises:
        PoolError: there is no such column, or a value is no number or infinite, with its row.
    """
    column = find_column(pool, name, option)
    if (
        column.dtype.is_nested()
        or column.dtype in (pl.Binary, pl.Object)
        or column.dtype.is_temporal()
    ):
        raise PoolError(
            f"column `{name}` holds {column.dtype}, not numbers", f"name another with `{option}`"
        )
    text = column.str.strip_chars() if column.dtype == pl.String else column
    numbers = text.cast(pl.Float64, strict=False)
    wrong = (numbers.is_null() & text.is_not_null() | numbers.is_infinite()).fill_null(False)
    if wrong.any():
        row = int(wrong.arg_true()[0])
        raise PoolError(
            f"row {row} of column `{name}` is `{str(text[row])[:40]}`, not a finite number",
            f"mend the row, or name another column with `{option}`",
        )
    return numbers.fill_null(np.nan).to_numpy()


def load_array(file: str | Path, option: str) -> NDArray[Any]:
    """Map an `.npy` file of floats of one or two dimensions, read-only.

    Args:
        file: its path.
        option: that named it, for errors.

    Raises:
        PoolError: it cannot be read, or is not that.
    """
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PoolError(
            f"cannot read `{file}` (`{option}`): {str(reason).lower()}",
            "name an .npy file of numbers",
        ) from None
    if array.dtype.kind != "f" or array.ndim not in (1, 2):
        raise PoolError(
            f"`{file}` (`{option}`) holds {array.dtype} {array.shape}, not floats of one or two "
            "dimensions",
            "save it with `numpy.save` as float32 or float16",
        )
    return array
