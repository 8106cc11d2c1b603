"""Comparing raters of one pool, without selecting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ds2_fast.analysis import Recipe
from ds2_fast.curation import Mode
from ds2_fast.errors import PoolError
from ds2_fast.features import usual_space
from ds2_fast.gathering import Wanted, gather
from ds2_fast.knn import MethodName, check_choice
from ds2_fast.line import open_line
from ds2_fast.noise import read_noise
from ds2_fast.panel import Panel, analyze_raters, raters_named
from ds2_fast.presets import PRESETS, PresetName, check_neighbors, neighbors_counted
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.rater_report import report_panel
from ds2_fast.raters import Combined, Pair, Worth
from ds2_fast.source import open_pool
from ds2_fast.transition import Transition
from ds2_fast.trust import Trust

LEAST_RATERS = 2


@dataclass(frozen=True)
class RaterComparison:
    """What several raters of one pool make of it.

    Attributes:
        names: the raters' columns, in the order named.
        pairs: how each two agree.
        worth: what each is worth.
        transitions: T and p of each.
        trust: what neighbors know about the scores of each.
        combined: their one score, row by row.
        report: all of it, JSON-able, as `ds2-fast raters compare --json` prints it.
    """

    names: tuple[str, ...]
    pairs: tuple[Pair, ...]
    worth: tuple[Worth, ...]
    transitions: tuple[Transition, ...]
    trust: tuple[Trust, ...]
    combined: Combined
    report: dict[str, Any]


def compare_raters(
    data: object,
    score_col: Sequence[str],
    *,
    scale: str | None = None,
    embeddings: str | Path | NDArray[Any] | None = None,
    embedder: str | None = None,
    space: str | None = None,
    preset: PresetName = "default",
    curation: Mode | None = None,
    noise_share: float | None = None,
    second_rater: str | None = None,
    audit: str | Path | None = None,
    k: int | None = None,
    knn: MethodName = "auto",
    recall: float = 0.99,
    seed: int = 42,
    threads: int | None = None,
    run_dir: str | Path | None = None,
    offline: bool = False,
    pool_options: Mapping[str, Any] | None = None,
    narrator: Narrator = QUIET,
) -> RaterComparison:
    """Compare several raters of a pool: how they agree, what neighbors know of each, its worth.

    Each is curated on its own over one neighbor graph. `select` on the same run directory, with the
    same raters, uses what was made.

    Args:
        data: the pool, see `ds2_fast.select`.
        score_col: the raters' columns, at least two.
        scale: of all their scores; None decides by the values of each.
        embeddings: `(N, d)` array, `.npy` file or list column, row for row; None makes them.
        embedder: model name, folder or hub id.
        space: as for `select`; `"auto"` compares spaces by the first rater.
        preset: `"default"`, `"paper"` or `"reference"`.
        curation: `"bayes"`, `"paper"`, `"reference"` or `"none"`; None is the preset's.
        noise_share: share of neighbor disagreement that is rater noise, of each rater; None is 0.5,
            an assumption, unless one of the next two tells it.
        second_rater: column of a further rater, who is not compared.
        audit: file with a person's scores of at least 50 samples.
        k: neighbors of the consensus counts.
        knn: how neighbors are found.
        recall: share of the true neighbors that is enough.
        seed: of everything random.
        threads: at most so many.
        run_dir: folder of the artifacts, see `ds2_fast.select`.
        offline: open no socket.
        pool_options: how the pool is read, see `ds2_fast.pool.read_pool`.
        narrator: is told what happens.

    Returns:
        The agreement of each two, and T, p, trust check and worth of each.

    Raises:
        PoolError: if the pool or its scores cannot be used, or fewer than two raters are named.
        ModelError: if the model that embeds cannot be had.
        ValueError: if `k`, `knn`, `recall` or the preset is not fit.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {preset!r}")
    check_neighbors(k)
    check_choice(knn, recall)
    columns = raters_named(score_col)
    if len(columns) < LEAST_RATERS:
        raise PoolError(
            "one rater cannot be compared with others", "name each with `--score-col`, two or more"
        )
    defaults = PRESETS[preset]
    curation = curation or defaults.curation
    pool, folder = open_pool(data, run_dir, pool_options, narrator)
    source = read_noise(
        pool,
        noise_share=noise_share,
        second_rater=second_rater,
        audit=audit,
        curation=curation,
    )
    wanted = Wanted(
        columns=columns,
        scale=scale,
        embeddings=embeddings,
        embedder=embedder,
        space=usual_space(defaults, space, embeddings, embedder),
        offline=offline,
        seed=seed,
        threads=threads,
    )
    with open_line(folder, narrator) as line:
        gathered = gather(line, pool, wanted, source, pool_options)
        recipe = Recipe(
            curation,
            neighbors_counted(k, defaults, len(pool)),
            defaults.longtail,
            knn,
            recall,
            seed,
            threads,
        )
        found = analyze_raters(line, gathered.rated, gathered.features, recipe, gathered.noise)
    assert found.panel is not None, "there are two raters or more"
    return _comparison(found.panel)


def _comparison(panel: Panel) -> RaterComparison:
    return RaterComparison(
        names=panel.names,
        pairs=panel.pairs,
        worth=panel.worth,
        transitions=tuple(member.transition.value for member in panel.members),
        trust=tuple(member.trust for member in panel.members),
        combined=panel.combined,
        report=report_panel(panel),
    )
