"""A finished run as one Parquet file that a viewer of embeddings opens as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.atomic import atomic_path
from ds2_fast.figures.projection import project_rows

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.knn import Neighbors
    from ds2_fast.pool import Pool

SHOWN = 15
"""Neighbors of each sample that a viewer gets."""


def write_atlas(
    pool: Pool,
    sheet: pl.DataFrame,
    rows: NDArray[Any],
    graph: Neighbors,
    path: str | Path,
    *,
    seed: int,
) -> Path:
    """Write every sample with its text, what the run found, its place on a map and its neighbors.

    Columns: the pool's own, `text` (unless the pool has a column of that name), the `ds2_` columns,
    `projection_x` and `projection_y` (`project_rows`), and `neighbors`, `{"ids", "distances"}`: the
    rows of the 15 nearest samples and their cosine distances `1 - similarity`. These are the names
    and the form that embedding-atlas takes; Spotlight, pandas and polars open the file too.

    Args:
        pool: the pool.
        sheet: its score sheet.
        rows: `(N, d)`, the features.
        graph: the neighbors.
        path: the .parquet file.
        seed: of the projection.

    Returns:
        The path.

    Raises:
        RunError: the folder cannot be written, or the disk is full.

    Cost: O(Nd), and about 130 bytes a sample besides text and scores.
    """
    import polars as pl

    places = project_rows(rows, seed=seed)
    near = slice(0, min(SHOWN, graph.indices.shape[1]))
    distances = 1 - np.asarray(graph.similarities[:, near], dtype=np.float32)
    ids = np.asarray(graph.indices[:, near], dtype=np.uint32)
    lists = pl.DataFrame({"ids": ids, "distances": np.maximum(distances, 0)})
    lists = lists.select(pl.all().arr.to_list())
    own = [column for column in pool.frame if column.name not in {*sheet.columns, *_MADE}]
    columns = {
        "text": pool.text,
        **{column.name: column for column in (*own, *sheet)},
        "projection_x": places[:, 0],
        "projection_y": places[:, 1],
        "neighbors": lists.to_struct(),
    }
    with atomic_path(path) as temporary:
        pl.DataFrame(columns).write_parquet(temporary)
    return Path(path)


_MADE = frozenset({"projection_x", "projection_y", "neighbors"})
