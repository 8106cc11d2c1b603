"""What work takes: measured here in a second or so, or a constant that was measured before."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.knn import find_neighbors, need_of

if TYPE_CHECKING:
    from ds2_fast.embedding import Embedder
    from ds2_fast.pool import Pool

# Two virtual cores of an EPYC, Alpaca, 2026-11-21; see benches/results.
TEXTS_A_SECOND = 115.0
LEXICAL_SECONDS = 3.0 / 52_002
AFTER_GRAPH_SECONDS = 0.8 / 52_002
REPORT_SECONDS = 1.3
INDEX_SECONDS = 317.0 / 2 / 300_000
"""A row of the index on one thread; its 317 s of two cores count half."""
APPROX_SHARE = {50_000: 0.58, 300_000: 0.1}
"""Time of the approximate search as a share of the exact one, by rows."""
ANSWER_BYTES = 1200
"""A rating in the journal and the table, at most about."""
SHEET_BYTES = 160
"""A row of the score sheet, the curated scores and the map."""
PROGRAM_BYTES = 150_000_000
"""The program and its libraries: 127 MB were resident after a run of a small pool."""
MODEL_BYTES = 250_000_000
"""An embedding model at work: 216 MB more with all-MiniLM-L6-v2."""
CONSTANT = "a constant measured on two cores"
_TEXTS = 96
_ROWS = 8192
_GROWTH = 1.5


def embedding_rate(embedder: Embedder, pool: Pool) -> float:
    """Measure how many of the pool's texts a model embeds a second, on some drawn evenly.

    Cost: about a second.
    """
    rows = np.unique(np.linspace(0, len(pool) - 1, _TEXTS).astype(int))
    texts = pool.text[rows.tolist()].to_list()
    embedder.embed(texts[:1])
    started = perf_counter()
    embedder.embed(texts)
    return len(texts) / (perf_counter() - started)


def graph_seconds(  # noqa: PLR0917
    rows: int,
    dim: int,
    k: int,
    method: str,
    threads: int | None,
    features: NDArray[Any] | None = None,
) -> float:
    """Estimate a neighbor search from a smaller one, timed here.

    The time of up to 8,192 rows grows with the power 1.5 of the rows: the search skips what cannot
    be near. Right within a factor of two on 52,002 and on a million rows.

    Args:
        rows: N.
        dim: d.
        k: neighbors per row.
        method: `exact`, `approx` or `usearch`.
        threads: at most so many.
        features: the rows, to draw from; None for made ones, among which it takes longer.

    Cost: about half a second.
    """
    if method == "usearch":
        return rows * INDEX_SECONDS
    drawn = np.random.default_rng(42).standard_normal((min(rows, _ROWS), dim), np.float32)
    if features is not None:
        drawn = features[np.unique(np.linspace(0, rows - 1, _ROWS).astype(int))]
    width = min(k, len(drawn) - 1)
    started = perf_counter()
    find_neighbors(drawn, width, threads=threads, allow_zero=True)
    exact = float((perf_counter() - started) * (rows / len(drawn)) ** _GROWTH)
    if method == "exact":
        return exact
    known = sorted(APPROX_SHARE)
    logs = np.interp(np.log(rows), np.log(known), np.log([APPROX_SHARE[at] for at in known]))
    return exact * float(np.exp(logs))


def graph_memory(rows: int, dim: int, k: int, method: str) -> int:
    """Bytes that a search takes at most, as it checks itself before it starts."""
    return need_of(method, rows, dim, k).memory
