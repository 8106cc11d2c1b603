"""A persistent approximate index of unit rows: usearch, with every choice made explicitly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.knn.cosine import unit_rows
from ds2_fast.progress import Progress, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIBRARY = "usearch"
_BLOCK = 1024  # rows between two calls of progress


class IndexFailedError(Exception):
    """The library that keeps the index cannot be loaded, or failed; the message says at what."""


@dataclass(frozen=True)
class HnswSettings:
    """What decides an index besides its rows.

    Attributes:
        dtype: numbers in which rows are kept. Always said: the library's own default has changed
            between versions, and `bf16` and `i8` give wrong neighbors in some of them.
        metric: `cos`; rows are scaled to unit length first, as float16 cannot hold long ones.
        connectivity: links per row, twice as many on the lowest level.
        expansion_add: candidates looked at when a row is added.
    """

    dtype: str = "f16"
    metric: str = "cos"
    connectivity: int = 16
    expansion_add: int = 128

    def to_dict(self) -> dict[str, int | str]:
        """Write it as JSON-able values."""
        return asdict(self)


DEFAULT_SETTINGS = HnswSettings()


class Hnsw:
    """An index of rows by cosine similarity; a row's key is its number.

    Rows are added by one thread, in order. The library draws levels from a generator seeded alike
    each time, so the same rows give the same bytes, on the same machine and version; with several
    threads the links depend on who comes first, and no two builds are alike. Searching changes
    nothing and uses every thread.

    Args:
        dim: d.
        settings: how it is built.

    Raises:
        IndexFailedError: the library cannot be loaded.
    """

    def __init__(self, dim: int, settings: HnswSettings = DEFAULT_SETTINGS) -> None:
        self.settings = settings
        self.dim = dim
        with _named("be loaded"):
            from usearch.index import Index

            self._index: Any = Index(
                ndim=dim,
                metric=settings.metric,
                dtype=settings.dtype,
                connectivity=settings.connectivity,
                expansion_add=settings.expansion_add,
            )

    def __len__(self) -> int:
        """Count the rows."""
        return len(self._index)

    def add(self, rows: NDArray[Any], *, first: int = 0, progress: Progress = silent) -> None:
        """Add rows under the keys `first`, `first + 1`, and so on; rows of zeros are left out.

        Args:
            rows: float32 or float16 `(n, d)`, finite, of any length.
            first: key of the first.
            progress: called with rows done and n; raising stops the work.

        Raises:
            IndexFailedError: the library failed.

        Cost: about 0.5 ms a row of 384 (52,002 rows), growing with log N.
        """
        progress(0, len(rows))
        for start in range(0, len(rows), _BLOCK):
            block = unit_rows(rows[start : start + _BLOCK])
            kept = np.flatnonzero(block.any(axis=1))
            keys = (kept + first + start).astype(np.uint64)
            if len(kept):
                with _named("add rows"):
                    self._index.add(keys, block[kept], threads=1)
            progress(min(start + _BLOCK, len(rows)), len(rows))

    def search(
        self, queries: NDArray[Any], count: int, *, expansion: int, threads: int | None = None
    ) -> NDArray[np.int64]:
        """Find about the `count` nearest rows of each query.

        Args:
            queries: float32 or float16 `(m, d)`.
            count: how many, at least 1.
            expansion: candidates looked at, at least `count`; more find more.
            threads: at most so many; None for all. The result does not depend on it.

        Returns:
            int64 `(m, count)`, keys, in no order to rely on; -1 where there is none.

        Raises:
            IndexFailedError: the library failed.
        """
        if not len(queries) or not len(self):
            return np.full((len(queries), count), -1, np.int64)
        with _named("search"):
            self._index.expansion_search = max(expansion, count)
            found = self._index.search(unit_rows(queries), count, threads=threads or 0)
        keys = np.array(found.keys, np.int64).reshape(len(queries), -1)
        # A single query comes back without its count; what it has is all there is.
        counts = np.reshape(getattr(found, "counts", keys.shape[1]), (-1, 1))
        result = np.full((len(queries), count), -1, np.int64)
        result[:, : keys.shape[1]] = np.where(np.arange(keys.shape[1]) < counts, keys, -1)
        return result

    def save(self, path: Path) -> None:
        """Write the index to a file.

        Raises:
            OSError: the file cannot be written.
        """
        try:
            self._index.save(str(path))
        except RuntimeError as error:
            raise OSError(None, str(error), str(path)) from error

    @classmethod
    def open(cls, path: Path, dim: int, settings: HnswSettings = DEFAULT_SETTINGS) -> Hnsw:
        """Read an index into memory. The file must be one that `save` wrote, unchanged.

        Raises:
            IndexFailedError: the library cannot read it, or it is of other rows or settings.
        """
        index = cls(dim, settings)
        with _named(f"read `{path}`"):
            index._index.load(str(path))
        found = (index._index.ndim, index._index.connectivity, index._index.dtype.name.lower())
        if found != (dim, settings.connectivity, settings.dtype):
            raise IndexFailedError(f"`{path}` was built with other settings: {found}")
        return index


def version() -> str:
    """The version of the library, which decides an index as its rows do.

    Raises:
        IndexFailedError: the library cannot be loaded.
    """
    with _named("be loaded"):
        import usearch

        return str(usearch.__version__)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Give the library's many exceptions one name; interrupts pass."""
    try:
        yield
    except (
        ImportError, OSError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError,
        AssertionError,
    ) as error:  # fmt: skip
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise IndexFailedError(f"{LIBRARY} could not {what}: {reason}") from error
