"""A map of the pool: its features in the two directions in which they differ most."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

FITTED = 2048
"""Rows that the directions are found from."""

SHOWN = 3000
"""Samples of the pool on the map, drawn at random."""

SHOWN_SELECTED = 1000
"""Samples of the selection that are added, drawn at random."""

_BLOCK = 4096
_EXTRA, _ROUNDS, _DEPENDENT = 6, 6, 1e-9


def project_pool(rows: NDArray[Any], selected: NDArray[np.bool_], *, seed: int) -> dict[str, Any]:
    """Lay a part of the pool out in two dimensions.

    The two leading principal components of 2,048 rows of unit length, drawn at random, found by
    subspace iteration from a random start; shown are 3,000 samples of the pool and 1,000 of the
    selection, drawn at random without replacement (all, if there are no more).

    Args:
        rows: `(N, d)`, the features.
        selected: bool `(N,)`.
        seed: of everything drawn.

    Returns:
        `rows`: the rows shown, ascending; `x`, `y`: their places, rounded to 4 digits; `drawn`: how
        many of them were drawn from the pool; `explained`: share of the variance of the 2,048 rows
        that the two directions hold, null if they do not vary.

    Source: principal components by randomized subspace iteration (Halko, Martinsson, Tropp 2011).
    O(2048 d) whatever N. Sums are taken in one order, so threads do not change a digit.
    """
    rng = np.random.default_rng(seed)
    known = _unit(rows, _draw(rng, np.arange(len(rows)), FITTED))
    drawn = _draw(rng, np.arange(len(rows)), SHOWN)
    shown = np.union1d(drawn, _draw(rng, np.flatnonzero(selected), SHOWN_SELECTED))
    center = known.mean(axis=0)
    directions = _directions(known - center, rng)
    places = _seen(_unit(rows, shown) - center, directions)
    total = float(np.square(known - center).sum())
    held = float(np.square(_seen(known - center, directions)).sum())
    return {
        "rows": shown.tolist(),
        "x": np.round(places[:, 0], 4).tolist(),
        "y": np.round(places[:, 1], 4).tolist(),
        "drawn": len(drawn),
        "explained": held / total if total > 0 else None,
    }


def project_rows(rows: NDArray[Any], *, seed: int) -> NDArray[np.float32]:
    """Lay every sample out in two dimensions.

    The two leading principal components of 2,048 rows of unit length, drawn at random, as in
    `project_pool`.

    Args:
        rows: `(N, d)`, the features.
        seed: of the rows drawn.

    Returns:
        float32 `(N, 2)`.

    Source: as `project_pool`. O(Nd), block by block.
    """
    rng = np.random.default_rng(seed)
    known = _unit(rows, _draw(rng, np.arange(len(rows)), FITTED))
    center = known.mean(axis=0)
    directions = _directions(known - center, rng)
    places = np.empty((len(rows), 2), dtype=np.float32)
    for start in range(0, len(rows), _BLOCK):
        at = np.arange(start, min(start + _BLOCK, len(rows)))
        places[at] = _seen(_unit(rows, at) - center, directions)
    return places


def _draw(rng: np.random.Generator, rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return np.sort(rng.choice(rows, most, replace=False))


def _unit(rows: NDArray[Any], at: NDArray[np.int64]) -> NDArray[np.float32]:
    found = rows[at].astype(np.float32)
    length = np.sqrt(np.einsum("nd,nd->n", found, found))
    return np.asarray(found / np.where(length > 0, length, 1)[:, None], dtype=np.float32)


def _seen(centered: NDArray[np.float32], directions: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(np.einsum("nd,dk->nk", centered, directions.astype(np.float32)))


def _directions(centered: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float64]:
    """Find the two leading right singular vectors, float64 `(d, 2)`.

    `einsum` and not `@`: a parallel product may add in another order on another machine.
    """
    dim = centered.shape[1]
    width = min(dim, 2 + _EXTRA)
    basis = _orthonormal(rng.standard_normal((dim, width)))
    for _ in range(_ROUNDS):
        seen = np.einsum("nd,dk->nk", centered, basis.astype(np.float32))
        basis = _orthonormal(np.einsum("nd,nk->dk", centered, seen).astype(np.float64))
    seen = np.einsum("nd,dk->nk", centered, basis.astype(np.float32))
    _, turn = np.linalg.eigh(np.einsum("nk,nl->kl", seen, seen).astype(np.float64))
    found = np.zeros((dim, 2))
    found[:, : min(2, width)] = np.einsum("dk,kl->dl", basis, turn[:, ::-1][:, :2])
    # A direction and its opposite are equally good: let the largest part of each be positive.
    largest = np.abs(found).argmax(axis=0)
    return found * np.where(found[largest, [0, 1]] < 0, -1.0, 1.0)


def _orthonormal(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gram-Schmidt, twice over; a vector that depends on those before it becomes zero."""
    basis = vectors / max(float(np.abs(vectors).max()), np.finfo(np.float64).tiny)
    for place in range(basis.shape[1]):
        own = basis[:, place].copy()
        length = float(np.sqrt(np.einsum("d,d->", own, own)))
        for _ in range(2):
            known = np.einsum("dk,d->k", basis[:, :place], own)
            own -= np.einsum("dk,k->d", basis[:, :place], known)
        left = float(np.sqrt(np.einsum("d,d->", own, own)))
        basis[:, place] = own / left if left > _DEPENDENT * length else 0.0
    return basis
