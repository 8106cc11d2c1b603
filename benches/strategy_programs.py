"""The programs that bench_strategies.py compares: ours, and published code as users call it.

A program gets inputs in memory and returns the rows it chose, in order of choice, or, where it only
scores, a number for each. Whatever conversion a program needs of arrays is made off the clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strategy_inputs import GRAPH_K, Inputs, Run, dense_rows, read_texts
from strategy_published import (
    active_learning,
    apricot_dense,
    apricot_sparse,
    data_selection,
    deita,
    pyversity,
    submodlib_dense,
)

Prepare = Callable[[Inputs], Run]

LAMBDA = 0.5
BUCKETS = 10_000


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


def ours_marginal(inputs: Inputs) -> Run:
    from ds2_fast import _core

    none, candidates = places(0), places(len(inputs.rows))
    return lambda: _core.choose_marginal(
        *(inputs.rows, none, candidates, inputs.scores, LAMBDA),
        *(inputs.n, False, inputs.threads, None),
    )[0]


def ours_facility(inputs: Inputs) -> Run:
    from ds2_fast import _core

    candidates = places(len(inputs.neighbors))
    scores = np.zeros(len(candidates))
    return lambda: _core.locate_facilities(
        inputs.neighbors, inputs.similarities, GRAPH_K, candidates, scores, inputs.n, None
    )[0]


def ours_dense(inputs: Inputs) -> Run:
    from ds2_fast import _core

    rows, n = dense_rows(inputs)

    def run() -> NDArray[Any]:
        graph = _core.knn_exact(rows, GRAPH_K, inputs.threads, False, None)
        return _core.locate_facilities(
            *graph, GRAPH_K, places(len(rows)), np.zeros(len(rows)), n, None
        )[0]

    return run


def ours_importance(inputs: Inputs) -> Run:
    from ds2_fast import _core

    texts, target = read_texts(inputs)
    return lambda: _core.weigh_importance(texts, target, BUCKETS, 1e-8, 1, None)


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
