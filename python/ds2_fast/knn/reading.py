"""Embeddings and neighbor graphs, read from files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast import _core
from ds2_fast.errors import PoolError
from ds2_fast.knn.graph import Neighbors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_MATRIX = 2  # dimensions of an (N, d) or (N, k) array

ROUNDING = 1e-5
"""How far outside [-1, 1] a cosine computed elsewhere may lie and still be taken for rounding."""


def map_embeddings(path: str | Path) -> NDArray[np.float32] | NDArray[np.float16]:
    """Map a `.npy` file of embeddings into memory, read-only.

    Args:
        path: a float32 or float16 `(N, d)` array in C order, as `np.save` writes it.

    Returns:
        The mapped array.

    Raises:
        PoolError: if the file does not exist or holds anything else.
    """
    hint = "save them with np.save(path, np.ascontiguousarray(embeddings, dtype=np.float32))"
    try:
        # `open_memmap` reads nothing but `.npy`; `np.load` would try zip files and pickles as well.
        array = np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise PoolError(f"there is no embeddings file `{path}`") from None
    except (OSError, ValueError) as error:
        raise PoolError(f"`{path}` cannot be read as a .npy file: {error}", hint) from error
    if array.ndim != _MATRIX or array.dtype not in (np.dtype("<f4"), np.dtype("<f2")):
        got = f"{array.dtype} {array.shape}"
        raise PoolError(f"`{path}`: expected float32 or float16 (N, d), got {got}", hint)
    if not array.flags.c_contiguous:
        raise PoolError(f"`{path}`: expected rows in C order, got Fortran order", hint)
    return array


def load_graph(path: str | Path, *, rows: int | None = None) -> Neighbors:
    """Read a neighbor graph made elsewhere from an `.npz` file.

    The file holds `indices` `(N, k)`, any integer type, and either `similarities` `(N, k)`,
    cosines, or `distances` `(N, k)`, cosine distances `1 - similarity`; any float type. Nearest
    first, the row itself left out. Values become uint32 and float32; neighbors equally similar are
    put in order of their rows, and similarities outside [-1, 1] by at most 1e-5 are taken for
    rounding and cut off.

    Args:
        path: the `.npz` file.
        rows: how many samples the pool has; None = do not compare.

    Returns:
        The neighbors.

    Raises:
        PoolError: if the file cannot be read, an array is missing, or the graph breaks a rule (the
            message names the first row and column).
    """
    if not Path(path).is_file():
        raise PoolError(f"there is no graph file `{path}`")
    if not zipfile.is_zipfile(path):
        raise PoolError(f"`{path}` is not an .npz file", _GRAPH_HINT)
    try:
        with np.load(path, allow_pickle=False) as file:
            indices, similarities = _graph_arrays(file)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise PoolError(f"`{path}`: {error}", _GRAPH_HINT) from error
    if rows is not None and len(indices) != rows:
        raise PoolError(f"`{path}` has neighbors of {len(indices)} samples, the pool has {rows}")
    try:
        _core.check_graph(indices, similarities)
    except ValueError as error:
        raise PoolError(f"`{path}`: {error}", _GRAPH_HINT) from error
    return Neighbors(indices, similarities)


_GRAPH_HINT = (
    "a graph is an .npz file with `indices` and `similarities` (or cosine `distances`), "
    "both (N, k), nearest first, without the row itself"
)


def _graph_arrays(
    file: Mapping[str, NDArray[Any]],
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Take the arrays of a graph file to the types and the order of ties that `Neighbors` has."""
    given = [name for name in ("similarities", "distances") if name in file]
    if "indices" not in file or len(given) != 1:
        names = ", ".join(f"`{name}`" for name in file) or "nothing"
        raise ValueError(
            f"expected `indices` and one of `similarities` and `distances`, got {names}"
        )
    indices, values = file["indices"], file[given[0]]
    if indices.ndim != _MATRIX or indices.dtype.kind not in "iu":
        got = f"{indices.dtype} {indices.shape}"
        raise ValueError(f"indices: expected integers (N, k), got {got}")
    if values.shape != indices.shape or values.dtype.kind != "f":
        raise ValueError(
            f"{given[0]}: expected floats {indices.shape}, got {values.dtype} {values.shape}"
        )
    unfit = np.argwhere((indices < 0) | (indices > np.iinfo(np.uint32).max))
    if len(unfit):
        row, column = unfit[0]
        raise ValueError(f"row {row}, column {column}: {indices[row, column]} is not a row")
    cosines = values if given[0] == "similarities" else 1.0 - values.astype(np.float64)
    outside = np.abs(cosines) > 1.0
    rounded = outside & (np.abs(cosines) <= 1.0 + ROUNDING)
    similarities = np.where(rounded, np.sign(cosines), cosines).astype(np.float32)
    return _order_ties(indices.astype(np.uint32), similarities)


def _order_ties(
    indices: NDArray[np.uint32], similarities: NDArray[np.float32]
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Order equally similar neighbors by row; what is not sorted is left alone, to be refused."""
    if np.all(similarities[:, 1:] <= similarities[:, :-1]):
        order = np.lexsort((indices, -similarities), axis=-1)
        indices = np.take_along_axis(indices, order, axis=-1)
    return np.ascontiguousarray(indices), np.ascontiguousarray(similarities)
