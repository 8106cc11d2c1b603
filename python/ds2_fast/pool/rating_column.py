"""A column of ratings in one of its many forms, to one whole number per row."""

from __future__ import annotations

import json
from dataclasses import dataclass

import polars as pl
from polars.exceptions import PolarsError

from ds2_fast.errors import PoolError
from ds2_fast.pool.numbers import find_column
from ds2_fast.pool.phrases import counted
from ds2_fast.pool.pool import Pool

OVERALL = ("overall", "overall_rating", "overall rating", "score")
RATINGS = 4
"""Ratings in a list: rarity, complexity, informativeness, and overall, which is the one used."""
SHOWN = 40
"""Characters of a value that an error shows."""


@dataclass(frozen=True)
class Ratings:
    """The ratings of a column.

    Attributes:
        numbers: Float64 `(N,)`, whole numbers, null = unrated.
        failed: Boolean `(N,)`, rows that are lists of zeros.
        notices: what to tell the user.
    """

    numbers: pl.Series
    failed: pl.Series
    notices: tuple[str, ...]


def rating_column(pool: Pool, name: str) -> pl.Series:
    """Give a column, or the field `b` of a struct column `a` where `name` is `a.b`.

    Raises:
        PoolError: there is none of that name.
    """
    return find_column(pool, name, "--score-col")


def read_ratings(pool: Pool, name: str) -> Ratings:
    """Read one whole number per row: a number, text of one, or the overall one of several.

    Raises:
        PoolError: no such column, or a value that is no whole number, with its row.
    """
    column = rating_column(pool, name)
    if name in pool.encoded or (column.dtype == pl.String and _starts_list(column)):
        column = _decoded(column, name)
    notices = []
    if isinstance(column.dtype, pl.Struct):
        fields = [each.name for each in column.dtype.fields]
        overall = _overall(fields, name)
        notices.append(f"`{name}` counts by its field `{overall}`")
        column = column.struct.field(overall)
    failed = pl.repeat(False, len(column), eager=True)
    if isinstance(column.dtype, pl.List | pl.Array):
        lists = _lists_of_four(column, name)
        failed = ((lists.list.max() == 0) & (lists.list.min() == 0)).fill_null(False)
        notices.append(f"`{name}` counts by the last of its {RATINGS} ratings, the overall one")
        column = lists.list.last()
    numbers = _floats(column, name)
    nans = int(numbers.is_nan().sum())
    if nans:
        notices.append(f"NaN in `{name}` counts as unrated: {counted(nans, 'sample')}")
    return Ratings(_whole(numbers.fill_nan(None), name), failed, tuple(notices))


def _overall(fields: list[str], name: str) -> str:
    for field_name in fields:
        if field_name.lower() in OVERALL:
            return field_name
    raise PoolError(
        f"column `{name}` is a struct without a field `overall`",
        f"name a field, for example `--score-col {name}.{fields[0]}`",
    )


def _starts_list(column: pl.Series) -> bool:
    first = column.drop_nulls().head(1).to_list()
    return bool(first) and first[0].lstrip().startswith("[")


def _decoded(column: pl.Series, name: str) -> pl.Series:
    """Decode JSON text to lists, or to text of numbers."""
    values = []
    for row, text in enumerate(column.to_list()):
        try:
            values.append(None if text is None else json.loads(text))
        except ValueError:
            raise _not_a_rating(row, name, text) from None
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {list}:
        for row, value in enumerate(values):
            if value and not all(isinstance(each, int | float) for each in value):
                raise _not_a_rating(row, name, json.dumps(value))
        lists = [None if value is None else [float(each) for each in value] for value in values]
        return pl.Series(values=lists, dtype=pl.List(pl.Float64))
    texts = [
        value if value is None or isinstance(value, str) else json.dumps(value) for value in values
    ]
    return pl.Series(values=texts, dtype=pl.String)


def _lists_of_four(column: pl.Series, name: str) -> pl.Series:
    try:
        lists = column.cast(pl.List(pl.Float64))
    except PolarsError:
        raise PoolError(
            f"column `{name}` holds {column.dtype}, not ratings",
            "name another column with `--score-col`",
        ) from None
    other = (lists.list.len() != RATINGS).fill_null(False).arg_true()
    if len(other):
        row = int(other[0])
        raise PoolError(
            f"row {row} of column `{name}` is a list of {len(lists[row])}, not of {RATINGS} "
            "ratings (rarity, complexity, informativeness, overall)",
            "name another column with `--score-col`",
        )
    return lists


def _floats(column: pl.Series, name: str) -> pl.Series:
    if column.dtype.is_numeric() or column.dtype == pl.Null:
        return column.cast(pl.Float64)
    if column.dtype != pl.String:
        raise PoolError(
            f"column `{name}` holds {column.dtype}, not ratings",
            "name another column with `--score-col`",
        )
    text = column.str.strip_chars()
    text = pl.select(pl.when(text != "").then(text)).to_series()
    numbers = text.cast(pl.Float64, strict=False)
    wrong = (numbers.is_null() & text.is_not_null()).arg_true()
    if len(wrong):
        row = int(wrong[0])
        raise _not_a_rating(row, name, text[row])
    return numbers


def _whole(numbers: pl.Series, name: str) -> pl.Series:
    fraction = (numbers.is_infinite() | (numbers != numbers.round())).fill_null(False).arg_true()
    if len(fraction):
        row = int(fraction[0])
        raise PoolError(
            f"row {row} of column `{name}` is {numbers[row]:g}, which is no whole number",
            "put the ratings into whole numbers first, for example into five bins",
        )
    return numbers


def _not_a_rating(row: int, name: str, text: str) -> PoolError:
    cut = text if len(text) <= SHOWN else text[:SHOWN] + "..."
    return PoolError(
        f"row {row} of column `{name}` is `{cut}`, which is no rating",
        "leave the cell empty where there is no rating, or name another column with `--score-col`",
    )
