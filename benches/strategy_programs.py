"""The programs that bench_strategies.py compares: ours, and published code as users call it.

A program gets inputs in memory and returns the rows it chose, in order of choice, or, where it only
scores, a number for each. Whatever conversion a program needs of arrays is made off the clock.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategy_inputs import GRAPH_K, Inputs

Run = Callable[[], NDArray[Any]]
Prepare = Callable[[Inputs], Run]

LAMBDA = 0.5
BUCKETS = 10_000
DENSE_SHARE = 5
"""Dense facility location gets a fifth of the pool: its matrix grows with the square."""


@dataclass(frozen=True)
class Program:
    """A program, and what it is called with.

    Attributes:
        module: what it needs to import.
        distribution: what has to be installed for that.
        settings: in words.
        prepare: from inputs to what is timed.
        repository: name of the copy of published code it runs; None = it is a package.
    """

    module: str
    distribution: str
    settings: str
    prepare: Prepare
    repository: str | None = None

    def lacks(self, repositories: Path | None) -> str | None:
        """Say what is missing; None = nothing."""
        if find_spec(self.module) is None:
            return f"{self.distribution} is not installed"
        if self.repository and not (repositories and (repositories / self.repository).is_dir()):
            return f"there is no copy of {self.repository}; see --repositories"
        return None


def lifted(prepare: Prepare) -> Prepare:
    """Give every row one more coordinate, so that no cosine is negative: (1 + cosine) / 2.

    Pyversity takes negative cosines for 0; between rows like these it means what we do.
    """

    def prepare_lifted(inputs: Inputs) -> Run:
        one = np.ones((len(inputs.rows), 1), np.float32)
        rows = np.concatenate([inputs.rows, one], axis=1) / np.float32(np.sqrt(2))
        return prepare(replace(inputs, rows=rows))

    return prepare_lifted


def places(count: int) -> NDArray[np.uint32]:
    return np.arange(count, dtype=np.uint32)


def ours_apart(threshold: float, inputs: Inputs) -> Run:
    from ds2_fast import _core

    def run() -> NDArray[Any]:
        order = np.argsort(-inputs.scores, kind="stable").astype(np.uint32)
        return _core.keep_apart(
            inputs.rows, order, threshold, inputs.n, False, inputs.threads, None
        )[0]

    return run


def deita(threshold: float, inputs: Inputs) -> Run:
    import pandas
    import torch

    torch.set_num_threads(inputs.threads)
    # The filter alone: the package's own start imports the trainers.
    for package in ("deita", "deita.pipeline", "deita.selection", "deita.selection.filter"):
        module = ModuleType(package)
        module.__path__ = [str(inputs.repositories / "deita" / "src" / package.replace(".", "/"))]
        sys.modules[package] = module
    published = importlib.import_module("deita.selection.filter.combined_filter")
    chosen = published.Combined_Filter(
        threshold=threshold,
        data_size=inputs.n,
        sort_key="complexity_scores,quality_scores",
        chunk_size=100_000,
        device="cpu",
    )
    columns = {"embedding": list(inputs.rows), "idx": range(len(inputs.rows))}
    columns["complexity_scores"] = [[score] for score in inputs.scores.tolist()]  # one a turn
    columns["quality_scores"] = [[1.0]] * len(inputs.rows)
    frame = pandas.DataFrame(columns)
    return lambda: np.array(chosen.filter(frame)["idx"])


def ours_centers(inputs: Inputs) -> Run:
    from ds2_fast import _core

    chosen, candidates = places(1), places(len(inputs.rows))[1:]
    groups = np.zeros_like(candidates)

    def run() -> NDArray[Any]:
        found = _core.choose_centers(
            inputs.rows, chosen, candidates, groups, [inputs.n - 1], False, inputs.threads, None
        )
        return np.concatenate([chosen, found[0]])

    return run


def active_learning(inputs: Inputs) -> Run:
    sys.path.insert(0, str(inputs.repositories / "active-learning"))
    published = importlib.import_module("sampling_methods.kcenter_greedy")
    sampler = published.kCenterGreedy(inputs.rows, None, 0)

    def run() -> NDArray[Any]:
        # The loop of its `select_batch_`, whose last line, a print, fails with numpy 2.
        chosen = [0]
        sampler.update_distances(chosen)
        while len(chosen) < inputs.n:
            chosen.append(int(np.argmax(sampler.min_distances)))
            sampler.update_distances(chosen[-1:])
        return np.array(chosen)

    return run


def ours_marginal(inputs: Inputs) -> Run:
    from ds2_fast import _core

    none, candidates = places(0), places(len(inputs.rows))
    return lambda: _core.choose_marginal(
        *(inputs.rows, none, candidates, inputs.scores, LAMBDA),
        *(inputs.n, False, inputs.threads, None),
    )[0]


def pyversity(diversity: float, inputs: Inputs) -> Run:
    from pyversity import diversify

    # Without relevance the first row is the first of the largest score: row 0, as for the others.
    scores = inputs.scores if diversity < 1 else np.zeros(len(inputs.rows))
    return lambda: diversify(inputs.rows, scores, inputs.n, "mmr", diversity).indices


def ours_facility(inputs: Inputs) -> Run:
    from ds2_fast import _core

    candidates = places(len(inputs.neighbors))
    scores = np.zeros(len(candidates))
    return lambda: _core.locate_facilities(
        inputs.neighbors, inputs.similarities, GRAPH_K, candidates, scores, inputs.n, None
    )[0]


def sparse_weights(inputs: Inputs) -> Any:  # noqa: ANN401 - scipy has no types
    """Return the weights that `locate_facilities` documents, as a sparse matrix."""
    from scipy.sparse import csr_matrix, identity

    count, k = inputs.neighbors.shape
    weights = np.maximum(inputs.similarities.ravel().astype(np.float64), 0)
    starts = np.arange(count + 1) * k
    listed = csr_matrix((weights, inputs.neighbors.ravel().astype(np.int64), starts), (count,) * 2)
    return (listed.maximum(listed.T)).maximum(identity(count)).tocsr()


def apricot_sparse(inputs: Inputs) -> Run:
    from apricot import FacilityLocationSelection

    weights = sparse_weights(inputs)
    return lambda: (
        FacilityLocationSelection(inputs.n, metric="precomputed", optimizer="lazy")
        .fit(weights)
        .ranking
    )


def dense_rows(inputs: Inputs) -> tuple[NDArray[np.float32], int]:
    return inputs.rows[: len(inputs.rows) // DENSE_SHARE], max(inputs.n // DENSE_SHARE, 1)


def ours_dense(inputs: Inputs) -> Run:
    from ds2_fast import _core

    rows, n = dense_rows(inputs)

    def run() -> NDArray[Any]:
        graph = _core.knn_exact(rows, GRAPH_K, inputs.threads, False, None)
        return _core.locate_facilities(
            *graph, GRAPH_K, places(len(rows)), np.zeros(len(rows)), n, None
        )[0]

    return run


def submodlib_dense(inputs: Inputs) -> Run:
    from submodlib import FacilityLocationFunction

    rows, n = dense_rows(inputs)

    def run() -> NDArray[Any]:
        function = FacilityLocationFunction(
            n=len(rows), mode="dense", data=rows, metric="euclidean"
        )
        chosen = function.maximize(budget=n, optimizer="LazyGreedy", show_progress=False)
        return np.array([row for row, _ in chosen])

    return run


def apricot_dense(inputs: Inputs) -> Run:
    from apricot import FacilityLocationSelection

    rows, n = dense_rows(inputs)
    return lambda: FacilityLocationSelection(n, metric="cosine", optimizer="lazy").fit(rows).ranking


def ours_importance(inputs: Inputs) -> Run:
    from ds2_fast import _core

    return lambda: _core.weigh_importance(inputs.texts, inputs.target, BUCKETS, 1.0, 1, None)


def data_selection(inputs: Inputs) -> Run:
    from data_selection import HashedNgramDSIR

    folder = Path(tempfile.mkdtemp())
    for name, texts in (("raw", inputs.texts), ("target", inputs.target)):
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    dsir = HashedNgramDSIR(
        [str(folder / "raw.jsonl")],
        [str(folder / "target.jsonl")],
        cache_dir=str(folder / "cache"),
        num_proc=1,
    )

    def run() -> NDArray[Any]:
        dsir.fit_importance_estimator()
        dsir.compute_importance_weights()
        return np.load(folder / "cache" / "log_importance_weights" / "0.npy")

    return run


def ours(settings: str, prepare: Prepare) -> Program:
    return Program("ds2_fast", "ds2-fast", settings, prepare)


def filters(threshold: float) -> dict[str, Program]:
    published = partial(deita, threshold)
    return {
        "ds2-fast": ours(f"cosine <= {threshold}", partial(ours_apart, threshold)),
        "deita": Program("pandas", "pandas", "Combined_Filter, cpu", published, "deita"),
    }


CASES: dict[str, dict[str, Program]] = {
    "deita 0.9": filters(0.9),
    "deita 0.5": filters(0.5),
    "kcenter": {
        "ds2-fast": ours("from row 0", ours_centers),
        "active-learning": Program(
            "sklearn",
            "scikit-learn",
            "its update_distances, L2",
            active_learning,
            "active-learning",
        ),
    },
    "kcenter, lifted": {
        "ds2-fast": ours("from row 0", lifted(ours_centers)),
        "pyversity": Program(
            "pyversity", "pyversity", "mmr, diversity 1", lifted(partial(pyversity, 1.0))
        ),
    },
    "mmr, lifted": {
        "ds2-fast": ours(f"lambda {LAMBDA}", lifted(ours_marginal)),
        "pyversity": Program(
            "pyversity",
            "pyversity",
            f"mmr, diversity {LAMBDA}",
            lifted(partial(pyversity, LAMBDA)),
        ),
    },
    "facility, same graph": {
        "ds2-fast": ours(f"{GRAPH_K} neighbors", ours_facility),
        "apricot": Program("apricot", "apricot-select", "precomputed, lazy", apricot_sparse),
    },
    "facility, a fifth of the rows": {
        "ds2-fast": ours(f"graph of {GRAPH_K} and choice", ours_dense),
        "submodlib": Program(
            "submodlib", "submodlib-py", "dense, euclidean, LazyGreedy", submodlib_dense
        ),
        "apricot": Program("apricot", "apricot-select", "dense, cosine, lazy", apricot_dense),
    },
    "dsir": {
        "ds2-fast": ours("1 thread", ours_importance),
        "data-selection": Program("data_selection", "data-selection", "1 process", data_selection),
    },
}
