"""Pools whose truth is known, and the slow twin of the neighbor search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ds2_fast.knn import Neighbors, find_neighbors

NUM_CLASSES = 6
PRIOR = np.array([0.09, 0.16, 0.24, 0.28, 0.18, 0.05])
CLUSTER_SIZE = 25


def _rows(weight) -> NDArray[np.float64]:
    table = np.array([[weight(i, j) for j in range(NUM_CLASSES)] for i in range(NUM_CLASSES)])
    return table / table.sum(axis=1, keepdims=True)


RATERS = {
    # right in 7 of 10 cases, else anywhere
    "diag": _rows(lambda i, j: 0.7 if i == j else 0.06),
    # wrong by one
    "adj": _rows(lambda i, j: {0: 0.62, 1: 0.17, 2: 0.02}.get(abs(i - j), 0.002)),
    # too generous
    "up": _rows(lambda i, j: {0: 0.55, 1: 0.30, 2: 0.08, -1: 0.04}.get(j - i, 0.01)),
    # shy of both ends
    "mid": _rows(
        lambda i, j: (
            0.5 * (i == j) + 0.3 * np.exp(-(((j - 2.8) / 0.9) ** 2)) + 0.12 * np.exp(-abs(i - j))
        )
    ),
}


@dataclass(frozen=True)
class Pool:
    """Embeddings, true scores, ratings of them, and the rater's T on these very samples."""

    embeddings: NDArray[np.float32]
    truth: NDArray[np.int8]
    scores: NDArray[np.int8]
    T: NDArray[np.float64]


def make_pool(
    n: int,
    rater: str,
    *,
    eps: float = 0.0,
    dim: int = 64,
    spread: float = 0.35,
    seed: int = 0,
    cluster_size: int = CLUSTER_SIZE,
) -> Pool:
    """Draw clusters of about `cluster_size` samples that share a true score, and rate them.

    A share `eps` of the samples is one better or worse than its cluster. `spread` is the distance
    of a sample from its cluster's center, which has length 1. T is the rater's on these very
    samples (a class without samples: the rater's own row).
    """
    rng = np.random.default_rng(seed)
    count = max(1, n // cluster_size)
    centers = rng.standard_normal((count, dim))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    cluster_class = rng.choice(NUM_CLASSES, count, p=PRIOR)
    cluster = rng.integers(0, count, n)
    points = centers[cluster] + spread * rng.standard_normal((n, dim)) / np.sqrt(dim)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    truth = cluster_class[cluster]
    step = rng.choice([-1, 1], n)
    moved = np.where((truth + step < 0) | (truth + step >= NUM_CLASSES), truth - step, truth + step)
    truth = np.where(rng.random(n) < eps, moved, truth)
    scores = draw_ratings(truth, RATERS[rater], rng)
    T = np.zeros((NUM_CLASSES, NUM_CLASSES))
    np.add.at(T, (truth, scores), 1)
    seen = T.sum(axis=1, keepdims=True)
    T = np.divide(T, seen, out=RATERS[rater].copy(), where=seen > 0)
    return Pool(points.astype(np.float32), truth.astype(np.int8), scores, T)


@cache
def planted_pool(rater: str) -> tuple[Pool, Neighbors]:
    """Make the pool of 20,000 samples on which the method must prove itself; once a session."""
    pool = make_pool(20_000, rater)
    return pool, find_neighbors(pool.embeddings, 50)


def draw_ratings(truth, T: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int8]:
    """Rate every true score once."""
    edges = np.cumsum(T, axis=1)[truth]
    ratings = (rng.random(len(truth))[:, None] > edges).sum(axis=1)
    return np.minimum(ratings, T.shape[1] - 1).astype(np.int8)


def find_neighbors_slow(embeddings: NDArray[np.float32], k: int, block: int = 1024) -> Neighbors:
    """Find the k most similar other rows, most similar first, ties by row."""
    rows = embeddings.astype(np.float32)
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    indices, similarities = [], []
    for start in range(0, len(rows), block):
        scores = rows[start : start + block] @ rows.T
        scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -np.inf
        found = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(scores, found, axis=1)
        order = np.lexsort((found, -values), axis=1)
        indices.append(np.take_along_axis(found, order, axis=1))
        similarities.append(np.take_along_axis(values, order, axis=1))
    return Neighbors(np.concatenate(indices).astype(np.uint32), np.concatenate(similarities))


def random_graph(
    rng: np.random.Generator, n: int, depth: int, num_classes: int, missing: float = 0.1
) -> tuple[NDArray[np.int8], Neighbors]:
    """Draw scores, some of them missing, and neighbors without meaning, similarities descending."""
    scores = rng.integers(0, num_classes, n).astype(np.int8)
    scores[rng.random(n) < missing] = -1
    others = [rng.permutation(np.delete(np.arange(n), row))[:depth] for row in range(n)]
    similarities = -np.sort(-rng.random((n, depth), dtype=np.float32), axis=1)
    return scores, Neighbors(np.array(others, dtype=np.uint32), similarities)


def block_graph(
    rng: np.random.Generator, n: int, depth: int, num_classes: int
) -> tuple[NDArray[np.int8], Neighbors]:
    """Draw scores that are right in 8 of 10 cases, and neighbors that share the true score."""
    truth = np.sort(np.arange(n) % num_classes)
    wrong = rng.random(n) < 0.2
    scores = np.where(wrong, rng.integers(0, num_classes, n), truth).astype(np.int8)
    peers = [np.flatnonzero((truth == truth[row]) & (np.arange(n) != row)) for row in range(n)]
    indices = np.array([rng.permutation(others)[:depth] for others in peers], dtype=np.uint32)
    similarities = -np.sort(-rng.random((n, depth), dtype=np.float32), axis=1)
    return scores, Neighbors(indices, similarities)
