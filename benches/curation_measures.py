"""What `bench_curation.py` measures: agreement of curated scores with what is known, intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.curation import Curated, curate
from ds2_fast.knn import Neighbors
from ds2_fast.published import ReferenceTransition, fit_transition_reference
from ds2_fast.transition import Transition, fit_transition

Values = NDArray[np.float64]
Scores = NDArray[np.int8]

DEFAULT = "bayes a=0.5"
SHARES = (0.25, 0.5, 0.75, 1.0)
METHODS = ("raw", "paper", "reference", *(f"bayes a={share:g}" for share in SHARES))
PRESET_OF = {"default": DEFAULT, "paper": "paper", "reference": "reference"}
DRAWS = 200
T_QUANTILE = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 10: 2.262}
"""97.5 % quantile of Student's t, by the number of seeds."""


@dataclass(frozen=True)
class Outcome:
    """What one method makes of the scores, and the T it believes."""

    curated: Curated
    transition: Transition | ReferenceTransition


def outcomes(
    scores: Scores,
    neighbors: Neighbors,
    num_classes: int,
    *,
    sample_size: int | None = 50_000,
) -> dict[str, Outcome]:
    """Curate in every mode; T of `raw` is that of the default."""
    ours = fit_transition(scores, neighbors, num_classes=num_classes)
    paper = fit_transition(
        scores, neighbors, num_classes=num_classes, k=2, prior="uniform", strength=1.0
    )
    published = fit_transition_reference(
        scores, neighbors.indices, num_classes, sample_size=sample_size
    )
    runs: dict[str, tuple[Transition | ReferenceTransition, dict[str, Any]]] = {
        "raw": (ours, {"mode": "none"}),
        "paper": (paper, {"mode": "paper"}),
        "reference": (published, {"mode": "reference"}),
    }
    runs |= {f"bayes a={share:g}": (ours, {"noise_share": share}) for share in SHARES}
    return {
        name: Outcome(curate(scores, neighbors, transition, **options), transition)
        for name, (transition, options) in runs.items()
    }


def ranks(values: Values) -> Values:
    """Ranks from 0; ties share their mean."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[places]


def correlation(x: Values, y: Values, weights: Values) -> float:
    """Pearson's correlation of weighted samples: Spearman's, if given ranks."""
    total = weights.sum()
    dx, dy = x - weights @ x / total, y - weights @ y / total
    return float((weights * dx) @ dy / np.sqrt(((weights * dx) @ dx) * ((weights * dy) @ dy)))


def qwk(x: Scores, y: Scores, num_classes: int, weights: Values) -> float:
    """Quadratic weighted kappa of two columns of scores."""
    cells = np.bincount(
        x.astype(np.int64) * num_classes + y, weights=weights, minlength=num_classes**2
    )
    table = cells.reshape(num_classes, num_classes) / cells.sum()
    cost = np.subtract.outer(np.arange(num_classes), np.arange(num_classes)) ** 2
    chance = np.outer(table.sum(axis=1), table.sum(axis=0))
    return float(1 - (cost * table).sum() / (cost * chance).sum())


def draw_weights(groups: NDArray[np.int64], draws: int, seed: int = 0) -> NDArray[np.int64]:
    """How often each sample is drawn when whole groups are: `(draws, groups)`, by group."""
    rng = np.random.default_rng(seed)
    count = int(groups.max()) + 1
    return rng.multinomial(count, np.full(count, 1 / count), size=draws)


def interval(values: list[float]) -> list[float]:
    """The middle 95 % of bootstrap values."""
    return [round(float(edge), 4) for edge in np.quantile(values, (0.025, 0.975))]


def seed_interval(values: list[float]) -> dict[str, float]:
    """Mean over seeds, and half the width of its 95 % interval by Student's t."""
    n = len(values)
    if n == 1:
        return {"mean": round(values[0], 4), "half": float("nan")}
    half = T_QUANTILE[n] * float(np.std(values, ddof=1)) / np.sqrt(n)
    return {"mean": round(float(np.mean(values)), 4), "half": round(half, 4)}


def against(
    found: dict[str, Outcome],
    target: Values,
    groups: NDArray[np.int64],
    *,
    num_classes: int | None = None,
) -> dict[str, Any]:
    """Spearman of the expected score and, with classes, QWK of the hard one; gains over raw.

    The intervals of the gains are bootstrapped over groups, the same draws for raw and curated;
    ranks are taken once, of the whole pool.
    """
    rated = found["raw"].curated.curated >= 0
    truth = ranks(target[rated])
    drawn = draw_weights(groups, DRAWS)[:, groups[rated]].astype(np.float64)
    whole = np.ones((1, int(rated.sum())))
    weights = np.concatenate([whole, drawn])
    columns = {m: ranks(found[m].curated.expected[rated]) for m in METHODS}
    result = {"spearman": _gains({m: _each(x, truth, weights) for m, x in columns.items()})}
    if num_classes is not None:
        gold = target[rated].astype(np.int8)
        hard = {m: found[m].curated.curated[rated] for m in METHODS}
        values = {m: [qwk(x, gold, num_classes, w) for w in weights] for m, x in hard.items()}
        result["qwk"] = _gains(values)
        result["accuracy"] = {m: round(float(np.mean(x == gold)), 4) for m, x in hard.items()}
    return result


def _each(x: Values, y: Values, weights: Values) -> list[float]:
    return [correlation(x, y, w) for w in weights]


def _gains(values: dict[str, list[float]]) -> dict[str, Any]:
    raw = values["raw"]
    return {
        method: {
            "value": round(found[0], 4),
            "gain": round(found[0] - raw[0], 4),
            "interval": interval([a - b for a, b in zip(found[1:], raw[1:], strict=True)]),
        }
        for method, found in values.items()
    }


def shared_error(scores: Scores, truth: Scores, neighbors: Neighbors, k: int = 10) -> float:
    """Correlation of a rating's error with the mean error of its k nearest neighbors' ratings.

    An error is what the rating is above the mean rating of its true score, so that a rater's bias
    does not count. 0 is what every mode assumes: errors that neighbors share look like truth.
    """
    rated = scores >= 0
    means = np.bincount(truth[rated], scores[rated]) / np.bincount(truth[rated])
    error = np.zeros(len(scores))
    error[rated] = scores[rated] - means[truth[rated]]
    graph = neighbors.indices[:, :k]
    around = error[graph].sum(axis=1) / np.maximum(1, rated[graph].sum(axis=1))
    return float(np.corrcoef(error[rated], around[rated])[0, 1])


def row_tv(T: Values, truth: Values) -> float:
    """Mean over the rows of half the absolute difference."""
    return float(np.abs(T - truth).sum(axis=1).mean() / 2)


def f1(flagged: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> float:
    hits = int(np.count_nonzero(flagged & wrong))
    return 2 * hits / max(1, int(flagged.sum() + wrong.sum()))


def calibration_error(confidence: Values, right: NDArray[np.bool_], bins: int = 15) -> float:
    """Expected calibration error over equal bins of confidence."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, confidence - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))
