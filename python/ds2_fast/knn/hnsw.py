"""A persistent approximate index of unit rows: usearch, with every choice made explicitly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.knn.cosine import unit_rows
from ds2_fast.progress import Progress, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

LIBRARY = "usearch"
_BLOCK = 1024  # rows between two calls of progress


_TRIAL_SECONDS = 120
_TRIAL = """
import numpy as np
from usearch.index import Index

index = Index(ndim=24, metric="cos", dtype="f16")
rows = np.eye(24, dtype=np.float32)
index.add(np.arange(24, dtype=np.uint64), rows, threads=1)
assert np.array_equal(index.search(rows, 2).keys[:, 0], np.arange(24))
"""


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
            _load_runtime()
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


@cache
def survives() -> None:
    """Try the library in another process, once, so that its crash is not this one's.

    Compiled code that does not suit a processor or a system ends the process without a word; what
    it does to a trial with a few rows, it does there.

    Raises:
        IndexFailedError: the trial did not end well.
    """
    if not sys.executable:  # an interpreter inside another program cannot start itself
        return
    with _named("be tried"):
        done = subprocess.run(
            [sys.executable, "-P", "-c", _TRIAL],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRIAL_SECONDS,
            check=False,
        )
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        died = f"died with signal {-done.returncode}" if done.returncode < 0 else "failed"
        raise IndexFailedError(
            f"{LIBRARY} {died} when it was tried" + "".join(f": {line}" for line in last)
        )


def version() -> str:
    """The version of the library, which decides an index as its rows do.

    Raises:
        IndexFailedError: the library cannot be loaded.
    """
    with _named("be loaded"):
        _load_runtime()
        import usearch

        return str(usearch.__version__)


def _load_runtime() -> None:
    """Load onnxruntime before usearch; a text may have to be embedded later in this process.

    The other way around, loading onnxruntime ends the process: both bring parts of the C++ library
    that the system then shares between them (usearch 2.26.6, onnxruntime 1.31.1, Linux; neither
    RTLD_LOCAL nor RTLD_DEEPBIND helps). It takes 60 milliseconds.
    """
    with suppress(ImportError):
        import onnxruntime

        onnxruntime.disable_telemetry_events()


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Give the library's many exceptions one name; interrupts pass."""
    try:
        yield
    except (
        ImportError, OSError, RuntimeError, ValueError, TypeError, AttributeError, MemoryError,
        AssertionError, subprocess.SubprocessError,
    ) as error:  # fmt: skip
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise IndexFailedError(f"{LIBRARY} could not {what}: {reason}") from error
