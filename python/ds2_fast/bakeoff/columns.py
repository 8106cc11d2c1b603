"""The columns of the comparison: what each figure is called, means, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Column:
    """One figure of the table.

    Attributes:
        name: in the report.
        title: over its column, short.
        means: what it is, in one sentence.
        write: its value as text.
    """

    name: str
    title: str
    means: str
    write: Callable[[float], str]


def _points(digits: int) -> Callable[[float], str]:
    return lambda value: f"{value:,.{digits}f}"


def _share(value: float) -> str:
    return f"{value:.1%}"


COLUMNS = (
    Column(
        "coverage_mean",
        "mean dist",
        "mean cosine distance of the pool's samples to the nearest chosen one; low = covered",
        _points(3),
    ),
    Column("coverage_max", "max dist", "the largest of these distances", _points(3)),
    Column(
        "vendi",
        "Vendi",
        "Vendi score, cosine kernel: how many different samples the subset is worth; high = "
        "diverse",
        _points(1),
    ),
    Column(
        "near_duplicates",
        "near dup",
        "share of the subset with another of its samples at a cosine similarity of 0.95 or more",
        _share,
    ),
    Column("longtail", "long tail", "mean long-tail score; high = rare", _points(3)),
    Column("length", "length", "median length of the texts in characters", _points(0)),
    Column(
        "seconds",
        "seconds",
        "seconds the choice took; features, graph and what an earlier strategy made are there",
        _points(2),
    ),
    Column(
        "dollars",
        "dollars",
        "dollars that ratings made in this run cost, where the strategy looks at them",
        _points(2),
    ),
)
"""Measures of a subset, in the order they are shown; those nobody has are left out."""


def columns_of(table: Mapping[str, Any]) -> list[Column]:
    """Give the columns that some strategy of a table has a figure for.

    Args:
        table: of the report.
    """
    return [
        column
        for column in COLUMNS
        if any(column.name in row["measures"] for row in table["strategies"])
    ]


def share_columns(table: Mapping[str, Any]) -> list[str]:
    """Give the columns of the pool whose shares a table tells of, lengths last.

    Args:
        table: of the report.
    """
    rows = (row["shares"] for row in table["strategies"] if row["shares"])
    return [each["column"] for each in next(rows, [])]
