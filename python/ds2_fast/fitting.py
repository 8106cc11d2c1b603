"""What each curation mode needs: how wide a graph, and which fit of T and p."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.knn import Neighbors
from ds2_fast.presets import GRAPH_WIDTH
from ds2_fast.published import (
    ADAM_STEPS,
    ReferenceTransition,
    fit_transition_reference,
    neighbors_needed,
)
from ds2_fast.transition import Transition, fit_transition

_BLOCK = 4096  # rows


def graph_width(curation: str, k: int, rows: int) -> int:
    """Say how many neighbors the graph holds: enough for every stage, at most `rows - 1`."""
    wanted = neighbors_needed(rows) if curation == "reference" else GRAPH_WIDTH
    return min(max(wanted, k), rows - 1)


def check_rated(scores: NDArray[np.int8], neighbors: Neighbors) -> None:
    """See that some sample can be compared with its two nearest neighbors, as T needs.

    Args:
        scores: int8 `(N,)`, -1 = unrated.
        neighbors: the k-NN graph.

    Raises:
        PoolError: if too few samples are rated.
    """
    if not _some_sample_has(scores, neighbors, min(2, neighbors.indices.shape[1]), 2):
        raise PoolError(
            f"too few samples are rated: {np.count_nonzero(scores >= 0):,} of {len(scores):,}, and "
            "none of them has two nearest neighbors that are rated",
            "rate more of the pool, or select from the rated samples alone",
        )


def fit(
    scores: NDArray[np.int8], neighbors: Neighbors, num_classes: int, mode: str, k: int
) -> Transition:
    """Fit T and p as a curation mode wants them.

    `bayes` and `none`: all pairs of the k nearest neighbors, ordinal prior. `paper`: the two
    nearest neighbors, weak uniform prior. `reference`: the published code's expected counts and
    Adam steps.

    Args:
        scores: int8 `(N,)`, -1 = unrated.
        neighbors: the k-NN graph.
        num_classes: K.
        mode: the curation mode.
        k: neighbors counted in `bayes` and `none`.

    Raises:
        PoolError: if too few samples are rated for any to be counted.
        ValueError: if the graph is narrower than the mode needs.
    """
    _check_countable(scores, neighbors, mode, k)
    if mode == "paper":
        return fit_transition(
            scores, neighbors, num_classes=num_classes, k=2, prior="uniform", strength=1.0
        )
    if mode == "reference":
        return in_common_form(fit_transition_reference(scores, neighbors.indices, num_classes))
    return fit_transition(scores, neighbors, num_classes=num_classes, k=k)


def _check_countable(scores: NDArray[np.int8], neighbors: Neighbors, mode: str, k: int) -> None:
    """Refuse a pool in which no rated sample has the rated neighbors a count takes."""
    width = neighbors.indices.shape[1]
    heard = min({"paper": 2, "reference": width}.get(mode, k), width)
    # The published code counts a sample's own copy as one neighbor, and each neighbor twice.
    least = 1 if mode == "reference" else 2
    if not _some_sample_has(scores, neighbors, least, heard):
        raise PoolError(
            f"too few samples are rated, {np.count_nonzero(scores >= 0):,} of {len(scores):,}: "
            f"none has {least} rated among its {heard} nearest neighbors",
            "rate more samples, or leave the unrated ones out of the pool",
        )


def _some_sample_has(
    scores: NDArray[np.int8], neighbors: Neighbors, least: int, heard: int
) -> bool:
    """Say whether a rated sample has `least` rated ones among its `heard` nearest neighbors."""
    rated = scores >= 0
    # A block at a time: nearly always the first says yes.
    for start in range(0, len(rated), _BLOCK):
        rows = slice(start, start + _BLOCK)
        found = np.count_nonzero(rated[neighbors.indices[rows, :heard]], axis=1)
        if np.any(rated[rows] & (found >= least)):
            return True
    return False


def in_common_form(found: ReferenceTransition) -> Transition:
    """Take the published code's fit to the common form: no prior, a fixed number of steps.

    A score is ambiguous if it occurs and another row of T gives it more often than its own.
    """
    marginal = found.c3.sum(axis=(1, 2)) + found.c3.sum(axis=(0, 2)) + found.c3.sum(axis=(0, 1))
    elsewhere = found.T.argmax(axis=0) != np.arange(found.num_classes)
    return Transition(
        num_classes=found.num_classes,
        T=found.T,
        p=found.p,
        counts=found.c3 * found.rated,
        k=2,
        prior="none",
        strength=0.0,
        steps=ADAM_STEPS,
        converged=True,
        objective=-found.loss,
        degenerate=found.degenerate,
        unidentified=(),
        ambiguous=tuple(np.flatnonzero(elsewhere & (marginal > 0)).tolist()),
        warnings=found.warnings,
    )
