r"""Time the lexical space against scikit-learn, and ask how well its neighbors predict ratings.

    python benches/bench_lexical.py --pool alpaca.parquet --rating rating_gpt4o_mini \
        --embeddings minilm.npy                                    # the real thing
    python benches/bench_lexical.py --fast                         # made texts, seconds

Every round runs every program once, in turn; medians are compared. scikit-learn, where it is
installed, fits the same weights and the same number of directions on the same sample, its tokens
found by a regular expression. Processor time is what to compare on a machine that is not idle.

The second table is for `--rating`: of `--queries` samples, the Spearman correlation of the own
rating with the mean rating of the 10 nearest other samples, in each space.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.knn import map_embeddings
from ds2_fast.lexical import Lexical, fit_lexical, hybrid
from ds2_fast.pool import read_pool

Rows = NDArray[np.float32]
Program = Callable[[list[str], int, int], Rows]

OURS = "ds2-fast"
SAMPLE = 20_000
NEIGHBORS = 10
CHUNK = 500


def made_texts(n: int) -> list[str]:
    rng = np.random.default_rng(42)
    words = np.array([f"word{i}" for i in range(20_000)])
    places = np.minimum(rng.zipf(1.3, size=(n, 60)) - 1, len(words) - 1)
    return [" ".join(row) for row in words[places]]


def run_ours(texts: list[str], dim: int, threads: int) -> Rows:
    return fit_lexical(texts, dim=dim, threads=threads).rows


def run_sklearn(texts: list[str], dim: int, _threads: int) -> Rows:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    vectorizer = TfidfVectorizer(
        token_pattern=r"[^\W\d_]+|\d+|[^\w\s]|_",  # letters, digits and symbols apart
        min_df=2,
        sublinear_tf=True,
        dtype=np.float32,
    )
    weights = vectorizer.fit_transform(texts)
    svd = TruncatedSVD(dim, n_iter=2, random_state=42)  # as many products as ours
    svd.fit(weights[:: -(-len(texts) // SAMPLE)])
    return normalize(svd.transform(weights))


def programs() -> dict[str, Program]:
    found: dict[str, Program] = {OURS: run_ours}
    if importlib.util.find_spec("sklearn"):
        found["scikit-learn"] = run_sklearn
    return found


def measure(texts: list[str], dim: int, rounds: int, threads: int) -> list[dict[str, Any]]:
    clocks: dict[str, list[tuple[float, float]]] = {}
    for _ in range(rounds):
        for name, run in programs().items():
            wall, cpu = time.perf_counter(), time.process_time()
            rows = run(texts, dim, threads)
            clocks.setdefault(name, []).append(
                (time.perf_counter() - wall, time.process_time() - cpu)
            )
            assert rows.shape == (len(texts), dim), name
    medians = {
        name: [statistics.median(clock) for clock in zip(*times, strict=True)]
        for name, times in clocks.items()
    }
    return [
        {
            "program": name,
            "wall_s": round(wall, 2),
            "cpu_s": round(cpu, 2),
            "times_ours_wall": round(wall / medians[OURS][0], 1),
            "times_ours_cpu": round(cpu / medians[OURS][1], 1),
        }
        for name, (wall, cpu) in medians.items()
    ]


def spaces(fit: Lexical, embeddings: NDArray[Any] | None) -> dict[str, Rows]:
    """The lexical space, its weightings and its joins with the embeddings."""
    rank = len(fit.singular_values)
    rows, values = fit.rows[:, :rank], fit.singular_values.astype(np.float32)
    found = {"lexical": rows}
    found |= {f"lexical, first {d}": unit(rows[:, :d]) for d in (64, 128) if d < rank}
    found["lexical, times singular values"] = unit(rows * values)
    found["lexical, over singular values"] = unit(rows / values)
    if embeddings is not None:
        found["embeddings"] = unit(embeddings.astype(np.float32))
        found |= {f"hybrid, weight {w}": hybrid(embeddings, rows, w) for w in (0.5, 1.0)}
    return found


def unit(rows: Rows) -> Rows:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def predictions(rows: Rows, queries: NDArray[np.int64], ratings: NDArray[Any]) -> NDArray[Any]:
    """Mean rating of the nearest other samples of each query."""
    means = []
    for start in range(0, len(queries), CHUNK):
        chunk = queries[start : start + CHUNK]
        similarities = rows[chunk] @ rows.T
        similarities[np.arange(len(chunk)), chunk] = -np.inf
        nearest = np.argpartition(similarities, -NEIGHBORS, axis=1)[:, -NEIGHBORS:]
        means.append(ratings[nearest].mean(axis=1))
    return np.concatenate(means)


def spearman(x: NDArray[Any], y: NDArray[Any]) -> float:
    def ranks(values: NDArray[Any]) -> NDArray[np.float64]:
        _, group, count = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(count) - (count - 1) / 2)[group]

    return float(np.corrcoef(ranks(x), ranks(y))[0, 1])


def rho_table(
    texts: list[str],
    ratings: dict[str, NDArray[Any]],
    embeddings: NDArray[Any] | None,
    options: argparse.Namespace,
) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    queries = np.sort(rng.choice(len(texts), min(options.queries, len(texts)), replace=False))
    found = spaces(fit_lexical(texts, dim=options.dim), embeddings)
    return [
        {"space": name}
        | {
            rating: round(spearman(predictions(rows, queries, values), values[queries]), 3)
            for rating, values in ratings.items()
        }
        for name, rows in found.items()
    ]


def show(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        name, *rest = line.items()
        print(f"{name[1]:<32}" + "".join(f"  {key} {value}" for key, value in rest))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", type=Path, help="any pool of samples")
    parser.add_argument("--rating", action="append", default=[], help="column of ratings")
    parser.add_argument("--embeddings", type=Path, help=".npy of the same samples")
    parser.add_argument("--rows", type=int, help="use the first rows only")
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--queries", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3, help="0 skips the timing")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--fast", action="store_true", help="made texts, one round")
    options = parser.parse_args()
    ratings, embeddings = {}, None
    if options.fast or options.pool is None:
        texts, options.rounds = made_texts(3000), 1
    else:
        pool = read_pool(options.pool)
        texts = pool.texts()[: options.rows]
        ratings = {name: pool.frame[name].to_numpy()[: options.rows] for name in options.rating}
        if options.embeddings:
            embeddings = np.array(map_embeddings(options.embeddings)[: options.rows])
    result: dict[str, Any] = {"n": len(texts), "bytes": sum(len(t.encode()) for t in texts)}
    print(f"{result['n']:,} texts, {result['bytes'] / 1e6:.1f} MB, {options.threads} threads")
    if options.rounds:
        result["programs"] = measure(texts, options.dim, options.rounds, options.threads)
        show(result["programs"])
    if ratings:
        result["rho"] = rho_table(texts, ratings, embeddings, options)
        show(result["rho"])
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
