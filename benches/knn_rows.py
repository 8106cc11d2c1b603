"""Rows that are spread as embedded text is, made from a seed straight into a `.npy` file.

A hierarchical mixture: 60 topics, 3,000 subtopics of Zipf-like size around them, inside each a
local subspace of 16 dimensions out of 40, full-rank noise with the same decaying spectrum over all,
one common direction, and 4 % near-duplicates. Against real MiniLM rows it has the same share of
variance in its first 128 of 384 principal directions (about 0.75) and similar cosines of random
pairs (0.04 +- 0.10), but nearer neighbors: it flatters pruning and approximate searches. Where
there are real rows, believe those.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

TOPICS = 60
SUBTOPICS = 3000
SUBSPACES = 40
LOCAL_DIMENSIONS = 16
ZIPF_EXPONENT = 0.8
SPECTRUM_EXPONENT = 0.35
COMMON, TOPIC, SUBTOPIC, LOCAL, NOISE = 0.2, 0.45, 0.5, 0.5, 0.45
DUPLICATE_SHARE = 0.04
DUPLICATE_NOISE = 0.15
BLOCK_ROWS = 16384


def unit(rows: Matrix) -> Matrix:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclass(frozen=True)
class Mixture:
    """What all rows of one file share."""

    rng: Generator
    spectrum: Matrix  # (d,), unit length
    rotation: Matrix  # (d, d), orthogonal
    centers: Matrix  # (SUBTOPICS, d), before the rotation
    shares: NDArray[np.float64]  # of the subtopics
    subspaces: Matrix  # (SUBSPACES, LOCAL_DIMENSIONS, d)
    subspace_of: NDArray[np.int64]  # (SUBTOPICS,)

    @classmethod
    def draw(cls, dim: int, seed: int) -> Self:
        """Draw topics, subtopics and subspaces."""
        rng = np.random.default_rng(seed)
        spectrum = np.arange(1, dim + 1, dtype=np.float64) ** -SPECTRUM_EXPONENT
        spectrum = (spectrum / np.linalg.norm(spectrum)).astype(np.float32)
        rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0].astype(np.float32)

        def directions(*shape: int) -> Matrix:
            return rng.standard_normal((*shape, dim), dtype=np.float32) * spectrum

        topics = directions(TOPICS)[rng.integers(TOPICS, size=SUBTOPICS)]
        centers = COMMON * directions(1) + TOPIC * topics + SUBTOPIC * directions(SUBTOPICS)
        shares = np.arange(1, SUBTOPICS + 1) ** -ZIPF_EXPONENT
        return cls(
            rng=rng,
            spectrum=spectrum,
            rotation=rotation,
            centers=centers.astype(np.float32),
            shares=shares / shares.sum(),
            subspaces=directions(SUBSPACES, LOCAL_DIMENSIONS),
            subspace_of=rng.integers(SUBSPACES, size=SUBTOPICS),
        )

    def rows(self, count: int) -> Matrix:
        """Draw unit rows, (count, d)."""
        subtopics = self.rng.choice(SUBTOPICS, size=count, p=self.shares)
        places = self.rng.standard_normal((count, LOCAL_DIMENSIONS), dtype=np.float32)
        places *= np.float32(LOCAL / np.sqrt(LOCAL_DIMENSIONS))
        rows = self.centers[subtopics] + NOISE * self.noise(count)
        for subspace, directions in enumerate(self.subspaces):
            inside = self.subspace_of[subtopics] == subspace
            rows[inside] += places[inside] @ directions
        return unit(rows) @ self.rotation

    def near(self, rows: Matrix) -> Matrix:
        """Draw a unit row beside each of `rows`."""
        return unit(rows + DUPLICATE_NOISE * self.noise(len(rows)) @ self.rotation)

    def noise(self, count: int) -> Matrix:
        """Draw vectors of about unit length with the spectrum, before the rotation."""
        drawn = self.rng.standard_normal((count, len(self.spectrum)), dtype=np.float32)
        return drawn * self.spectrum


def make_rows(file: Path, n: int, dim: int, seed: int) -> None:
    """Write float32 `(n, dim)` unit rows; the same bytes for the same arguments on one machine."""
    mixture = Mixture.draw(dim, seed)
    made = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(n, dim))
    for start in range(0, n, BLOCK_ROWS):
        made[start : start + BLOCK_ROWS] = mixture.rows(min(BLOCK_ROWS, n - start))
    copies = int(n * DUPLICATE_SHARE)
    sources, targets = mixture.rng.integers(n, size=(2, copies))
    for start in range(0, copies, BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        made[targets[part]] = mixture.near(made[sources[part]])
    made.flush()
