"""Small known work: are neighbors found exactly, how fast, and does the model embed right."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ds2_fast.doctor.finding import Finding
from ds2_fast.errors import ModelError
from ds2_fast.knn import Neighbors, find_neighbors

_ROWS, _DIM, _K = 2000, 64, 10
_FAST_ROWS, _FAST_DIM = 8192, 384
_CLOSE = 1e-5
"""Rounding of a float32 product of 64 numbers of length 1, and much to spare."""
_RECALL = 0.99
_SLOW = 1e8
"""Pairs of 384 dimensions a second: a tenth of one core of the machine the figures of the README
were measured on (2026-11-21)."""
_REPORT = "the result of this machine is wrong: set DS2_FAST_KERNEL=portable, and report it"


def recall() -> Finding:
    """Find the neighbors of made rows, and compare them with every pair's product in numpy."""
    rows = made_rows(_ROWS, _DIM)
    true = rows.astype(np.float64) @ rows.T.astype(np.float64)
    np.fill_diagonal(true, -np.inf)
    best = -np.sort(-true, axis=1)[:, :_K]
    near = find_neighbors(rows, _K, method="approx", recall=_RECALL)
    return judge_recall(find_neighbors(rows, _K), near, true, best)


def judge_recall(
    exact: Neighbors, near: Neighbors, true: NDArray[np.float64], best: NDArray[np.float64]
) -> Finding:
    """Say whether two graphs are as good as they should be.

    Args:
        exact: what the exact method found.
        near: what the approximate one found.
        true: float64 `(N, N)`, all similarities, -inf on the diagonal.
        best: float64 `(N, k)`, the largest of each row, descending.
    """
    named = np.take_along_axis(true, exact.indices.astype(np.int64), axis=1)
    off = max(np.abs(named - best).max(), np.abs(exact.similarities - best).max())
    if not off <= _CLOSE:
        rows = int(np.count_nonzero(np.abs(named - best).max(axis=1) > _CLOSE))
        return Finding(
            "recall",
            "wrong",
            f"exact neighbors are wrong in {rows:,} of {len(true):,} rows",
            _REPORT,
        )
    share = float(np.mean(near.similarities >= best[:, -1:] - _CLOSE))
    if share < _RECALL - 0.01:
        return Finding("recall", "wrong", f"`--knn approx` finds {share:.1%} of them", _REPORT)
    return Finding(
        "recall",
        "ok",
        f"exact neighbors of {len(true):,} made rows are those of brute force; approx finds "
        f"{share:.1%}",
    )


def speed() -> Finding:
    """Time an exact graph of made rows."""
    rate = pairs_a_second()
    words = f"{rate / 1e9:.2f} billion pairs of {_FAST_DIM} dimensions a second"
    if rate < _SLOW:
        return Finding(
            "speed",
            "note",
            f"{words}, which is slow",
            "see with the line `processor` that no slow kernel is chosen, and what else runs",
        )
    return Finding("speed", "ok", words)


def pairs_a_second(dim: int = _FAST_DIM, threads: int | None = None) -> float:
    """Measure how many pairs of rows the exact search compares a second, in about 0.1 s."""
    rows = made_rows(_FAST_ROWS, dim)
    find_neighbors(rows[:64], _K, threads=threads)
    started = perf_counter()
    find_neighbors(rows, _K, threads=threads)
    return float(_FAST_ROWS) ** 2 / (perf_counter() - started)


def made_rows(rows: int, dim: int) -> NDArray[np.float32]:
    """Draw clusters of unit rows, the same ones each time: float32 `(rows, dim)`."""
    rng = np.random.default_rng(42)
    centers = rng.standard_normal((max(1, rows // 20), dim))
    drawn = centers[rng.integers(0, len(centers), rows)] + 0.5 * rng.standard_normal((rows, dim))
    unit: NDArray[np.float32] = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(
        np.float32
    )
    return unit


def model(name: str) -> Finding:
    """Open an embedding model that is at hand, and check it against itself.

    Args:
        name: model name or folder; nothing is fetched.
    """
    from ds2_fast.embedding.resolving import at_hand, resolve_model
    from ds2_fast.embedding.selftest import check_model
    from ds2_fast.embedding.store import ModelStore

    store = ModelStore()
    try:
        if not at_hand(name, store):
            return Finding(
                "model",
                "note",
                f"`{name}` is not at hand",
                f"`ds2-fast model {'import' if Path(name).is_dir() else 'fetch'} {name}`; or "
                "select with `--space lexical` or `--embeddings`",
            )
        embedder = check_model(resolve_model(name, store=store, offline=True), None)
    except ModelError as error:
        return Finding("model", "wrong", error.message, error.hint)
    started = perf_counter()
    embedder.embed([f"A text to see how fast {place} texts are embedded." for place in range(64)])
    rate = 64 / (perf_counter() - started)
    return Finding(
        "model",
        "ok",
        f"{embedder.name}, {embedder.dim} dimensions: a text has the same vector alone and beside "
        f"others; {rate:,.0f} short texts a second on one thread",
    )
