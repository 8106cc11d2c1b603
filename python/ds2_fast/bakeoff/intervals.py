"""How far a figure could be off: over seeds, and over the samples chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.agreement import jsonable

FEWEST_SEEDS, MOST_SEEDS = 2, 30
REPLICATES = 2000
LEVEL = 0.95

_T_QUANTILES = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045,
)  # fmt: skip
"""97.5 % quantiles of Student's t with 1 to 29 degrees of freedom."""


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Summarize a figure over seeds, JSON-able.

    Args:
        values: one for each seed, at most 30; one alone where nothing is random.

    Returns:
        `value`, their mean; `half`, half the width of the 95 % interval of that mean by Student's
        t, `t s / sqrt(S)`, None for a single value; `values`. NaN becomes None.

    Example:
        >>> round(over_seeds([1.0, 2.0, 3.0])["half"], 4)
        2.4843
    """
    numbers = np.array(values, dtype=np.float64)
    half = None
    if len(numbers) > 1:
        quantile = _T_QUANTILES[len(numbers) - 2]
        half = jsonable(quantile * float(numbers.std(ddof=1) / np.sqrt(len(numbers))))
    return {
        "value": jsonable(float(numbers.mean())),
        "half": half,
        "values": [jsonable(float(number)) for number in numbers],
    }


def difference(
    chosen: Sequence[NDArray[np.float64]], control: Sequence[NDArray[np.float64]], seed: int
) -> dict[str, float] | None:
    """Compare the mean of a rating among chosen samples with that of the control.

    The interval is a percentile bootstrap over samples: in each of 2,000 replicates the samples of
    every draw of the control are drawn anew with replacement, and those of one draw of the
    strategy; where it has several, the replicates are shared out among them, as draws of one
    strategy can have most samples in common. It says how much the samples at hand tell, taken as a
    sample of what the strategy would choose from pools like this one.

    Args:
        chosen: the ratings of the chosen samples, without NaN, for each seed.
        control: those of the control.
        seed: of the bootstrap.

    Returns:
        `value`, the difference of the means over all draws, `low` and `high`; None where either has
        no rating at all.

    Cost: O(replicates x samples), at once for all samples of equal rating.
    """
    ours, theirs = ([draw for draw in draws if len(draw)] for draws in (chosen, control))
    if not ours or not theirs:
        return None
    rng = np.random.default_rng(seed)
    shares = np.bincount(np.arange(REPLICATES) % len(ours), minlength=len(ours))
    one = np.concatenate([_means(d, int(n), rng) for d, n in zip(ours, shares, strict=True)])
    apart = one - np.mean([_means(draw, REPLICATES, rng) for draw in theirs], axis=0)
    low, high = np.quantile(apart, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = np.mean([draw.mean() for draw in ours]) - np.mean([draw.mean() for draw in theirs])
    return {"value": float(value), "low": float(low), "high": float(high)}


def _means(
    draw: NDArray[np.float64], replicates: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Means of samples drawn anew: by how often each rating occurs, as most are few numbers."""
    ratings, counts = np.unique(draw, return_counts=True)
    drawn = rng.multinomial(len(draw), counts / len(draw), size=replicates)
    means: NDArray[np.float64] = drawn @ ratings / len(draw)
    return means
