"""Scales of ratings, and the classes they are put into."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.errors import PoolError

MAX_CLASSES = 16
PUBLISHED_COLUMNS = ("gpt_scores", "llama_scores", "mistral_scores", "bin_score")
_LOWEST_KEPT, _HIGHEST_KEPT = 5, 8
_TEN = 10
PUBLISHED_HIGH = 5


@dataclass(frozen=True)
class Scale:
    """A scale of ratings.

    Attributes:
        name: how the user calls it, `LO-HI`.
        low: the lowest rating allowed.
        high: the highest rating allowed.
        compressed: whether ratings up to 4 share a class, and ratings from 9 (the published 1-10).
        reason: why it was chosen, for the verdict; empty where the user named it.
    """

    name: str
    low: int
    high: int
    compressed: bool = False
    reason: str = ""

    @property
    def num_classes(self) -> int:
        """Count the classes."""
        kept = _HIGHEST_KEPT - _LOWEST_KEPT + 3
        return kept if self.compressed else self.high - self.low + 1

    @property
    def starts(self) -> tuple[int, ...]:
        """The lowest rating of each class."""
        if not self.compressed:
            return tuple(range(self.low, self.high + 1))
        return (self.low, *range(_LOWEST_KEPT, _HIGHEST_KEPT + 2))

    @property
    def labels(self) -> tuple[str, ...]:
        """What the user calls each class."""
        if not self.compressed:
            return tuple(map(str, range(self.low, self.high + 1)))
        kept = range(_LOWEST_KEPT, _HIGHEST_KEPT + 1)
        return (f"<={_LOWEST_KEPT - 1}", *map(str, kept), f">={_HIGHEST_KEPT + 1}")

    def classes(self, ratings: NDArray[np.float64]) -> NDArray[np.int8]:
        """Put ratings into classes.

        Computes `rating - low`; compressed, the published rule (see `Scale.compressed`).

        Args:
            ratings: float64 `(N,)`, whole numbers in low..high.

        Returns:
            int8 `(N,)` in 0..num_classes-1.
        """
        if self.compressed:
            return _core.compress_ratings(ratings)
        return (ratings - self.low).astype(np.int8)


def choose_scale(scale: str, known: pl.Series, column: str) -> Scale:
    """Give the scale the user names, or the one that fits.

    Args:
        scale: `auto`, `observed`, `1-10`, or `LO-HI`.
        known: Float64, the ratings found, whole numbers, none null, not empty.
        column: where they were found; DS2's own columns have their own scale.

    Raises:
        PoolError: `scale` is no scale or runs backwards, or there are fewer than 2 or more than 16
            classes.
    """
    if scale == "auto":
        return _auto(known, column)
    if scale == "observed":
        return _observed(known, column, ", from the lowest to the highest rating")
    match = re.fullmatch(r"(-?\d+)\s*-\s*(-?\d+)", scale)
    if match is None:
        raise PoolError(
            f"`{scale}` is no scale", "name `auto`, `observed`, `1-10`, or `LO-HI` as in `0-5`"
        )
    low, high = int(match[1]), int(match[2])
    if (low, high) == (1, _TEN):
        return Scale("1-10", low, high, compressed=True)
    if high < low:
        raise PoolError(
            f"the scale `{scale}` runs backwards", f"name the lower end first: `{high}-{low}`"
        )
    return _checked(Scale(f"{low}-{high}", low, high), f"the scale `{scale}`")


def _auto(known: pl.Series, column: str) -> Scale:
    low, high = _range(known)
    if column in PUBLISHED_COLUMNS and low >= 0 and high <= PUBLISHED_HIGH:
        return Scale("0-5", 0, PUBLISHED_HIGH, reason=" as DS2 writes them")
    # Ratings of 1 to 5, 6 or 7 are scales of their own: only 8 and more speak for 1-10.
    if low >= 1 and _HIGHEST_KEPT <= high <= _TEN:
        return Scale("1-10", 1, _TEN, compressed=True, reason=" (4 and less, 5 to 8, 9 and more)")
    return _observed(known, column, ", from the lowest to the highest rating")


def _observed(known: pl.Series, column: str, reason: str) -> Scale:
    low, high = _range(known)
    return _checked(Scale(f"{low}-{high}", low, high, reason=reason), f"column `{column}`")


def _range(known: pl.Series) -> tuple[int, int]:
    numbers = known.to_numpy()
    return int(numbers.min()), int(numbers.max())


def _checked(scale: Scale, what: str) -> Scale:
    if scale.high == scale.low:
        raise PoolError(
            f"{what} has one class only: {scale.low}",
            "curation needs ratings that differ; name the scale with `--scale LO-HI`",
        )
    if scale.num_classes > MAX_CLASSES:
        raise PoolError(
            f"{what} runs from {scale.low} to {scale.high}: {scale.num_classes:,} classes, and at "
            f"most {MAX_CLASSES} are possible",
            "put the ratings into fewer bins first",
        )
    return scale
