"""Published code that bench_strategies.py compares ours with, called as its users call it.

Packages and unchanged copies of repositories; whatever conversion they need of arrays is made off
the clock.
"""

from __future__ import annotations

import importlib
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategy_inputs import Inputs, Run, dense_rows, read_texts


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


def pyversity(diversity: float, inputs: Inputs) -> Run:
    from pyversity import diversify

    # Without relevance the first row is the first of the largest score: row 0, as for the others.
    scores = inputs.scores if diversity < 1 else np.zeros(len(inputs.rows))
    return lambda: diversify(inputs.rows, scores, inputs.n, "mmr", diversity).indices


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


def data_selection(inputs: Inputs) -> Run:
    from data_selection import HashedNgramDSIR

    folder = Path(tempfile.mkdtemp())
    for name, texts in zip(("raw", "target"), read_texts(inputs), strict=True):
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
