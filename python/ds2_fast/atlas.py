"""A finished run as one Parquet file that a viewer of embeddings opens as it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ds2_fast.atomic import atomic_path

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool


def write_atlas(pool: Pool, sheet: pl.DataFrame, path: str | Path) -> Path:
    """Write the score sheet with the samples: `scores.parquet`, and what they say.

    Columns: the pool's own, `text` (unless the pool has a column of that name), and those of the
    score sheet, `projection_x`, `projection_y` and `neighbors` among them
    (`ds2_fast.scoresheet.score_sheet`). A column of the pool with the name of one of the sheet's is
    left out. embedding-atlas, Spotlight, pandas and polars open the file.

    Args:
        pool: the pool.
        sheet: its score sheet.
        path: the .parquet file.

    Returns:
        The path.

    Raises:
        RunError: the folder cannot be written, or the disk is full.
    """
    import polars as pl

    own = [column for column in pool.frame if column.name not in sheet.columns]
    columns = {"text": pool.text, **{column.name: column for column in (*own, *sheet)}}
    with atomic_path(path) as temporary:
        pl.DataFrame(columns).write_parquet(temporary)
    return Path(path)
