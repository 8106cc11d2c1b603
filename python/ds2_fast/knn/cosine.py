"""Cosine similarities as the core defines them, of the pairs a search in Python has found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LANES = 16  # running sums of the core's dot product
_BLOCK_BYTES = 1 << 24
_PRODUCT_BYTES = 1 << 27
_UNIT = 2.0**-24
_LEAST_SQUARE = 1e-20


def cosines(
    queries: NDArray[Any], rows: NDArray[Any], candidates: NDArray[np.integer[Any]]
) -> NDArray[np.float32]:
    """Compute the similarity of each query with each of its candidates.

    `q.x / sqrt(q.q * x.x)`, summed in float64 in the order of the core (coordinate c goes to sum
    `c mod 16`, the sums are folded in halves), held to [-1, 1] and rounded to float32: the same
    bits as in an exact graph. 0 where either row is all zeros.

    Args:
        queries: float32 or float16 `(m, d)`.
        rows: float32 or float16 `(N, d)`.
        candidates: `(m, c)`, rows.

    Returns:
        float32 `(m, c)`, in [-1, 1].

    Cost: O(m c d) time, 16 MB of memory.
    """
    result = np.empty(candidates.shape, np.float32)
    width, dim = candidates.shape[1], max(1, queries.shape[1])
    step = max(1, _BLOCK_BYTES // (8 * dim * max(1, width)))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        left = queries[part].astype(np.float64)[:, None, :]
        right = rows[candidates[part]].astype(np.float64)
        squares = _sum(left * left) * _sum(right * right)
        with np.errstate(invalid="ignore"):
            values = np.where(squares > 0, _sum(left * right) / np.sqrt(squares), 0.0)
        # Adding zero turns -0 into 0: the order of similarities knows only one zero.
        result[part] = np.clip(values, -1.0, 1.0).astype(np.float32) + np.float32(0)
    return result


def _sum(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum the last axis in the order of the core; products of float32 are exact in float64."""
    dim = products.shape[-1]
    sums = np.zeros((*products.shape[:-1], _LANES))
    for start in range(0, dim, _LANES):
        part = products[..., start : start + _LANES]
        sums[..., : part.shape[-1]] += part
    width = _LANES // 2
    while width:
        sums[..., :width] += sums[..., width : 2 * width]
        width //= 2
    return sums[..., 0]


def first_of(
    candidates: NDArray[np.int64], similarities: NDArray[np.float32], k: int
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Take the k best candidates of each row, by similarity descending, then row ascending.

    Args:
        candidates: `(m, c)`, rows, c >= k.
        similarities: `(m, c)`; -inf for one that is not to be taken.
        k: how many.
    """
    order = np.lexsort((candidates, -similarities), axis=-1)[:, :k]
    indices = np.take_along_axis(candidates, order, axis=-1)
    return indices.astype(np.uint32), np.take_along_axis(similarities, order, axis=-1)


def nearest(
    queries: NDArray[Any],
    rows: NDArray[Any],
    k: int,
    *,
    own: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.uint32], NDArray[np.float32]]:
    """Find the k most similar rows of each query, exactly.

    Products in float32 pass on every row that may be among the k nearest: they are off by at most
    `2 gamma_d + 16u`, `u = 2^-24`, the lengths being of float32 too. The similarities of those are
    then computed as `cosines` defines them, so the result does not depend on how the products were
    summed.

    Args:
        queries: float32 or float16 `(m, d)`, finite.
        rows: float32 or float16 `(N, d)`, finite; only read, a block at a time.
        k: neighbors per query, 1 <= k <= N, or k < N with `own`.
        own: `(m,)`, the row that each query is, which is left out.

    Returns:
        rows uint32 `(m, k)`, by similarity descending, then row ascending; similarities float32
        `(m, k)`.

    Cost: `2 m N d` floating-point operations; 128 MB of memory, or `4 N` bytes if that is more.
    One query among 52,002 rows of 384 takes a seventh of a second.
    """
    indices = np.empty((len(queries), k), np.uint32)
    similarities = np.empty((len(queries), k), np.float32)
    slack = 2 * (2.01 * rows.shape[1] + 16) * _UNIT
    step = max(1, _PRODUCT_BYTES // (4 * max(1, len(rows))))
    for start in range(0, len(queries), step):
        products = _products(queries[start : start + step], rows)
        for place, values in enumerate(products, start):
            if own is not None:
                values[own[place]] = -np.inf
            floor = np.partition(values, len(values) - k)[len(values) - k] - slack
            found = np.flatnonzero(values >= floor)[None, :]
            exact = cosines(queries[place : place + 1], rows, found)
            indices[place], similarities[place] = (part[0] for part in first_of(found, exact, k))
    return indices, similarities


def _products(queries: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float32]:
    """All products of unit rows in float32."""
    left = unit_rows(queries)
    result = np.empty((len(left), len(rows)), np.float32)
    for start, block in unit_blocks(rows):
        np.matmul(left, block.T, out=result[:, start : start + len(block)])
    return result


def unit_rows(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Scale rows to unit length, in float32; rows of zeros stay."""
    unit = rows.astype(np.float32)
    with np.errstate(over="ignore"):
        squares = np.einsum("ij,ij->i", unit, unit)
    if not np.all((squares > _LEAST_SQUARE) & (squares < np.inf) | ~unit.any(axis=1)):
        # Lengths that float32 cannot square: rare, so it may take its time.
        largest = np.abs(unit).max(axis=1, keepdims=True)
        unit /= np.where(largest > 0, largest, 1)
        squares = np.einsum("ij,ij->i", unit, unit)
    unit /= np.sqrt(np.where(squares > 0, squares, 1))[:, None]
    return unit


def unit_blocks(rows: NDArray[Any]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Go through the rows, scaled to unit length, in blocks that fit a cache."""
    step = max(1, _BLOCK_BYTES // (16 * max(1, rows.shape[1])))
    for start in range(0, len(rows), step):
        yield start, unit_rows(rows[start : start + step])
