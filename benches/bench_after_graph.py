"""Time every stage after the neighbor graph, as a run calls them one after another.

    python benches/bench_after_graph.py                       # 340,000 made samples, k = 50
    python benches/bench_after_graph.py --graph pool.ds2      # the graph and scores of a real run
    python benches/bench_after_graph.py --fast                # small made samples

Prints milliseconds per stage, wall and processor time, medians of the rounds, beside those of one
pass over the graph's bytes: what a stage that looks at every neighbor can hope for. Reading and
writing the run directory is timed apart. Made samples lie in clusters strewn over the rows; half of
a cluster shares its true score, and all are rated through a T that blurs neighboring scores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ds2_fast import artifacts
from ds2_fast.curation import curate
from ds2_fast.fitting import check_rated, fit
from ds2_fast.information import compare_with_shuffled
from ds2_fast.knn import Neighbors
from ds2_fast.longtail import score_longtail
from ds2_fast.rundir import digest_files
from ds2_fast.selection import rank_samples
from ds2_fast.trust import check_trust
from ds2_fast.uncertainty import bootstrap_transition

CLUSTER = 60
"""Made samples that have each other for neighbors."""

SHARED = 0.5
"""Share of the samples of a cluster that have the cluster's true score; the others have any."""

K = 10
"""Neighbors of the consensus counts and the long-tail score, as in the default preset."""


Times = dict[str, dict[str, float]]
"""Milliseconds of wall and of processor time, by stage."""


@dataclass
class Clock:
    """Seconds of every stage, wall and processor, one pair per round."""

    rounds: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        wall, cpu = perf_counter(), process_time()
        yield
        seconds = (perf_counter() - wall, process_time() - cpu)
        self.rounds.setdefault(name, []).append(seconds)

    def medians(self) -> Times:
        """The medians of the rounds."""
        return {
            name: {
                "wall": 1000 * statistics.median(wall for wall, _ in seconds),
                "cpu": 1000 * statistics.median(cpu for _, cpu in seconds),
            }
            for name, seconds in self.rounds.items()
        }


@dataclass(frozen=True)
class Made:
    """Scores and the neighbor graph they are read through."""

    scores: NDArray[np.int8]
    neighbors: Neighbors
    num_classes: int


def made_graph(rows: int, width: int, num_classes: int, seed: int = 42) -> Made:
    """Clusters strewn over the rows; half of a cluster shares its score, and T blurs all."""
    rng = np.random.default_rng(seed)
    rows -= rows % CLUSTER
    classes = np.arange(num_classes)
    T = np.exp(-1.5 * np.abs(np.subtract.outer(classes, classes)))
    seen = np.cumsum(T / T.sum(axis=1, keepdims=True), axis=1)
    true = np.where(
        rng.random(rows) < SHARED,
        np.repeat(rng.integers(num_classes, size=rows // CLUSTER), CLUSTER),
        rng.integers(num_classes, size=rows),
    )
    members = rng.permutation(rows).astype(np.uint32).reshape(-1, CLUSTER)
    scores = np.empty(rows, np.int8)
    scores[members.ravel()] = np.argmax(rng.random((rows, 1)) < seen[true], axis=1)
    indices = np.empty((rows, width), np.uint32)
    for place in range(CLUSTER):
        steps = rng.permuted(np.tile(np.arange(1, CLUSTER), (len(members), 1)), axis=1)
        columns = (place + steps[:, :width]) % CLUSTER
        indices[members[:, place]] = np.take_along_axis(members, columns, axis=1)
    nearest = rng.beta(6, 3, size=(rows, 1))
    # Strictly descending, so that no tie has to be put in order of the rows.
    farther = np.cumsum(0.1 + rng.random((rows, width)), axis=1) / (2 * width)
    similarities = (nearest * (1 - farther)).astype(np.float32)
    return Made(scores, Neighbors(indices, similarities), num_classes)


def kept_graph(run: Path) -> Made:
    """The graph of a run directory, memory-mapped as a run maps it, and its scores."""
    neighbors = artifacts.NEIGHBORS.load(tuple(run / file for file in artifacts.NEIGHBORS.files))
    scores = pl.read_parquet(run / "scores.parquet")["ds2_score"].fill_null(-1)
    transition = json.loads((run / "transition.json").read_text("utf-8"))
    return Made(scores.cast(pl.Int8).to_numpy(), neighbors, transition["num_classes"])


def one_round(made: Made, clock: Clock, files: Clock, folder: Path) -> None:
    """Every stage once, and what the run directory costs."""
    scores, neighbors = made.scores, made.neighbors
    with clock.stage("check that samples are rated"):
        check_rated(scores, neighbors)
    with clock.stage("consensus counts, T and p"):
        transition = fit(scores, neighbors, made.num_classes, "bayes", K)
    with clock.stage("intervals of T and p"):
        intervals = bootstrap_transition(scores, neighbors, transition)
    with clock.stage("shuffle test (part of curation)"):
        compare_with_shuffled(scores, neighbors, made.num_classes)
    with clock.stage("tuning, shuffle test and curation"):
        curated = curate(scores, neighbors, transition)
    with clock.stage("long-tail score"):
        longtail = score_longtail(neighbors.similarities, k=K)
    with clock.stage("trust check"):
        check_trust(scores, neighbors, transition, curated, intervals=intervals)
    with clock.stage("dual sort"):
        rank_samples(curated.curated, curated.expected, longtail, n=len(scores) // 20)
    graph = tuple(folder / file for file in artifacts.NEIGHBORS.files)
    with files.stage("write the graph"):
        artifacts.NEIGHBORS.save(neighbors, graph)
    with files.stage("digest of the graph"):
        digest_files(graph)
    paths = tuple(folder / file for file in artifacts.CURATED.files)
    with files.stage("write the curation"):
        artifacts.CURATED.save(curated, paths)
    with files.stage("read the curation"):
        artifacts.CURATED.load(paths)


def one_pass(neighbors: Neighbors) -> None:
    """Read every byte of the graph once, one thread."""
    neighbors.indices.max()
    neighbors.similarities.max()


def measure(made: Made, rounds: int) -> dict[str, Times]:
    clock, files, bound = Clock(), Clock(), Clock()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            with bound.stage("one pass over the graph, one thread"):
                one_pass(made.neighbors)
            one_round(made, clock, files, Path(folder))
    stages = clock.medians()
    # Curation shuffles by itself; alone, it is timed a second time.
    once = [times for name, times in stages.items() if "part of" not in name]
    stages["total"] = {kind: sum(times[kind] for times in once) for kind in ("wall", "cpu")}
    return {"stages": stages, "bound": bound.medians(), "run directory": files.medians()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=340_000)
    parser.add_argument("--width", type=int, default=50, help="neighbors a sample has, at most 59")
    parser.add_argument("--classes", type=int, default=6)
    parser.add_argument("--graph", type=Path, help="run directory of a real run")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--fast", action="store_true", help="6,000 made samples, one round")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    if options.fast:
        options.rows, options.rounds = 6_000, 1
    if options.graph is not None:
        made = kept_graph(options.graph)
    else:
        made = made_graph(options.rows, options.width, options.classes)
    rows, width = made.neighbors.indices.shape
    found = measure(made, options.rounds)
    if options.json:
        head = {"machine": platform.platform(), "cores": os.cpu_count(), "rounds": options.rounds}
        print(json.dumps({**head, "rows": rows, "width": width, "ms": found}, indent=1))
        return
    print(f"{rows:,} samples, {width} neighbors, K = {made.num_classes}, {os.cpu_count()} cores")
    for title, times in found.items():
        print(f"\n{f'{title}, median of {options.rounds}':<38}{'wall, ms':>9}{'CPU, ms':>9}")
        for name, value in times.items():
            print(f"  {name:<36}{value['wall']:>9.2f}{value['cpu']:>9.2f}")


if __name__ == "__main__":
    main()
