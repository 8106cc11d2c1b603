"""Length bias: whether longer texts have better scores, and whether that decides the selection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.agreement import jsonable, spearman

QUARTERS = (25, 50, 75)


def compare_lengths(
    lengths: NDArray[np.int64],
    scores: NDArray[np.int8],
    selected: NDArray[np.bool_],
    *,
    num_classes: int,
    seed: int,
    values: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Compare text lengths by score, in the pool, the selection and a random control.

    Args:
        lengths: int64 `(N,)`, characters of each text.
        scores: int8 `(N,)`, as rated, -1 = unrated.
        selected: bool `(N,)`.
        num_classes: K.
        seed: of the control.
        values: float64 `(N,)`, NaN = none: what the lengths are correlated with; None = `scores`.

    Returns:
        For `pool` (the rated samples), `selected` and `control` (as many rated samples, drawn at
        random without replacement): how many `samples`, the `quarters` of their lengths, the
        `spearman` rank correlation of length and score, and `classes`: for each score its samples
        and quarters. Without a selection the last two are null.
    """
    rated = np.flatnonzero(scores >= 0)
    chosen = np.flatnonzero(selected)
    found: dict[str, Any] = {"pool": rated, "selected": None, "control": None}
    if len(chosen):
        drawn = np.random.default_rng(seed).choice(rated, len(chosen), replace=False)
        found |= {"selected": chosen, "control": np.sort(drawn)}
    against = scores.astype(np.float64) if values is None else values
    return {
        name: None
        if rows is None
        else _lengths(lengths[rows], scores[rows], against[rows], num_classes)
        for name, rows in found.items()
    }


def _lengths(
    lengths: NDArray[np.int64],
    scores: NDArray[np.int8],
    against: NDArray[np.float64],
    num_classes: int,
) -> dict[str, Any]:
    by_class = [lengths[scores == score] for score in range(num_classes)]
    rank = spearman(lengths.astype(np.float64), against)
    return {
        "samples": len(lengths),
        "quarters": _quarters(lengths),
        "spearman": jsonable(rank),
        "classes": [{"samples": len(part), "quarters": _quarters(part)} for part in by_class],
    }


def _quarters(lengths: NDArray[np.int64]) -> list[float] | None:
    return np.percentile(lengths, QUARTERS).tolist() if len(lengths) else None
