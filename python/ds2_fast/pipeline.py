"""The line of stages, from the pool to the selection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import artifacts
from ds2_fast.curation import Curated, curate
from ds2_fast.errors import PoolError, TrustError
from ds2_fast.features import Features, make_features
from ds2_fast.fitting import fit
from ds2_fast.knn import Neighbors, find_neighbors
from ds2_fast.line import Line, default_run_dir, open_line
from ds2_fast.longtail import score_longtail
from ds2_fast.presets import PRESETS, Preset, graph_width
from ds2_fast.progress import QUIET, Narrator, Progress
from ds2_fast.rundir import Stage, write_json
from ds2_fast.scoresheet import score_sheet
from ds2_fast.scoring import pool_scores
from ds2_fast.selection import rank_samples
from ds2_fast.sizes import parse_sizes, sized
from ds2_fast.terminal import duration
from ds2_fast.transition import Transition
from ds2_fast.trust import Trust, check_trust

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool, Scores

REPORT = "report.json"


@dataclass(frozen=True)
class Result:
    """What a run found.

    Args:
        indices: pool rows of the chosen samples, best first, uint32; empty if nothing was to be
            selected.
        sizes: the subset sizes asked for, ascending; each subset is a prefix of `indices`.
        frame: the chosen samples with the pool's own columns, best first.
        scores: one row per pool row, in pool order, with the `ds2_` columns.
        transition: the fitted score transition matrix T and prior p.
        trust: what the neighbors know about the scores, and whether to believe the curation.
        report: every number of the closing summary, JSON-able.
        manifest: keys, digests, parameters and seconds of the stages.
        run_dir: where all of it is kept; None for a run that was not kept.
    """

    indices: NDArray[np.uint32]
    sizes: tuple[int, ...]
    frame: pl.DataFrame
    scores: pl.DataFrame
    transition: Transition
    trust: Trust
    report: dict[str, Any]
    manifest: dict[str, Any]
    run_dir: Path | None


@dataclass(frozen=True)
class Analysis:
    """Everything about a pool that does not depend on how many samples are wanted."""

    scores: Scores
    status: pl.Series | None
    features: Features
    neighbors: Neighbors
    transition: Stage[Transition]
    curated: Stage[Curated]
    longtail: Stage[NDArray[np.float64]]
    trust: Trust


def select(
    data: Any,
    n: int | str | Sequence[int | str] | None,
    *,
    output: str | Path | None = None,
    score_col: str | None = None,
    scale: str | None = None,
    model: str | None = None,
    embeddings: str | Path | NDArray[Any] | None = None,
    embedder: str | None = None,
    space: str | None = None,
    preset: str = "default",
    curation: str | None = None,
    noise_share: float = 0.5,
    k: int | None = None,
    keep_outliers: bool = False,
    seed: int = 42,
    threads: int | None = None,
    run_dir: str | Path | None = None,
    offline: bool = False,
    strict: bool = False,
    add_columns: bool = False,
    pool_options: Mapping[str, Any] | None = None,
    rating_options: Mapping[str, Any] | None = None,
    narrator: Narrator = QUIET,
) -> Result:
    """Choose the best n samples of a pool: rate, embed, curate, select.

    Args:
        data: path of the pool (or several), polars or pandas frame, list of dicts, or Hugging Face
            dataset.
        n: how many samples: a number, a share such as `"5%"`, or several of them for nested
            subsets; None to curate without selecting.
        output: file of the subset; its extension picks the format. Several sizes write one file
            each, `name-1000.jsonl` and so on. None writes none.
        score_col: column with the scores; None looks for a column of a known name.
        scale: `"0-5"`, `"1-10"` (compressed to 0..5 as published) or `"observed"`; None decides by
            the values.
        model: litellm name of the LLM that rates the pool if it has no scores.
        embeddings: `(N, d)` array, `.npy` file or list column, row for row; None makes them.
        embedder: model name, folder or hub id; `"lexical"` is `space="lexical"`.
        space: `"embedding"`, `"lexical"`, `"hybrid"` or an `.npy` file.
        preset: `"default"`, `"paper"` or `"reference"`: the defaults of everything below.
        curation: `"bayes"`, `"paper"`, `"reference"` or `"none"`.
        noise_share: share of neighbor disagreement that is rater noise, 0..1 (mode `bayes`).
        k: neighbors of the consensus counts and of the long-tail score.
        keep_outliers: do not set the 1 % rarest samples aside (preset `default`).
        seed: of everything random.
        threads: at most so many; None for all. Results do not depend on it.
        run_dir: folder of the artifacts; None is `<pool>.ds2` beside the pool, or, for data in
            memory, a folder that is gone when the call returns.
        offline: open no socket.
        strict: raise `TrustError` if the trust check says not to curate.
        add_columns: add the `ds2_` columns to the subset.
        pool_options: overrides of the schema detection, see `ds2_fast.pool.read_pool`.
        rating_options: see `ds2_fast.rating.rate`.
        narrator: is told what happens.

    Returns:
        The chosen rows and everything the run found.

    Raises:
        Ds2Error: for input that cannot be used; the message says what is wrong and the hint what
            mends it.
    """
    defaults = _preset(preset)
    curation, k = curation or defaults.curation, k or defaults.k
    pool, folder = _open_pool(data, run_dir, pool_options, narrator)
    sizes = parse_sizes(n, len(pool))
    if preset == "reference" and len(sizes) > 1:
        raise PoolError(
            "the `reference` order depends on n, so its subsets are not nested",
            "give one `-n` at a time, or use another `--preset`",
        )
    settings = {
        "n": list(sizes),
        "preset": preset,
        "curation": curation,
        "noise_share": noise_share,
        "k": k,
        "keep_outliers": keep_outliers,
        "seed": seed,
    }
    with open_line(folder, narrator) as line:
        found = _analyze(
            line,
            pool,
            score_col=score_col,
            scale=scale,
            model=model,
            embeddings=embeddings,
            embedder=embedder,
            space=space,
            curation=curation,
            noise_share=noise_share,
            k=k,
            longtail=defaults.longtail,
            seed=seed,
            threads=threads,
            offline=offline,
            rating_options=rating_options,
        )
        if strict and found.trust.verdict == "do not curate":
            raise TrustError(
                f"the trust check says not to curate: {'; '.join(found.trust.reasons)}",
                "take the scores as they are with `--curation none`, or try another `--space`",
            )
        sheet = _select(
            line,
            pool,
            found,
            sizes=sizes,
            order=defaults.selection,
            keep_outliers=keep_outliers,
        )
        indices = _chosen(sheet)
        report = _report(line, pool, found, sheet, settings)
        files = _write_subsets(pool, indices, sizes, output, sheet if add_columns else None)
        for file, size in files:
            narrator.done("wrote", f"{size:,} samples to {file}")
        return Result(
            indices,
            sizes,
            pool.frame[indices],
            sheet,
            found.transition.value,
            found.trust,
            report,
            line.run.manifest,
            folder,
        )


def _report(
    line: Line, pool: Pool, found: Analysis, sheet: pl.DataFrame, settings: dict[str, Any]
) -> dict[str, Any]:
    """Write down every number of the run."""
    from ds2_fast.report import build_report

    report = build_report(pool, found, sheet, settings)
    line.run.manifest["settings"] = settings
    line.run.write_manifest()
    write_json(report, line.run.path / REPORT)
    return report


def _preset(name: str) -> Preset:
    if name not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]


def _open_pool(
    data: Any,
    run_dir: str | Path | None,
    options: Mapping[str, Any] | None,
    narrator: Narrator,
) -> tuple[Pool, Path | None]:
    """Read the pool and decide where the run is kept."""
    from ds2_fast.pool import read_pool

    started = perf_counter()
    pool = read_pool(data, **(options or {}))
    narrator.done("pool", f"read {len(pool):,} samples ({duration(perf_counter() - started)})")
    narrator.note(f"{pool.schema.verdict}\n{pool.preview()}")
    for notice in pool.notices:
        narrator.warn(notice)
    if run_dir is not None:
        return pool, Path(run_dir)
    if not pool.sources:
        return pool, None
    return pool, default_run_dir(Path(pool.inputs[0]))


def _analyze(
    line: Line,
    pool: Pool,
    *,
    score_col: str | None,
    scale: str | None,
    model: str | None,
    curation: str,
    noise_share: float,
    k: int,
    longtail: str,
    seed: int,
    threads: int | None,
    rating_options: Mapping[str, Any] | None,
    **sources: Any,
) -> Analysis:
    scores, status = pool_scores(
        line, pool, score_col=score_col, scale=scale, model=model, options=rating_options
    )
    features = make_features(line, pool, seed=seed, threads=threads, **sources)
    rows = len(pool)
    width = graph_width(curation, k, rows)
    if rows <= k:
        raise PoolError(
            f"the pool has {rows} samples, and {k} neighbors need at least {k + 1}", "lower `-k`"
        )
    graph = line.stage(
        "neighbors",
        artifacts.NEIGHBORS,
        lambda progress: find_neighbors(
            features.rows, width, threads=threads, allow_zero=features.allow_zero, progress=progress
        ),
        inputs={"features": features.digest},
        params={"k": width, "allow_zero": features.allow_zero},
        unit="rows",
        told=lambda value: f"found {value.indices.shape[1]} neighbors of {rows:,} samples",
    )
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
    curated = line.stage(
        "curation",
        artifacts.CURATED,
        lambda progress: curate(
            scores.values,
            graph.value,
            transition.value,
            mode=curation,
            noise_share=noise_share,
            seed=seed,
            progress=progress,
        ),
        inputs={**rated, "transition": transition.digest},
        params={"mode": curation, "noise_share": noise_share, "seed": seed},
        unit="rounds",
        told=_tell_curation,
    )
    tail = line.stage(
        "long tail",
        artifacts.LONGTAIL,
        lambda progress: score_longtail(graph.value.similarities, k=k, definition=longtail),
        inputs={"neighbors": graph.digest},
        params={"k": k, "definition": longtail},
        unit="rows",
        told=lambda value: f"scored the rarity of {len(value):,} samples",
    )
    trust = check_trust(scores.values, graph.value, transition.value, curated.value)
    return Analysis(scores, status, features, graph.value, transition, curated, tail, trust)


def _tell_curation(value: Curated) -> str:
    if value.switched_off:
        return f"left every score as it was: {value.switched_off}"
    return f"changed {value.changed:,} of {len(value.curated):,} scores, mode {value.mode}"


def _select(
    line: Line,
    pool: Pool,
    found: Analysis,
    *,
    sizes: tuple[int, ...],
    order: str,
    keep_outliers: bool,
) -> pl.DataFrame:
    n = max(sizes, default=None)
    curated, tail = found.curated.value, found.longtail.value
    def compute(_: Progress) -> pl.DataFrame:
        ranking = rank_samples(
            curated.curated,
            curated.expected,
            tail,
            preset=order,
            n=n,
            keep_outliers=keep_outliers,
        )
        return score_sheet(
            pool,
            scores=found.scores,
            status=found.status,
            curated=curated,
            longtail=tail,
            ranking=ranking,
            n=n,
        )

    return line.stage(
        "selection",
        artifacts.SELECTION,
        compute,
        inputs={
            "curation": found.curated.digest,
            "longtail": found.longtail.digest,
            "scores": artifacts.digest_array(found.scores.values),
            "pool": pool.digest(),
        },
        params={"n": n, "order": order, "keep_outliers": keep_outliers},
        unit="rows",
        told=lambda sheet: (
            "ranked the pool" if n is None else f"selected {n:,} of {len(sheet):,} samples"
        ),
    ).value


def _chosen(sheet: pl.DataFrame) -> NDArray[np.uint32]:
    """The selected rows, best first."""
    import polars as pl

    rows = (
        sheet.lazy().filter(pl.col("ds2_selected")).sort("ds2_rank").select("ds2_index").collect()
    )
    return rows["ds2_index"].to_numpy()


def _write_subsets(
    pool: Pool,
    indices: NDArray[np.uint32],
    sizes: tuple[int, ...],
    output: str | Path | None,
    extra: pl.DataFrame | None,
) -> list[tuple[Path, int]]:
    """Write one file per size; nested sizes get the size into the name."""
    if output is None or not sizes:
        return []
    from ds2_fast.pool import write_subset

    path = Path(output)
    written = []
    for size in sizes:
        file = path if len(sizes) == 1 else sized(path, size)
        rows = indices[:size]
        write_subset(pool, rows, file, add_columns=extra)
        written.append((file, size))
    return written
