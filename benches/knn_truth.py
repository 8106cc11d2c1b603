"""The exact neighbors of a sample of rows in float64, and how near an answer comes to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-6
"""Similarities nearer than this are one: the order of exact ties is nobody's mistake."""

BLOCK_ROWS = 4096


def unit_rows(rows: NDArray[Any]) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


@dataclass(frozen=True)
class Accuracy:
    """How an answer compares with the truth, over the sample.

    Attributes:
        recall: share of the k neighbors that are as similar as the true k-th, within TOLERANCE.
        max_difference: largest difference between the sorted similarities, in float64, of the
            neighbors answered and of the true ones.
        rows_off: rows of the sample where that difference is above TOLERANCE.
    """

    recall: float
    max_difference: float
    rows_off: int


@dataclass(frozen=True)
class Truth:
    """True similarities of the neighbors of some rows.

    Attributes:
        rows: all rows, mapped; (N, d).
        sample: the rows asked about, (S,).
        similarities: (S, k) float64, the k highest cosines to other rows, descending.
    """

    rows: NDArray[Any]
    sample: NDArray[np.int64]
    similarities: NDArray[np.float64]

    @classmethod
    def find(cls, file: Path, sample: NDArray[np.int64], k: int) -> Self:
        """Compare the sample with every row, in blocks: 2 S N d operations in float64."""
        rows = np.load(file, mmap_mode="r")
        best = np.full((len(sample), k), -np.inf)
        for first in range(0, len(sample), BLOCK_ROWS):
            part = slice(first, first + BLOCK_ROWS)
            asked = unit_rows(rows[sample[part]])
            for start in range(0, len(rows), BLOCK_ROWS):
                found = asked @ unit_rows(rows[start : start + BLOCK_ROWS]).T
                own = sample[part] - start
                inside = np.flatnonzero((own >= 0) & (own < found.shape[1]))
                found[inside, own[inside]] = -np.inf
                merged = np.hstack([best[part], found])
                best[part] = np.partition(merged, -k, axis=1)[:, -k:]
        return cls(rows, sample, -np.sort(-best, axis=1))

    def judge(self, indices: NDArray[np.int64]) -> Accuracy:
        """Judge an answer.

        Args:
            indices: (Q, k) neighbors of the first Q rows, the whole sample among them; -1 = none.

        Raises:
            ValueError: if a row is its own neighbor, or has the same neighbor twice.
        """
        answered = indices[self.sample]
        if (answered == self.sample[:, None]).any():
            raise ValueError("a row is its own neighbor")
        ordered = np.sort(answered, axis=1)
        if ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any():
            raise ValueError("a row has the same neighbor twice")
        found = np.empty_like(self.similarities)
        for at, (row, neighbors) in enumerate(zip(self.sample, answered, strict=True)):
            found[at] = unit_rows(self.rows[neighbors]) @ unit_rows(self.rows[[row]])[0]
        found[answered < 0] = -1
        found = -np.sort(-found, axis=1)
        hits = found >= self.similarities[:, -1:] - TOLERANCE
        differences = np.abs(found - self.similarities)
        return Accuracy(
            recall=float(hits.mean()),
            max_difference=float(differences.max()),
            rows_off=int((differences.max(axis=1) > TOLERANCE).sum()),
        )
