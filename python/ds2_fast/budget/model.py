"""A small model of the ratings: ridge regression on the design, told new ratings batch by batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.budget.design import Design

FOLDS = 5
PENALTY = 1e-3
"""Of each column, per rating. From a tenth to three times of it, nothing measurable changes."""


class Model:
    """Predicts the score of every sample from those that are rated.

    Only sums of products are kept, for each of five folds, so that a fit on all ratings, or on all
    but one fold, takes no second look at the samples. The same ratings in the same order give the
    same bits for any number of threads.

    Args:
        design: the columns.
    """

    def __init__(self, design: Design) -> None:
        side = design.width + 1
        self._design = design
        self._sums = np.zeros((FOLDS, side, side))
        self._counts = np.zeros(FOLDS, dtype=np.int64)
        self._rows: list[NDArray[np.int64]] = []
        self._scores: list[NDArray[np.int8]] = []

    @property
    def rows(self) -> NDArray[np.int64]:
        """The samples learned from, in order."""
        return np.concatenate(self._rows) if self._rows else np.empty(0, np.int64)

    @property
    def scores(self) -> NDArray[np.int8]:
        """Their scores."""
        return np.concatenate(self._scores) if self._scores else np.empty(0, np.int8)

    def learn(self, rows: NDArray[np.int64], scores: NDArray[np.int8]) -> None:
        """Take in the scores of some samples; each belongs to the fold of its place in the order.

        Args:
            rows: int64 `(n,)`.
            scores: int8 `(n,)`, none unrated.

        Cost: O(n width²).
        """
        folds = (int(self._counts.sum()) + np.arange(len(rows))) % FOLDS
        for fold in range(FOLDS):
            mine = folds == fold
            columns = self._design.columns(rows[mine])
            target = scores[mine].astype(np.float32)[:, None]
            self._sums[fold] += _core.gram(np.concatenate([columns, target], axis=1))
            self._counts[fold] += int(mine.sum())
        self._rows.append(rows)
        self._scores.append(scores)

    def predict(self) -> NDArray[np.float64]:
        """Predicted score of every sample, float64 `(N,)`, by the model of all ratings."""
        weights = self._fit(None)
        blocks = (self._design.columns(at) for at in self._design.blocks())
        return np.concatenate([_core.apply_weights(block, weights) for block in blocks])

    def predict_unseen(self) -> NDArray[np.float64]:
        """Predicted score of each learned sample by a model of the other folds, in their order."""
        rows = self.rows
        folds = np.arange(len(rows)) % FOLDS
        predicted = np.empty(len(rows))
        for fold in range(FOLDS):
            mine = folds == fold
            if mine.any():
                columns = self._design.columns(rows[mine])
                predicted[mine] = _core.apply_weights(columns, self._fit(fold))
        return predicted

    def _fit(self, without: int | None) -> NDArray[np.float64]:
        kept = [fold for fold in range(FOLDS) if fold != without]
        sums, count = np.zeros(self._sums.shape[1:]), 0
        for fold in kept:
            sums += self._sums[fold]
            count += int(self._counts[fold])
        penalty = np.full(self._design.width, PENALTY * max(count, 1))
        penalty[-1] = 0.0 if count else 1.0  # the constant is not shrunk
        return _core.solve_ridge(sums, penalty)
