"""What each rater gave a sample, and what curation made of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.explaining.explanation import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ds2_fast.calibration import AuditFit
    from ds2_fast.curation import Curated
    from ds2_fast.explaining.finished import FinishedRun
    from ds2_fast.transition import Transition

_UNRATED = -1


def reach_verdicts(run: FinishedRun, row: int) -> tuple[Verdict, ...]:
    """Gather what each rater gave a sample, and how curation decided.

    Args:
        run: the run.
        row: the sample.

    Raises:
        RunError: if files of the run are gone or have changed.
    """
    return tuple(_verdict(run, row, place) for place in range(len(run.raters)))


def _verdict(run: FinishedRun, row: int, place: int) -> Verdict:
    name, sheet = run.raters[place], run.sheet
    transition, curated = run.curation(place)
    scores = run.scores(place)
    own, now = int(scores[row]), int(curated.curated[row])
    part = run.report["scores"] if name is None else run.report["raters"][place]
    classes = tuple(part["classes"])
    audit = run.calibration(place).audit
    posterior, alone = _posteriors(run, place, transition, curated, row)
    raw = sheet["ds2_score_raw" if name is None else f"ds2_score_raw_{name}"][row]
    status = sheet["ds2_rating_status"][row] if name is None else ("unrated" if own < 0 else "ok")
    return Verdict(
        rater=_rater(run, place),
        raw=raw,
        status=status,
        criteria=_criteria(run, row),
        classes=classes,
        score=None if own < 0 else own,
        curated=None if now < 0 else now,
        suggested=int(curated.suggested[row]) if curated.suggested[row] >= 0 else None,
        expected=_known(curated.expected[row]),
        posterior=posterior,
        neighbors_say=alone,
        heard=_heard(run, scores, curated, row, len(classes)),
        noise=_known(curated.p_misrated[row]),
        neighbor_k=curated.neighbor_k,
        beta=curated.beta,
        noise_share=curated.noise_share,
        mode=curated.mode,
        why=_why(curated, audit, row, own, classes),
    )


def _rater(run: FinishedRun, place: int) -> str:
    name = run.raters[place]
    if name is not None:
        return name
    if run.ratings is not None:
        return str(run.ratings.summary["model"])
    source = str(run.report["scores"]["source"])
    return source.split("`")[1] if "`" in source else source


def _posteriors(
    run: FinishedRun, place: int, transition: Transition, curated: Curated, row: int
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """The posterior of the sample, and the same as if it were unrated."""
    k, beta, share = curated.neighbor_k, curated.beta, curated.noise_share
    audit, scores = run.calibration(place).audit, run.scores(place)
    if k is None or beta is None:
        return None, None
    heard = (run.graph.indices, transition.T, transition.p, k, beta)
    at = np.array([row], dtype=np.uint32)

    def given(own: NDArray[np.int8]) -> tuple[float, ...]:
        if audit is not None:
            found = _core.audited_posteriors(own, *heard, audit.T, audit.p, audit.gamma, at)
        else:
            assert share is not None, "without an audit the share is known or assumed"
            found = _core.posteriors(own, *heard, share, at)
        return tuple(found[0].tolist())

    unrated = scores.copy()
    unrated[row] = _UNRATED
    return given(scores), given(unrated)


def _heard(
    run: FinishedRun, scores: NDArray[np.int8], curated: Curated, row: int, classes: int
) -> tuple[int, ...] | None:
    """How many of the neighbors that curation heard have each class."""
    if curated.neighbor_k is None:
        return None
    given = scores[run.graph.indices[row, : curated.neighbor_k]]
    return tuple(np.bincount(given[given >= 0], minlength=classes).tolist())


def _criteria(run: FinishedRun, row: int) -> dict[str, Any]:
    if run.ratings is None:
        return {}
    hidden = {"score", "status", "key", "overall", "expected", "chances", "expected_from"}
    found: Mapping[str, Any] = run.ratings.frame.row(row, named=True)
    return {name: value for name, value in found.items() if name not in hidden}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _why(
    curated: Curated, audit: AuditFit | None, row: int, own: int, classes: tuple[str, ...]
) -> str:
    """Say what was done with the score."""
    now, best = int(curated.curated[row]), int(curated.suggested[row])
    if own < 0:
        told = "unrated, so it is neither corrected nor selected"
        return told if best < 0 else f"{told}; its neighbors suggest {classes[best]}"
    if curated.switched_off:
        return f"no score of the pool was changed: {curated.switched_off}"
    if curated.mode == "none":
        return "no score was to be curated"
    sure = _known(curated.confidence[row])
    certain = "" if sure is None else f" with a probability of {sure:.0%}"
    if now != own:
        return f"changed from {classes[own]} to {classes[now]}, which it deserves{certain}"
    if best == own:
        return f"kept: it is what the sample most likely deserves{certain}"
    audited = audit is not None and not audit.relabels
    reason = "the audit keeps every label" if audited else "which is too little to change it"
    return f"kept: {classes[best]} would be likelier{certain}, {reason}"
