"""Samples that were added to a run: one table, which holds all there is to know of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.atomic import atomic_path
from ds2_fast.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

TABLE = "added.parquet"
_FEATURES = "ds2_features"


@dataclass(frozen=True)
class Added:
    """The samples added to a run, in the order in which they came.

    Attributes:
        ids: their ids, None where one has none.
        texts: their texts, None where only an embedding was given.
        sources: where they came from, a word or a file name.
        rows: float32 `(A, d)`, their embeddings.
    """

    ids: tuple[str | None, ...]
    texts: tuple[str | None, ...]
    sources: tuple[str, ...]
    rows: NDArray[np.float32]

    def __len__(self) -> int:
        """Count them."""
        return len(self.rows)

    def with_more(
        self,
        rows: NDArray[np.float32],
        ids: Sequence[str | None],
        texts: Sequence[str | None],
        source: str,
    ) -> Added:
        """Put more behind them."""
        return Added(
            (*self.ids, *ids),
            (*self.texts, *texts),
            (*self.sources, *[source] * len(rows)),
            np.concatenate([self.rows, rows]),
        )


def load_added(run: Path, dim: int, digest: str) -> Added:
    """Read the samples added to a run.

    Args:
        run: the run directory.
        dim: columns of its embeddings.
        digest: of its embeddings.

    Returns:
        What was added; nothing if there is no table.

    Raises:
        RunError: if the table is damaged, or its samples have a place among other embeddings.
    """
    import polars as pl
    from polars.exceptions import PolarsError

    file = run / TABLE
    if not file.is_file():
        return Added((), (), (), np.empty((0, dim), np.float32))
    try:
        belongs = pl.read_parquet_metadata(file).get(_FEATURES)
        table = pl.read_parquet(file)
        rows = np.ascontiguousarray(table["embedding"].to_numpy().reshape(len(table), -1))
        columns = [tuple(table[name].to_list()) for name in ("ds2_id", "text", "source")]
    except (OSError, PolarsError) as error:
        raise RunError(
            f"`{file}` is damaged: {str(error).splitlines()[0]}",
            "remove it, and add the samples again",
        ) from error
    if belongs != digest or rows.shape[1:] != (dim,):
        raise RunError(
            f"`{file}` belongs to other embeddings than `{run}` has now",
            "move it away, and add the samples again",
        )
    return Added(columns[0], columns[1], columns[2], rows.astype(np.float32, copy=False))


def save_added(run: Path, added: Added, digest: str) -> None:
    """Write the samples added to a run, atomically; see `load_added`."""
    with atomic_path(run / TABLE) as temporary:
        _table(added).write_parquet(temporary, metadata={_FEATURES: digest})


def _table(added: Added) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(
        {
            "ds2_id": pl.Series(added.ids, dtype=pl.String),
            "text": pl.Series(added.texts, dtype=pl.String),
            "source": pl.Series(added.sources, dtype=pl.String),
            "embedding": pl.Series(added.rows, dtype=pl.Array(pl.Float32, added.rows.shape[1])),
        }
    )
