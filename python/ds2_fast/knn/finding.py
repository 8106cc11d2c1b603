"""The methods to find neighbors with, and the one door to them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, get_args

from ds2_fast.knn import approx, exact, indexed
from ds2_fast.knn.graph import GraphInfo, Neighbors
from ds2_fast.knn.hnsw import IndexFailedError
from ds2_fast.knn.need import Need
from ds2_fast.knn.reading import map_embeddings
from ds2_fast.knn.recall import RecallMissedError
from ds2_fast.knn.request import Request
from ds2_fast.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MethodName = Literal["exact", "approx", "usearch", "auto"]

EXACT_ROWS = 300_000
"""Rows up to which `auto` compares all pairs: seconds, where the approximate method saves few."""


@dataclass(frozen=True)
class Method:
    """A way to find neighbors.

    Attributes:
        find: finds them.
        need: bytes it takes for `(N, d, k)`.
        measured: whether its recall is measured, and so depends on the recall asked for.
    """

    find: Callable[[Request], Neighbors]
    need: Callable[[int, int, int], Need]
    measured: bool


METHODS: dict[str, Method] = {
    "exact": Method(exact.find, exact.need, measured=False),
    "approx": Method(approx.find, approx.need, measured=True),
    "usearch": Method(indexed.find, indexed.need, measured=True),
}

FAILURES = (IndexFailedError, RecallMissedError)
"""What a method may raise; the exact one then takes its place, and says so."""


def check_choice(method: str, recall: float) -> None:
    """Refuse a method there is not, and a recall that is no share.

    Raises:
        ValueError: if `method` is no name of `MethodName`, or `recall` is not in (0, 1].
    """
    if method not in get_args(MethodName):
        names = ", ".join(get_args(MethodName))
        raise ValueError(f"method: expected one of {names}, got {method!r}")
    if not 0 < recall <= 1:
        raise ValueError(f"recall must lie in (0, 1], got {recall:g}")
    if method == "approx" and recall == 1:
        raise ValueError("`approx` finds nearly all neighbors; for a recall of 1 take `exact`")


def choose_method(method: str, rows: int, recall: float) -> tuple[str, str]:
    """Decide on the method.

    Args:
        method: a name of `MethodName`, checked.
        rows: N.
        recall: the share of the true neighbors that is enough.

    Returns:
        A name of `METHODS`, and why, in a sentence.
    """
    if method != "auto":
        return method, "asked for"
    if rows <= EXACT_ROWS:
        return "exact", f"the exact search is quick enough for {rows:,} rows"
    if recall == 1:
        return "exact", "a recall of 1 was asked for"
    return (
        "approx",
        f"{rows:,} rows are more than {EXACT_ROWS:,}, and nearly all neighbors are enough",
    )


def need_of(method: str, rows: int, dim: int, k: int) -> Need:
    """Say what a method takes at most, in bytes.

    Args:
        method: a name of `METHODS`.
        rows: N.
        dim: d.
        k: neighbors per row.
    """
    return METHODS[method].need(rows, dim, k)


def find_neighbors(
    embeddings: NDArray[np.float32] | NDArray[np.float16] | str | Path,
    k: int = 10,
    *,
    method: MethodName = "exact",
    recall: float = 0.99,
    threads: int | None = None,
    allow_zero: bool = False,
    progress: Progress = silent,
    say: Callable[[str], object] | None = None,
) -> Neighbors:
    """Find the `k` most similar other samples of every sample.

    The similarity of rows x and y is the cosine `x.y / sqrt(x.x * y.y)`, summed in float64 and
    rounded to float32. The neighbors are the first `k` of all other rows by similarity descending,
    then row ascending; equal rows are neighbors of each other.

    `exact` compares every pair; its result is the same, byte for byte, for any number of threads
    and on any machine. `approx` compares each row with the rows of the clusters near it: the
    similarities are as true, some neighbors are missed, no more than `recall` allows, which is
    measured on 1,000 rows whose true neighbors are computed; fewer than 8,192 rows are searched
    exactly. Its result, too, is the same everywhere. `usearch` compares each row with the
    candidates an HNSW index names: as true, as incomplete and measured in the same way. Its result
    is the same for any number of threads, on the same machine and version of usearch. Where
    it misses the recall asked for, or the library fails, the exact method is used instead, and
    `info.notices` and `say` tell of it.

    Args:
        embeddings: float32 or float16 `(N, d)`, C-contiguous, finite; rows need not have unit
            length. An array, a memory map (neither is copied), or the path of a `.npy` file, which
            is mapped.
        k: neighbors per sample, 1 <= k < N.
        method: `exact`, `approx`, `usearch`, or `auto`: `exact` up to 300,000 rows, else `approx`.
        recall: share of the true neighbors that is enough, in (0, 1]; `exact` finds all.
        threads: threads to use, at least 1; None = one per core.
        allow_zero: accept rows of zeros, whose similarity to every row is 0.
        progress: called with rows done and N; raising stops the search.
        say: called with each sentence of `info.notices`; None issues a `RuntimeWarning`.

    Returns:
        The neighbors, `(N, k)` uint32 and float32, and `info`: the method, why, the recall and its
        95 % interval, seconds.

    Raises:
        TypeError: if `embeddings` is of another type, dtype or number of dimensions.
        ValueError: if k or threads is 0, N <= k, the array is not C-contiguous, a value is not
            finite or a row all zeros (the message names the first), or `method` or `recall` is not
            one.
        PoolError: if the file at the path cannot be read as embeddings.

    Cost: `exact`: at most `N^2 d` operations on bytes (52,002 x 384: 2 s on two cores); beside the
    result about `d + 60` bytes a row. `approx`: `O(N^1.5 d)`. `usearch`: O(N log N d), about a
    millisecond a row.

    Source: the DS2 paper, arXiv 2410.10877, k-NN score clusterability. Deviation: D2 (a row is not
    its own neighbor), D3 (one graph of the whole pool), D5 (similarities not in float16).

    >>> import numpy as np
    >>> rows = np.array([[1, 0], [0, 2], [3, 1]], dtype=np.float32)
    >>> find_neighbors(rows, k=1).indices.tolist()
    [[2], [2], [0]]
    """
    check_choice(method, recall)
    if isinstance(embeddings, str | Path):
        embeddings = map_embeddings(embeddings)
    rows = len(embeddings) if hasattr(embeddings, "__len__") else 0
    chosen, why = choose_method(method, rows, recall)
    request = Request(embeddings, k, recall, threads, allow_zero, progress)
    found = run(chosen, METHODS[chosen].find, request, asked=method, why=why)
    for notice in found.info.notices if found.info else ():
        if say is None:
            warnings.warn(notice, RuntimeWarning, stacklevel=2)
        else:
            say(notice)
    return found


def run(
    name: str,
    find: Callable[[Request], Neighbors],
    request: Request,
    *,
    asked: str,
    why: str,
) -> Neighbors:
    """Find neighbors, exactly where the method fails, and complete what is known of them.

    Args:
        name: of the method.
        find: finds the neighbors with it.
        request: what is wanted.
        asked: the name that was asked for.
        why: why this method.
    """
    started = perf_counter()
    notices: tuple[str, ...] = ()
    try:
        found = find(request)
    except FAILURES as failure:
        notices = (f"{failure}: the neighbors are found exactly instead",)
        why = f"`{name}` failed"
        found = METHODS["exact"].find(request)
    changes: dict[str, Any] = {"asked": asked, "why": why, "seconds": perf_counter() - started}
    return replace(found, info=_completed(found.info, changes, notices))


def _completed(
    info: GraphInfo | None, changes: dict[str, Any], notices: tuple[str, ...]
) -> GraphInfo:
    assert info is not None, "every method says how it found its graph"
    return replace(info, **changes, notices=(*info.notices, *notices))
