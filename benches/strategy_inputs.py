"""What bench_strategies.py selects from: rows, scores, a neighbor graph and texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from knn_rows import make_rows

SEED = 42
GRAPH_K = 10
WORDS = ("the", "a", "of", "to", "add", "write", "poem", "sea", "function", "list", "code", "sort")
TARGET_WORD = "function"
TARGET_TEXTS = 500
DENSE_SHARE = 5
"""Dense facility location gets a fifth of the pool: its matrix grows with the square."""

Run = Callable[[], NDArray[Any]]


@dataclass(frozen=True)
class Source:
    """Where the inputs are, and what is asked for.

    Attributes:
        folder: what `write_inputs` wrote.
        n: rows to choose.
        threads: for those who have such a setting.
        repositories: folder with copies of published code; None = there are none.
    """

    folder: Path
    n: int
    threads: int
    repositories: Path | None


@dataclass(frozen=True)
class Inputs:
    """A pool, read into memory.

    Attributes:
        rows: float32 `(N, d)`, of unit length.
        scores: float64 `(N,)`, no two alike: who breaks ties how is not compared.
        neighbors, similarities: the graph, `(N, GRAPH_K)`.
        texts_file: the texts, for `read_texts`.
        n, threads, repositories: as of `Source`.
    """

    rows: NDArray[np.float32]
    scores: NDArray[np.float64]
    neighbors: NDArray[np.uint32]
    similarities: NDArray[np.float32]
    texts_file: Path
    n: int
    threads: int
    repositories: Path | None

    @classmethod
    def load(cls, source: Source, most: int | None) -> Self:
        """Read `most` rows; of the graph all, as it has no first rows that are a graph."""
        folder, n = source.folder, source.n
        return cls(
            rows=np.load(folder / "rows.npy")[:most],
            scores=np.load(folder / "scores.npy")[:most],
            neighbors=np.load(folder / "neighbors.npy"),
            similarities=np.load(folder / "similarities.npy"),
            texts_file=folder / "texts.json",
            n=n if most is None else min(n, most // 16),
            threads=source.threads,
            repositories=source.repositories,
        )


def read_texts(inputs: Inputs) -> tuple[list[str], list[str]]:
    """Return a text for each row, and texts that the pool is to resemble."""
    texts = json.loads(inputs.texts_file.read_text(encoding="utf-8"))
    target = [text for text in texts if TARGET_WORD in text][:TARGET_TEXTS]
    return texts[: len(inputs.rows)], target


def write_inputs(
    folder: Path, rows: NDArray[Any], ratings: NDArray[Any], texts: list[str], threads: int
) -> None:
    """Write the inputs: rows made float32 of unit length, ratings without ties, the exact graph."""
    from ds2_fast import find_neighbors

    unit = rows.astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    graph = find_neighbors(unit, GRAPH_K, threads=threads)
    apart = np.random.default_rng(SEED).permutation(len(unit)) / len(unit)
    np.save(folder / "rows.npy", unit)
    np.save(folder / "scores.npy", (np.maximum(ratings, 0) + apart) / (ratings.max() + 1.0))
    np.save(folder / "neighbors.npy", graph.indices)
    np.save(folder / "similarities.npy", graph.similarities)
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")


def read_pool(
    pool: Path, embeddings: Path, score: str
) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    """Return embeddings, ratings (-1 = none) and texts of an Alpaca-like pool."""
    import polars

    frame = polars.read_parquet(pool)
    columns = [frame[name].fill_null("") for name in ("instruction", "input", "output")]
    texts = ["\n".join(parts) for parts in zip(*columns, strict=True)]
    return np.load(embeddings), frame[score].fill_null(-1).to_numpy(), texts


def make_pool(folder: Path, count: int, dim: int) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    """Return made rows, ratings and texts."""
    make_rows(folder / "made.npy", count, dim, SEED)
    rng = np.random.default_rng(SEED)
    texts = [" ".join(rng.choice(WORDS, rng.integers(3, 40))) for _ in range(count)]
    return np.load(folder / "made.npy"), rng.integers(0, 6, count), texts


def dense_rows(inputs: Inputs) -> tuple[NDArray[np.float32], int]:
    """Return the rows for dense facility location, and how many of them to choose."""
    return inputs.rows[: len(inputs.rows) // DENSE_SHARE], max(inputs.n // DENSE_SHARE, 1)
