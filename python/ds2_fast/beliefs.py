"""What a finished run believes of every sample's true score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.errors import RunError
from ds2_fast.explaining.finished import FinishedRun

# So little that neighbors say nothing: for runs whose curation was switched off or had none.
_UNHEARD = (1, 1e-9)


def find_beliefs(run: FinishedRun, others: Sequence[NDArray[np.int8]] = ()) -> NDArray[np.float64]:
    """The posterior of every sample's true score, by the run and by raters it has not heard.

    It is the one that curation decided by; of several raters the mean of theirs, so that raters who
    disagree leave a doubt. Where others rated a sample too, half of it is what they said.

    Args:
        run: a finished run.
        others: int8 `(N,)` each, classes of raters the run does not stand on, -1 = unrated.

    Returns:
        float64 `(N, K)`, rows sum to 1.

    Raises:
        RunError: if the raters of the run differ in K.

    Cost: O(N R (k + K^2)).
    """
    found = [_of_rater(run, place) for place in range(len(run.raters))]
    if len({each.shape[1] for each in found}) > 1:
        raise RunError(
            f"the raters of `{run.path}` have different numbers of classes",
            "bring them to one scale with `--scale`, and select again",
        )
    own = np.asarray(np.mean(found, axis=0))
    classes = own.shape[1]
    said = np.zeros_like(own)
    for other in others:
        known = np.flatnonzero((other >= 0) & (other < classes))
        said[known, other[known]] += 1
    heard = said.sum(axis=1, keepdims=True)
    return np.where(heard > 0, 0.5 * own + 0.5 * said / np.maximum(heard, 1), own)


def _of_rater(run: FinishedRun, place: int) -> NDArray[np.float64]:
    """The posterior by one rater of the run: that of its curation."""
    transition, curated = run.curation(place)
    scores, calibration = run.scores(place), run.calibration(place)
    rows = np.arange(len(scores), dtype=np.uint32)
    k, beta = _UNHEARD
    if curated.neighbor_k is not None and curated.beta is not None:
        k, beta = curated.neighbor_k, curated.beta
    heard = (scores, run.graph.indices, transition.T, transition.p, k, beta)
    audit = calibration.audit
    if audit is not None and curated.neighbor_k is not None:
        return _core.audited_posteriors(*heard, audit.T, audit.p, audit.gamma, rows)
    return _core.posteriors(*heard, calibration.noise_share, rows)
