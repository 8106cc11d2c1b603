"""The honest check: what a random share, never learned from, says about the rest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ds2_fast.agreement import spearman

FEWEST_CHECKED = 300
LEAST_SPEARMAN = 0.5
LEAST_PRECISION = 0.9
MOST_CALIBRATION_ERROR = 0.05
_DRAWS = 2000
_LEVEL = (0.025, 0.975)
_BIN = 100
_MOST_BINS = 10
# Fieller, Hartley and Pearson (1957): the variance of Fisher's z of a rank correlation.
_RANK_VARIANCE = 1.06


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def to_list(self) -> list[float]:
        """`[value, low, high]`."""
        return [self.value, self.low, self.high]


@dataclass(frozen=True)
class Check:
    """What the random share says.

    Attributes:
        rows: random samples that were checked.
        precision: share of the n best rated samples that would be among the n best had all been
            rated, classes counted.
        gain: mean score of the n best rated over the mean of the pool, as a share of what rating
            all would give.
        spearman: rank correlation of predicted and real scores.
        calibration_error: mean distance between predicted and real P(score >= c).
        reasons: why predictions are not to be trusted, one clause each; empty if they are.
    """

    rows: int
    precision: Estimate
    gain: Estimate
    spearman: Estimate
    calibration_error: Estimate
    reasons: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the selection and the predictions can be trusted."""
        return not self.reasons


@dataclass(frozen=True)
class Seen:
    """The random share and what is known of the others.

    Attributes:
        rated: int64 `(K,)`, rated samples by class.
        rest: samples that are not rated.
        rest_checked: int64 `(K,)`, by class, the random samples that would not be rated but for
            the check: a random sample of the rest.
        scores: int8 `(m,)`, all random samples' scores.
        predicted: float64 `(m,)`, what a model that never saw them predicts.
        distribution: float64 `(m, K)`, likewise.
    """

    rated: NDArray[np.int64]
    rest: int
    rest_checked: NDArray[np.int64]
    scores: NDArray[np.int8]
    predicted: NDArray[np.float64]
    distribution: NDArray[np.float64]


def check(seen: Seen, n: int, *, seed: int) -> Check:
    """Estimate how good a selection of n is, and the predictions for the rest.

    Precision and gain need the classes of the samples that are not rated. Their shares are those
    of `rest_checked`; the interval is that of 2,000 draws from a Dirichlet posterior (1/K added to
    each class) and of the classes of the rest given those shares. Precision is
    `sum_c min(best_c, found_c) / n`, with the classes of the n best of all samples and of the n
    best rated ones. The interval of Spearman's correlation is by Fisher's z, that of the
    calibration error by resampling.

    Trust needs 300 random samples, a correlation of 0.5, a lower bound of the precision of 0.9 and
    a calibration error of at most 0.05.

    Args:
        seen: the random share and the rated samples.
        n: size of the selection, at most the number of rated samples.
        seed: of the draws.

    Returns:
        The check.
    """
    rng = np.random.default_rng([seed, 1])
    precision, gain = _selection(seen, n, rng)
    spearman = _spearman_estimate(seen.predicted, seen.scores)
    error = _calibration_estimate(seen.distribution, seen.scores, rng)
    reasons = []
    if len(seen.scores) < FEWEST_CHECKED:
        reasons.append(f"only {len(seen.scores):,} random samples could be checked, of 300 needed")
    if not spearman.value >= LEAST_SPEARMAN:
        reasons.append(f"Spearman {spearman.value:.2f} is below {LEAST_SPEARMAN}")
    if precision.low < LEAST_PRECISION:
        reasons.append(f"precision may be as low as {precision.low:.2f}, below {LEAST_PRECISION}")
    if not error.value <= MOST_CALIBRATION_ERROR:
        reasons.append(f"calibration error {error.value:.3f} is above {MOST_CALIBRATION_ERROR}")
    return Check(len(seen.scores), precision, gain, spearman, error, tuple(reasons))


def _selection(seen: Seen, n: int, rng: np.random.Generator) -> tuple[Estimate, Estimate]:
    """Precision and gain of the n best rated samples."""
    classes = len(seen.rated)
    checked = seen.rest_checked.astype(np.float64)
    shares = checked / checked.sum() if checked.sum() else np.full(classes, 1 / classes)
    posterior = rng.dirichlet(checked + 1 / classes, size=_DRAWS)
    missing = np.stack([rng.multinomial(seen.rest, share) for share in posterior])
    found = best_classes(seen.rated[None, :].astype(np.float64), n)
    figures = []
    for rest in (shares[None, :] * seen.rest, missing.astype(np.float64)):
        everything = seen.rated + rest
        figures.append(_compare(found, best_classes(everything, n), everything, n))
    (precision, gain), (precisions, gains) = figures
    return _around(float(precision[0]), precisions), _around(float(gain[0]), gains)


def _compare(
    found: NDArray[np.float64], best: NDArray[np.float64], everything: NDArray[np.float64], n: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    levels = np.arange(found.shape[1])
    precision = np.minimum(found, best).sum(axis=1) / n
    mean = (everything * levels).sum(axis=1) / everything.sum(axis=1)
    reached, possible = ((part * levels).sum(axis=1) / n - mean for part in (found, best))
    gain = np.divide(reached, possible, out=np.ones_like(possible), where=possible > 0)
    return precision, gain


def best_classes(counts: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Classes of the n best samples of a pool with these counts, `(r, K)` to `(r, K)`."""
    above = np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
    taken: NDArray[np.float64] = np.minimum(above, n)
    best: NDArray[np.float64] = taken - np.pad(taken[:, 1:], ((0, 0), (0, 1)))
    return best


def _around(value: float, draws: NDArray[np.float64]) -> Estimate:
    low, high = np.quantile(draws, _LEVEL)
    return Estimate(value, min(float(low), value), max(float(high), value))


def rank_correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's correlation, ties at their mean rank; 0 where one of the two is constant."""
    found = spearman(a, b)
    return 0.0 if math.isnan(found) else found


def _spearman_estimate(predicted: NDArray[np.float64], scores: NDArray[np.int8]) -> Estimate:
    if len(scores) < 4:  # noqa: PLR2004 - Fisher's z needs more
        return Estimate(0.0, -1.0, 1.0)
    value = rank_correlation(predicted, scores.astype(np.float64))
    z = np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12))
    half = 1.96 * np.sqrt(_RANK_VARIANCE / (len(scores) - 3))
    return Estimate(value, float(np.tanh(z - half)), float(np.tanh(z + half)))


def calibration_error(distribution: NDArray[np.float64], scores: NDArray[np.int8]) -> float:
    """Mean over c = 1..K-1 of the expected calibration error of P(score >= c).

    The samples, in the order of the predicted probability, are cut into 10 bins of equal size, or
    fewer of 100; the error is the mean distance of the mean probability of a bin and its real
    share. Random scatter alone makes it about 0.02 at 1,000 samples.

    Args:
        distribution: float64 `(m, K)`.
        scores: int8 `(m,)`.
    """
    reached = np.cumsum(distribution[:, ::-1], axis=1)[:, ::-1][:, 1:]
    bins = min(max(len(scores) // _BIN, 1), _MOST_BINS)
    errors = []
    for level, probability in enumerate(reached.T, start=1):
        real = (scores >= level).astype(np.float64)
        parts = np.array_split(np.argsort(probability, kind="stable"), bins)
        distances = [len(at) * abs(float((probability[at] - real[at]).mean())) for at in parts]
        errors.append(sum(distances) / len(scores))
    return float(np.mean(errors))


def _calibration_estimate(
    distribution: NDArray[np.float64], scores: NDArray[np.int8], rng: np.random.Generator
) -> Estimate:
    if len(scores) == 0:
        return Estimate(1.0, 0.0, 1.0)
    draws = []
    for _ in range(_DRAWS // 10):
        at = rng.integers(0, len(scores), len(scores))
        draws.append(calibration_error(distribution[at], scores[at]))
    return _around(calibration_error(distribution, scores), np.array(draws))
