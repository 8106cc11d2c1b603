"""Which fit of T and p belongs to which curation mode."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ds2_fast.knn import Neighbors
from ds2_fast.published import ADAM_STEPS, ReferenceTransition, fit_transition_reference
from ds2_fast.transition import Transition, fit_transition


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
        ValueError: if the graph is narrower than the mode needs, or no sample can be counted.
    """
    if mode == "paper":
        return fit_transition(
            scores, neighbors, num_classes=num_classes, k=2, prior="uniform", strength=1.0
        )
    if mode == "reference":
        return _published(fit_transition_reference(scores, neighbors.indices, num_classes))
    return fit_transition(scores, neighbors, num_classes=num_classes, k=k)


def _published(found: ReferenceTransition) -> Transition:
    """The published code's fit in the common form: no prior, a fixed number of steps."""
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
        ambiguous=tuple(np.flatnonzero(found.T.argmax(axis=0) != np.arange(found.num_classes))),
    )
