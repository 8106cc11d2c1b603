"""What is known of a pool before anyone says how many samples are wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast import artifacts
from ds2_fast.calibration import Audit, Calibration, SecondRater, calibrate
from ds2_fast.curation import Curated, Mode, curate
from ds2_fast.features import Features
from ds2_fast.fitting import check_rated, fit, graph_width
from ds2_fast.graphing import make_graph
from ds2_fast.knn import MethodName, Neighbors
from ds2_fast.line import Line
from ds2_fast.longtail import Definition, score_longtail
from ds2_fast.progress import Progress
from ds2_fast.projection import Projection, project_rows
from ds2_fast.rundir import Stage
from ds2_fast.transition import Transition
from ds2_fast.trust import Trust, check_trust
from ds2_fast.uncertainty import REPLICATES, Intervals, bootstrap_transition

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.panel import Panel
    from ds2_fast.pool import Scores


@dataclass(frozen=True)
class Analysis:
    """The stages from the features to the trust check.

    Attributes:
        scores: the scores as rated.
        status: for ratings made in this run, why one is missing, a word per row.
        features: the rows in which neighbors were sought.
        neighbors: the k-NN graph.
        transition: T and p.
        intervals: how far T and p could be off.
        calibration: the noise share and where it comes from.
        curated: the curated scores.
        longtail: float64 `(N,)`, the long-tail scores.
        projection: where every sample lies on a map.
        trust: whether to believe the curation.
        panel: the analysis of each rater where there are several (see `ds2_fast.panel`).
    """

    scores: Scores
    status: pl.Series | None
    features: Features
    neighbors: Neighbors
    transition: Stage[Transition]
    intervals: Stage[Intervals]
    calibration: Calibration
    curated: Stage[Curated]
    longtail: Stage[NDArray[np.float64]]
    projection: Stage[Projection]
    trust: Trust
    panel: Panel | None = None


@dataclass(frozen=True)
class Recipe:
    """How scores are judged by those of neighbors.

    Attributes:
        curation: curation mode.
        k: neighbors of the consensus counts and the long-tail score.
        longtail: definition of the long-tail score.
        knn: method that finds the neighbors.
        recall: share of the true neighbors that is enough.
        seed: of the resampling, the shuffles, the intervals and the rounds of `reference`.
        threads: for the neighbor search, at most so many; the other stages are short and run on
            rayon's global pool.
    """

    curation: Mode
    k: int
    longtail: Definition
    knn: MethodName
    recall: float
    seed: int
    threads: int | None


def analyze(
    line: Line,
    scores: Scores,
    features: Features,
    recipe: Recipe,
    *,
    status: pl.Series | None,
    noise: float | SecondRater | Audit,
) -> Analysis:
    """Find neighbors, fit T and p, curate, score the long tail, draw the map, check the trust.

    Args:
        line: where the artifacts go.
        scores: the scores of the pool.
        features: rows to seek neighbors in.
        recipe: how they are judged.
        status: why ratings are missing, if they were made in this run.
        noise: share of neighbor disagreement that is rater noise, or what tells it.

    Raises:
        PoolError: if too few of the pool are rated.
    """
    rows, curation, k, seed = len(scores.values), recipe.curation, recipe.k, recipe.seed
    width = graph_width(curation, k, rows)
    graph = make_graph(
        line, features, width, method=recipe.knn, recall=recipe.recall, threads=recipe.threads
    )
    check_rated(scores.values, graph.value)
    rated = {"scores": artifacts.digest_array(scores.values), "neighbors": graph.digest}
    transition = line.stage(
        "transition",
        artifacts.TRANSITION,
        lambda _: fit(scores.values, graph.value, scores.num_classes, curation, k),
        inputs=rated,
        params={"num_classes": scores.num_classes, "mode": curation, "k": k},
        unit="steps",
        told=lambda value: (
            f"fitted T and p for {value.num_classes} score classes in {value.steps:,} steps"
        ),
    )
    fitted = {**rated, "transition": transition.digest}
    intervals = line.stage(
        "intervals",
        artifacts.INTERVALS,
        lambda _: bootstrap_transition(scores.values, graph.value, transition.value, seed=seed),
        inputs=fitted,
        params={"replicates": REPLICATES, "seed": seed},
        unit="replicates",
        told=lambda value: (
            f"resampled {value.blocks:,} blocks of neighbors {value.replicates} times"
        ),
    )
    calibration, told = _calibrate(
        line,
        noise,
        lambda evidence, progress: calibrate(
            scores.values, graph.value, transition.value, evidence, seed=seed, progress=progress
        ),
        inputs=fitted,
        seed=seed,
    )
    curated = line.stage(
        "curation",
        artifacts.CURATED,
        lambda progress: curate(
            scores.values,
            graph.value,
            transition.value,
            mode=curation,
            noise_share=calibration.noise_share,
            audit=calibration.audit,
            seed=seed,
            progress=progress,
        ),
        inputs={**fitted, **told},
        params={"mode": curation, "noise_share": calibration.noise_share, "seed": seed},
        unit="rounds",
        told=_tell_curation,
    )
    tail = line.stage(
        "long tail",
        artifacts.LONGTAIL,
        lambda progress: score_longtail(graph.value.similarities, k=k, definition=recipe.longtail),
        inputs={"neighbors": graph.digest},
        params={"k": k, "definition": recipe.longtail},
        unit="rows",
        told=lambda value: f"scored the rarity of {len(value):,} samples",
    )
    projection = lay_out(line, features, seed)
    trust = check_trust(
        scores.values,
        graph.value,
        transition.value,
        curated.value,
        intervals=intervals.value,
        labels=scores.labels,
        noise_share_origin=calibration.words,
        seed=seed,
    )
    return Analysis(
        scores,
        status,
        features,
        graph.value,
        transition,
        intervals,
        calibration,
        curated,
        tail,
        projection,
        trust,
    )


def lay_out(line: Line, features: Features, seed: int) -> Stage[Projection]:
    """Lay every sample out on a map.

    Args:
        line: where the artifacts go.
        features: the rows.
        seed: of the rows that the two directions are found from.
    """
    return line.stage(
        "map",
        artifacts.PROJECTION,
        lambda progress: project_rows(features.rows, seed=seed, progress=progress),
        inputs={"features": features.digest},
        params={"seed": seed},
        unit="rows",
        told=lambda value: f"laid {len(value.places):,} samples out on a map",
    )


def _calibrate(
    line: Line,
    noise: float | SecondRater | Audit,
    compute: Callable[[SecondRater | Audit, Progress], Calibration],
    *,
    inputs: dict[str, str],
    seed: int,
) -> tuple[Calibration, dict[str, str]]:
    """Find the noise share, and give the digest of what it was found by."""
    if isinstance(noise, float | int):
        return Calibration("assumed", float(noise)), {}
    heard = {f"evidence {n}": artifacts.digest_array(part) for n, part in enumerate(noise.arrays)}
    stage = line.stage(
        "calibration",
        artifacts.CALIBRATION,
        lambda progress: compute(noise, progress),
        inputs={**inputs, **heard},
        params={"source": noise.name, "seed": seed},
        unit="steps",
        told=lambda value: f"{value.noise_share:.0%} of the disagreement is noise, {value.words}",
    )
    return stage.value, {"calibration": stage.digest}


def _tell_curation(value: Curated) -> str:
    if value.switched_off:
        return f"left every score as it was: {value.switched_off}"
    return f"changed {value.changed:,} of {len(value.curated):,} scores, mode {value.mode}"
