"""Several raters: one score of theirs, how they agree, and what each is worth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.agreement import Agreement, agree, jsonable, spearman
from ds2_fast.errors import PoolError

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNRATED = -1


@dataclass(frozen=True)
class Rater:
    """One rater's scores, before and after curation.

    Attributes:
        name: whose they are.
        scores: int8 `(N,)`, 0..K-1, -1 = unrated.
        expected: float64 `(N,)`, what curation expects; finite where the rater rated.
        num_classes: K.
    """

    name: str
    scores: NDArray[np.int8]
    expected: NDArray[np.float64]
    num_classes: int

    @property
    def rated(self) -> NDArray[np.bool_]:
        """Bool `(N,)`: where the rater rated."""
        return self.scores >= 0

    def raw(self) -> NDArray[np.float64]:
        """The scores as numbers, float64 `(N,)`; NaN = unrated."""
        return np.where(self.rated, self.scores.astype(np.float64), np.nan)

    def curated(self) -> NDArray[np.float64]:
        """The expected scores where the rater rated, float64 `(N,)`; else NaN."""
        return np.where(self.rated, self.expected, np.nan)


@dataclass(frozen=True)
class Combined:
    """One score of several raters.

    Attributes:
        expected: float64 `(N,)`, on the common scale; NaN where nobody rated.
        curated: int8 `(N,)`, the class nearest to it; -1 where nobody rated.
        score: float64 `(N,)`, the same of the ratings as they are.
        rated: int8 `(N,)`, the class nearest to `score`.
        raters: uint8 `(N,)`, how many rated the sample.
        num_classes: K of the common scale.
    """

    expected: NDArray[np.float64]
    curated: NDArray[np.int8]
    score: NDArray[np.float64]
    rated: NDArray[np.int8]
    raters: NDArray[np.uint8]
    num_classes: int


def combine(raters: Sequence[Rater]) -> Combined:
    """Make one score of several raters' curated scores.

    Each rater r's expected scores are standardized over the samples it rated,
    `z_r = (E_r - mean_r) / sd_r`, so that a generous or a timid rater weighs no more and no less
    than another; a sample has the mean z of the raters that rated it. So that buckets of the dual
    sort keep their meaning, the mean is put back into classes: `S = M + D z` with M and D the means
    of `mean_r` and `sd_r` over the raters with the most classes. Raters of equal mean and spread
    are simply averaged, and one rater alone, or twice, gives `S = E`. The order is that of z for
    any M and D; they only say how wide a bucket of 0.25 is. S may lie outside 0..K-1 where raters
    differ much in spread; its nearest class (halves go down) does not.

    A sample that only some raters rated has the mean of those: it is as eligible as the others, and
    as less is averaged, its score is a little more extreme.

    Args:
        raters: two or more, of the same samples.

    Raises:
        PoolError: if a rater gives all it rated the same score.

    Source: several raters, z-scored expected scores. O(N R).
    """
    classes = max(rater.num_classes for rater in raters)
    widest = [rater.num_classes == classes for rater in raters]
    expected = _common([rater.curated() for rater in raters], raters, widest)
    score = _common([rater.raw() for rater in raters], raters, widest)
    return Combined(
        expected=expected,
        curated=_nearest(expected, classes),
        score=score,
        rated=_nearest(score, classes),
        raters=np.sum([rater.rated for rater in raters], axis=0, dtype=np.uint8),
        num_classes=classes,
    )


def _common(
    columns: Sequence[NDArray[np.float64]], raters: Sequence[Rater], widest: Sequence[bool]
) -> NDArray[np.float64]:
    """Put the mean of standardized columns back on the scale of the widest."""
    moments: list[tuple[float, float]] = []
    for rater, column in zip(raters, columns, strict=True):
        known = column[~np.isnan(column)]
        if not len(known) or known.min() == known.max():
            raise PoolError(
                f"all scores of `{rater.name}` are the same: nothing to combine with others",
                "leave this rater out",
            )
        moments.append((float(known.mean()), float(known.std())))
    center, spread = np.mean(
        [part for part, wide in zip(moments, widest, strict=True) if wide], axis=0
    ).tolist()
    z = _mean([(column - mean) / sd for column, (mean, sd) in zip(columns, moments, strict=True)])
    combined: NDArray[np.float64] = center + spread * z
    return combined


def _mean(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean of what is known in each row; NaN where nothing is."""
    total, count = np.zeros(len(columns[0])), np.zeros(len(columns[0]))
    for column in columns:
        known = ~np.isnan(column)
        total[known] += column[known]
        count += known
    mean = np.full(len(total), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _nearest(values: NDArray[np.float64], classes: int) -> NDArray[np.int8]:
    """The nearest class, halves down; -1 for NaN."""
    # Rounding of a sum must not lift a half over the edge.
    nearest = np.clip(np.ceil(np.nan_to_num(values) - 0.5 - 1e-9), 0, classes - 1)
    return np.where(np.isnan(values), UNRATED, nearest).astype(np.int8)


def standardized(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The mean of standardized columns, float64 `(N,)`; constant columns say nothing."""
    parts = []
    for column in columns:
        known = column[~np.isnan(column)]
        sd = float(known.std()) if len(known) else 0.0
        parts.append((column - known.mean()) / sd if sd > 0 else np.full(len(column), np.nan))
    return _mean(parts)


@dataclass(frozen=True)
class Pair:
    """Two raters.

    Attributes:
        raters: their names.
        agreement: of the scores as they are.
        spearman_curated: rank correlation of their expected scores.
    """

    raters: tuple[str, str]
    agreement: Agreement
    spearman_curated: float

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        curated = jsonable(self.spearman_curated)
        return {"raters": list(self.raters), **self.agreement.to_dict(), "curated": curated}


@dataclass(frozen=True)
class Worth:
    """What one rater is worth, by Spearman's rank correlation; NaN where it is not defined.

    Attributes:
        rater: its name.
        rated: samples it rated.
        raw: its scores with the mean of the other raters' scores.
        curated: its expected scores with the same.
        predicted: its scores with the mean of the others' expected scores: more than `raw` if
            curation brings out what the raters share.
        adds: what its expected scores add to the prediction of each other rater's scores by all
            the remaining ones, on average; needs three raters. Near 0 or below: its price buys
            nothing that the others do not give.
        without: the combined score of all raters with that of the others: 1 if leaving the rater
            out would not change the ranking.
    """

    rater: str
    rated: int
    raw: float
    curated: float
    predicted: float
    adds: float
    without: float

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values; null where it is not defined."""
        numbers = {n: v for n, v in vars(self).items() if n not in ("rater", "rated")}
        return {
            "rater": self.rater,
            "rated": self.rated,
            **{name: jsonable(value) for name, value in numbers.items()},
        }


def compare_pairs(raters: Sequence[Rater]) -> tuple[Pair, ...]:
    """Compare each two raters. O(R^2 N log N)."""
    return tuple(
        Pair(
            (a.name, b.name),
            agree(a.scores, b.scores, same_scale=a.num_classes == b.num_classes),
            spearman(a.curated(), b.curated()),
        )
        for a, b in combinations(raters, 2)
    )


def find_worth(raters: Sequence[Rater]) -> tuple[Worth, ...]:
    """Say what each of two or more raters is worth. O(R^2 N log N)."""
    raw = [rater.raw() for rater in raters]
    curated = [rater.curated() for rater in raters]
    everyone = range(len(raters))
    found = []
    for r in everyone:
        others = [i for i in everyone if i != r]
        peers = standardized([raw[i] for i in others])
        peers_curated = standardized([curated[i] for i in others])
        found.append(
            Worth(
                rater=raters[r].name,
                rated=int(np.count_nonzero(raters[r].rated)),
                raw=spearman(raw[r], peers),
                curated=spearman(curated[r], peers),
                predicted=spearman(raw[r], peers_curated),
                adds=_added(raw, curated, r),
                without=spearman(standardized(curated), peers_curated),
            )
        )
    return tuple(found)


def _added(
    raw: Sequence[NDArray[np.float64]], curated: Sequence[NDArray[np.float64]], r: int
) -> float:
    """What rater r adds to predicting each other one, on average over them."""
    gains = []
    for target in range(len(raw)):
        rest = [curated[i] for i in range(len(raw)) if i not in (target, r)]
        if target != r and rest:
            with_it = spearman(standardized([*rest, curated[r]]), raw[target])
            gains.append(with_it - spearman(standardized(rest), raw[target]))
    return float(np.mean(gains)) if gains else math.nan
