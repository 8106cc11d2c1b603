"""The programs that bench_knn.py compares: ours, and the peers as their users would call them.

A program is two steps: `prepare` goes from the file to whatever is searched (rows of unit length,
an index), and the search it returns answers the first so many rows. The peers search for k + 1 and
leave the row itself out, as their users do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[Any]

SEED = 42
CHUNK = 512  # rows a matrix product; the fastest of 256, 512, 1024, 2048 for torch on 52,002 x 384
HNSWLIB_EF = 50


@dataclass(frozen=True)
class Answer:
    """Neighbors of the first rows.

    Attributes:
        indices: integers (rows answered, k), the row itself excluded; -1 = none found.
        info: what the program says about itself.
    """

    indices: Integers
    info: object = None


Search = Callable[[int], Answer]
Prepare = Callable[[Path, int, int], Search]
"""From file, k and threads to a search."""


@dataclass(frozen=True)
class Program:
    """A program, and what it is called with.

    Attributes:
        module: what it needs to import.
        distribution: what has to be installed for that.
        settings: in words.
        exact: its answer is exact up to rounding.
        prepare: see above.
    """

    module: str
    distribution: str
    settings: str
    exact: bool
    prepare: Prepare

    @property
    def installed(self) -> bool:
        """Whether it can be imported; it is not imported to find out."""
        return find_spec(self.module) is not None


def unit_rows(file: Path) -> NDArray[np.float32]:
    rows = np.load(file).astype(np.float32, copy=False)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def without_self(found: Integers) -> Integers:
    """Leave row i out of its k + 1 neighbors; among as many equal rows it need not be there."""
    found = found.astype(np.int64)
    own = found == np.arange(len(found))[:, None]
    own[~own.any(axis=1), -1] = True
    return found[~own].reshape(len(found), -1)


def ours(**keywords: object) -> Prepare:
    def prepare(file: Path, k: int, threads: int) -> Search:
        from ds2_fast import find_neighbors

        def search(_queries: int) -> Answer:
            found = find_neighbors(file, k, threads=threads, **keywords)
            return Answer(found.indices, getattr(found, "info", None))

        return search

    return prepare


def chunked_numpy(file: Path, k: int, _threads: int) -> Search:
    rows = unit_rows(file)

    def search(queries: int) -> Answer:
        found = np.empty((queries, k + 1), np.int64)
        for start in range(0, queries, CHUNK):
            similarities = rows[start : min(start + CHUNK, queries)] @ rows.T
            nearest = np.argpartition(similarities, -(k + 1), axis=1)[:, -(k + 1) :]
            order = np.argsort(-np.take_along_axis(similarities, nearest, axis=1), axis=1)
            found[start : start + CHUNK] = np.take_along_axis(nearest, order, axis=1)
        return Answer(without_self(found))

    return search


def chunked_torch(file: Path, k: int, threads: int) -> Search:
    import torch

    torch.set_num_threads(threads)
    rows = torch.nn.functional.normalize(torch.from_numpy(np.load(file)).float(), dim=1)

    @torch.inference_mode()
    def search(queries: int) -> Answer:
        chunks = rows[:queries].split(CHUNK)
        found = torch.cat([(chunk @ rows.T).topk(k + 1, dim=1).indices for chunk in chunks])
        return Answer(without_self(found.numpy()))

    return search


def faiss_flat(file: Path, k: int, threads: int) -> Search:
    import faiss

    faiss.omp_set_num_threads(threads)
    rows = unit_rows(file)
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    return lambda queries: Answer(without_self(index.search(rows[:queries], k + 1)[1]))


def faiss_hnsw(file: Path, k: int, threads: int) -> Search:
    import faiss

    faiss.omp_set_num_threads(threads)
    rows = unit_rows(file)
    index = faiss.IndexHNSWFlat(rows.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 100
    index.hnsw.efSearch = 64
    index.add(rows)
    return lambda queries: Answer(without_self(index.search(rows[:queries], k + 1)[1]))


def usearch_hnsw(file: Path, k: int, threads: int) -> Search:
    from usearch.index import Index

    rows = np.load(file)
    index = Index(
        ndim=rows.shape[1],
        metric="cos",
        dtype="f16",
        connectivity=16,
        expansion_add=128,
        expansion_search=64,
    )
    index.add(np.arange(len(rows)), rows, threads=threads)

    def search(queries: int) -> Answer:
        matches = index.search(rows[:queries], k + 1, threads=threads)
        found = matches.keys.astype(np.int64)
        found[np.arange(k + 1) >= matches.counts[:, None]] = -1
        return Answer(without_self(found))

    return search


def hnswlib_hnsw(file: Path, k: int, threads: int) -> Search:
    import hnswlib

    rows = np.load(file).astype(np.float32, copy=False)
    index = hnswlib.Index(space="cosine", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), ef_construction=100, M=16, random_seed=SEED)
    index.add_items(rows, num_threads=threads)
    index.set_ef(max(HNSWLIB_EF, k + 1))

    def search(queries: int) -> Answer:
        found, _ = index.knn_query(rows[:queries], k + 1, num_threads=threads)
        return Answer(without_self(found))

    return search


def pynndescent(breadth: int) -> Prepare:
    def prepare(file: Path, k: int, threads: int) -> Search:
        from pynndescent import NNDescent

        rows = np.load(file).astype(np.float32, copy=False)

        def search(queries: int) -> Answer:
            built = NNDescent(
                rows, metric="cosine", n_neighbors=breadth * k, n_jobs=threads, random_state=SEED
            )
            return Answer(without_self(built.neighbor_graph[0][:queries, : k + 1]))

        return search

    return prepare


OURS = {
    "exact": Program("ds2_fast", "ds2-fast", "exact", True, ours()),
    "approx": Program("ds2_fast", "ds2-fast", "recall .99", False, ours(method="approx")),
    "usearch": Program("ds2_fast", "ds2-fast", "by usearch", False, ours(method="usearch")),
    "auto": Program("ds2_fast", "ds2-fast", "chosen by size", False, ours(method="auto")),
}
PEERS = {
    "faiss-flat": Program("faiss", "faiss-cpu", "IndexFlatIP", True, faiss_flat),
    "torch": Program("torch", "torch", f"{CHUNK} rows x pool, topk", True, chunked_torch),
    "numpy": Program("numpy", "numpy", f"{CHUNK} rows x pool, partition", True, chunked_numpy),
    "faiss-hnsw": Program("faiss", "faiss-cpu", "M32 efc100 efs64", False, faiss_hnsw),
    "usearch": Program("usearch", "usearch", "f16 M16 ea128 es64", False, usearch_hnsw),
    "hnswlib": Program("hnswlib", "hnswlib", f"M16 efc100 ef{HNSWLIB_EF}", False, hnswlib_hnsw),
    "pynndescent-2k": Program(
        "pynndescent", "pynndescent", "n_neighbors = 2k", False, pynndescent(2)
    ),
    "pynndescent-3k": Program(
        "pynndescent", "pynndescent", "n_neighbors = 3k", False, pynndescent(3)
    ),
}
