"""Time the exact neighbor search against other exact searches, on real embeddings, in one run.

    python benches/bench_knn.py --embeddings embeddings.npy        # the real thing
    python benches/bench_knn.py --fast                             # made rows, seconds

Every round runs every program once, in turn, so that a disturbance of the machine meets them
alike; the medians of the rounds are compared. A peer answers the first `--queries` rows against the
whole pool, and the time of that (not of its preparation) is scaled up to all rows; such times are
marked `~`. Processor time is what to compare on a machine that is not idle.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.knn import find_neighbors, map_embeddings

Rows = NDArray[Any]
Search = Callable[[int], Rows]
"""Similarities of the neighbors of so many rows, beginning with the first."""

OURS = "ds2-fast"
CHUNK = 1024


@dataclass
class Timing:
    """Seconds of one program, per round, scaled to the whole pool."""

    wall: list[float]
    cpu: list[float]
    scaled: bool


def made_rows(n: int, dim: int) -> Rows:
    rng = np.random.default_rng(42)
    centers = rng.normal(size=(max(n // 60, 1), dim))
    rows = centers[rng.integers(len(centers), size=n)] + rng.normal(size=(n, dim))
    return rows.astype(np.float16)


def prepare_ours(rows: Rows, k: int, threads: int) -> Search:
    return lambda _queries: find_neighbors(rows, k, threads=threads).similarities


def prepare_numpy(rows: Rows, k: int, _threads: int) -> Search:
    """Normalized float32 rows; a matrix product and a partial sort a chunk of queries at a time."""
    wide = rows.astype(np.float32)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)

    def search(queries: int) -> Rows:
        found = np.empty((queries, k), np.float32)
        for start in range(0, queries, CHUNK):
            chunk = wide[start : min(start + CHUNK, queries)]
            similarities = chunk @ wide.T
            at = np.arange(len(chunk))
            similarities[at, start + at] = -np.inf
            nearest = np.argpartition(similarities, -k, axis=1)[:, -k:]
            values = np.take_along_axis(similarities, nearest, axis=1)
            found[start : start + len(chunk)] = np.sort(values, axis=1)[:, ::-1]
        return found

    return search


def prepare_usearch(rows: Rows, k: int, threads: int) -> Search:
    from usearch.index import MetricKind, search

    wide = rows.astype(np.float32)

    def search_exactly(queries: int) -> Rows:
        # The row itself comes first, as nothing is nearer.
        matches = search(wide, wide[:queries], k + 1, MetricKind.Cos, exact=True, threads=threads)
        return 1 - matches.distances[:, 1:]

    return search_exactly


def prepare_faiss(rows: Rows, k: int, threads: int) -> Search:
    import faiss

    faiss.omp_set_num_threads(threads)
    wide = rows.astype(np.float32)
    faiss.normalize_L2(wide)
    index = faiss.IndexFlatIP(wide.shape[1])
    index.add(wide)
    return lambda queries: index.search(wide[:queries], k + 1)[0][:, 1:]


def programs() -> dict[str, Callable[[Rows, int, int], Search]]:
    found = {OURS: prepare_ours, "numpy": prepare_numpy}
    for name, prepare in (("usearch", prepare_usearch), ("faiss", prepare_faiss)):
        if importlib.util.find_spec(name):
            found[f"{name} (exact)"] = prepare
    return found


def clock() -> NDArray[np.float64]:
    return np.array([time.perf_counter(), time.process_time()])


def measure(rows: Rows, k: int, queries: int, rounds: int, threads: int) -> dict[str, Timing]:
    timings: dict[str, Timing] = {}
    exact = None
    for _ in range(rounds):
        for name, prepare in programs().items():
            part = len(rows) if name == OURS else queries
            start = clock()
            search = prepare(rows, k, threads)
            prepared = clock()
            found = search(part)
            wall, cpu = prepared - start + (clock() - prepared) * len(rows) / part
            exact = found if exact is None else exact
            # All of them are exact up to their rounding, or the comparison would not be fair.
            np.testing.assert_allclose(found, exact[:part], rtol=0, atol=1e-3, err_msg=name)
            timing = timings.setdefault(name, Timing([], [], scaled=part < len(rows)))
            timing.wall.append(wall)
            timing.cpu.append(cpu)
    return timings


def table(timings: dict[str, Timing], rows: Rows) -> list[dict[str, Any]]:
    ours = timings[OURS]
    lines = []
    for name, timing in timings.items():
        wall, cpu = statistics.median(timing.wall), statistics.median(timing.cpu)
        lines.append(
            {
                "program": name,
                "wall_s": round(wall, 3),
                "cpu_s": round(cpu, 3),
                "scaled": timing.scaled,
                "times_ours_wall": round(wall / statistics.median(ours.wall), 2),
                "times_ours_cpu": round(cpu / statistics.median(ours.cpu), 2),
                # Each pair once is N^2 d operations; the others compute both halves of the matrix.
                "gflop_per_cpu_s": round(len(rows) ** 2 * rows.shape[1] / cpu / 1e9, 1),
            }
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--embeddings", type=Path, help=".npy, float32 or float16 (N, d)")
    parser.add_argument("--rows", type=int, help="use the first rows only")
    parser.add_argument("-k", type=int, default=50)
    parser.add_argument("--queries", type=int, default=4096, help="rows each peer answers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--fast", action="store_true", help="small made rows, one round")
    options = parser.parse_args()
    if options.fast or options.embeddings is None:
        rows, options.rounds = made_rows(3000, 64), 1
    else:
        rows = np.array(map_embeddings(options.embeddings)[: options.rows])
    queries = min(options.queries, len(rows))
    lines = table(measure(rows, options.k, queries, options.rounds, options.threads), rows)
    n, dim = rows.shape
    print(f"{n:,} x {dim} {rows.dtype}, k = {options.k}, {options.threads} threads")
    for line in lines:
        mark = "~" if line["scaled"] else " "
        print(
            f"{line['program']:<16}"
            f" {mark}{line['wall_s']:8.2f} s wall ({line['times_ours_wall']:6.2f}x)"
            f" {line['cpu_s']:8.2f} s cpu ({line['times_ours_cpu']:6.2f}x)"
            f" {line['gflop_per_cpu_s']:6.1f} GFLOP/s per core"
        )
    if options.json:
        machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        shape = {"n": n, "dim": dim, "dtype": str(rows.dtype), "k": options.k}
        result = machine | shape | {"rounds": options.rounds, "programs": lines}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
