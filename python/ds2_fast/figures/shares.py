"""How much of each group was kept: by source, language, any named group, and length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.quotas import read_groups

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool

KNOWN = {
    "source": ("source", "dataset", "dataset_name", "data_source", "subset", "origin", "_source"),
    "language": ("language", "lang", "locale"),
}
"""Columns that are looked for, by what they tell."""

MOST_GROUPS = 1000
"""Groups beyond which a column that nobody named is taken for something else."""

PARTS = 5
"""Parts of equal size that the pool's lengths are cut into."""


def share_groups(pool: Pool, selected: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Count pool and selection by the groups of every column that tells some.

    That is the column of `--group-col`, and those of a known name with 2 to 1,000 values.

    Args:
        pool: the pool.
        selected: bool `(N,)`.

    Returns:
        For each column its name, what it tells (`source`, `language` or `group`), and `groups`: of
        each its name, its samples and those selected, the largest first.
    """
    return [
        {"column": column.name, "tells": tells, "groups": _count(column, selected)}
        for tells, column in _columns(pool)
    ]


def _columns(pool: Pool) -> list[tuple[str, pl.Series]]:
    named = pool.schema.group
    found = [] if named is None else [("group", pool.frame[named])]
    for tells, names in KNOWN.items():
        for name in names:
            if name in pool.frame.columns and name != named:
                column = pool.frame[name]
                if _tells_groups(column):
                    found.append((tells, column))
    return found


def _tells_groups(column: pl.Series) -> bool:
    return not column.dtype.is_nested() and 1 < column.n_unique() <= MOST_GROUPS


def _count(column: pl.Series, selected: NDArray[np.bool_]) -> list[dict[str, Any]]:
    groups = read_groups(column)
    size = len(groups.names)
    pool = np.bincount(groups.codes, minlength=size).tolist()
    taken = np.bincount(groups.codes[selected], minlength=size).tolist()
    rows = [
        {"group": name, "samples": samples, "selected": chosen}
        for name, samples, chosen in zip(groups.names, pool, taken, strict=True)
    ]
    return sorted(rows, key=lambda row: -row["samples"])


def share_lengths(lengths: NDArray[np.int64], selected: NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Count pool and selection by length: five parts with as many samples of the pool each.

    Args:
        lengths: int64 `(N,)`, characters of each text.
        selected: bool `(N,)`.

    Returns:
        For each part its shortest and longest length, its samples and those selected, the shortest
        first. Equal lengths share a part, so parts can differ in size or be fewer.

    Example:
        >>> share_lengths(np.array([1, 1, 1, 1, 9]), np.array([True, False, False, False, True]))
        [{'from': 1, 'to': 1, 'samples': 4, 'selected': 1}, \
{'from': 9, 'to': 9, 'samples': 1, 'selected': 1}]
    """
    inner = np.percentile(lengths, np.linspace(0, 100, PARTS + 1)[1:-1], method="lower")
    part = np.searchsorted(inner, lengths, side="left")
    found = []
    for place in np.unique(part).tolist():
        inside = part == place
        own = lengths[inside]
        found.append(
            {
                "from": int(own.min()),
                "to": int(own.max()),
                "samples": len(own),
                "selected": int(np.count_nonzero(selected & inside)),
            }
        )
    return found
