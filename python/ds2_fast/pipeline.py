"""The line of stages, from the pool to the selection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ds2_fast.analysis import Analysis, Recipe
from ds2_fast.budgeting import Confirm
from ds2_fast.choice import make_choice
from ds2_fast.curation import Mode
from ds2_fast.delivery import Delivery, chosen_rows
from ds2_fast.errors import PoolError
from ds2_fast.gathering import Wanted, gather
from ds2_fast.knn import MethodName, check_choice
from ds2_fast.line import open_line
from ds2_fast.longtail import OWN_ROWS
from ds2_fast.noise import read_noise
from ds2_fast.panel import analyze_raters, raters_named
from ds2_fast.presets import PRESETS, Preset, PresetName, check_neighbors, neighbors_counted
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.provenance import record_provenance, record_strategy
from ds2_fast.quotas import read_groups
from ds2_fast.reporting import PAGE, REPORT, draw_report, report_choice, report_ds2
from ds2_fast.result import Result
from ds2_fast.safeguards import Fill, Safeguards
from ds2_fast.scoring import Rater
from ds2_fast.sizes import parse_sizes
from ds2_fast.source import open_pool
from ds2_fast.strategies import IS_DS2, Inputs
from ds2_fast.strategy_line import (
    Given,
    check_sizes,
    check_strict,
    choose_by,
    curation_of,
    plan_strategy,
    space_of,
)
from ds2_fast.strategy_record import record_inputs

if TYPE_CHECKING:
    from ds2_fast.pool import Shape
    from ds2_fast.rating.result import Ratings


def select(
    data: object,
    n: int | str | Sequence[int | str] | None,
    *,
    output: str | Path | None = None,
    score_col: str | Sequence[str] | None = None,
    scale: str | None = None,
    model: str | None = None,
    embeddings: str | Path | NDArray[Any] | None = None,
    embedder: str | None = None,
    space: str | None = None,
    preset: PresetName = "default",
    curation: Mode | None = None,
    noise_share: float | None = None,
    second_rater: str | None = None,
    audit: str | Path | None = None,
    k: int | None = None,
    keep_outliers: bool = False,
    knn: MethodName = "auto",
    recall: float = 0.99,
    dedup: float | None = None,
    fill: Fill = "longtail",
    mix: Mapping[str, float] | None = None,
    min_share: float = 0.0,
    seed: int = 42,
    threads: int | None = None,
    run_dir: str | Path | None = None,
    offline: bool = False,
    strict: bool = False,
    strategy: str = "ds2",
    strategy_options: Mapping[str, Any] | None = None,
    curate: bool = False,
    add_columns: bool = False,
    to: Shape | None = None,
    card: str | Path | None = None,
    atlas: str | Path | None = None,
    html: bool = True,
    pool_options: Mapping[str, Any] | None = None,
    rating_options: Mapping[str, Any] | None = None,
    ask: Callable[..., Ratings] | None = None,
    budget: int | str | None = None,
    confirm: Confirm | None = None,
    config: Mapping[str, Any] | None = None,
    narrator: Narrator = QUIET,
) -> Result:
    """Choose the best n samples of a pool: rate, embed, curate, select.

    Args:
        data: path of the pool (or several), polars or pandas frame, list of dicts, or Hugging Face
            dataset.
        n: how many samples: a number, a share such as `"5%"`, or several of them for nested
            subsets; None to curate without selecting.
        output: file of the subset; its extension picks the format. Several sizes write one file
            each, `name-1000.jsonl` and so on. A name that ends in a slash, or a folder, becomes a
            dataset folder with a card. None writes none.
        score_col: column with the scores; None looks for a column of a known name. Several columns
            are several raters: each is curated on its own, and what is ranked is the mean of their
            standardized expected scores (`ds2_fast.raters.combine`).
        scale: `"0-5"`, `"1-10"` (compressed to 0..5 as published) or `"observed"`; None decides by
            the values.
        model: litellm name of the LLM that rates the pool if it has no scores.
        embeddings: `(N, d)` array, `.npy` file or list column, row for row; None makes them.
        embedder: model name, folder or hub id; `"lexical"` is `space="lexical"`.
        space: `"embedding"`, `"lexical"`, `"hybrid"` or an `.npy` file; `"auto"` takes the one of
            the three whose neighbors predict the scores best, of several raters the first's. None
            is `"auto"` in the default preset if neither embeddings nor embedder are named, else
            `"embedding"`.
        preset: `"default"`, `"paper"` or `"reference"`: the defaults of everything below.
        curation: `"bayes"`, `"paper"`, `"reference"` or `"none"`.
        noise_share: share of neighbor disagreement that is rater noise, 0..1 (mode `bayes`); None
            is 0.5, an assumption, unless one of the next two tells it.
        second_rater: column of a second rater of at least 500 of the samples, on any scale.
        audit: file with a person's scores of at least 50 samples, see `sample_audit`.
        k: neighbors of the consensus counts and of the long-tail score.
        keep_outliers: do not set the 1 % rarest samples aside (preset `default`).
        knn: how neighbors are found: `"exact"`, `"usearch"` (an index that is kept in the run
            directory), or `"auto"`, which decides by the size of the pool.
        recall: share of the true neighbors that is enough, in (0, 1]; measured where it can be
            missed.
        dedup: drop samples whose cosine similarity to a better one is at least this, in (0, 1],
            as far as the neighbor graph shows it; the next in rank take their places.
        fill: who comes first in the bucket at the cut: `"longtail"`, the rarest, or `"kcenter"`,
            those farthest from all that is chosen.
        mix: share of n for some groups (`pool_options={"group_col": ...}`), together at most 1.
        min_share: least share of n for every group that is not in `mix`.
        seed: of everything random.
        threads: for embedding, the lexical space, the neighbor search and k-center, at most so
            many; None for all. The short stages after them share one thread per core, or
            `RAYON_NUM_THREADS` of them. Results do not depend on it.
        run_dir: folder of the artifacts; None is `<pool>.ds2` beside the pool, or, for data in
            memory, a folder that is gone when the call returns.
        offline: open no socket; ratings of an earlier run are used.
        strict: raise `TrustError` if the trust check says not to curate and `curation` is not
            `"none"`.
        strategy: how to select: a name of `ds2_fast.strategies`, or `"scorer+rule"`. Any but `ds2`
            and `ds2-raw` looks at what it needs only, and the options that belong to the line of
            DS2 are refused.
        strategy_options: its options, by field name.
        curate: correct the scores before another strategy looks at them.
        add_columns: add the `ds2_` columns to the subset.
        to: convert the subset to `"messages"`, `"sharegpt"`, `"alpaca"` or `"prompt-completion"`;
            a sample that does not fit is an error. None keeps every row as it is.
        card: file of a dataset card that says how the subset was chosen.
        atlas: .parquet file of the whole pool with what was found, a map and neighbors, in the form
            of embedding-atlas.
        html: draw the report, `report.html` in the run directory, if that is kept (about a second
            the first time, then less); a run that is not kept draws none.
        pool_options: overrides of the schema detection, see `ds2_fast.pool.read_pool`.
        rating_options: further arguments of `ds2_fast.rating.rate`.
        ask: called in place of `ds2_fast.rating.rate`, with the same arguments.
        budget: rate only so many samples: a number, a share such as `"20%"`, or dollars such as
            `"$3"`; chosen where the best are to be expected. With scores in the pool, only those
            that such a budget would have bought are looked at.
        confirm: called with the estimated dollars of a budget in samples (None = unknown) before
            anything is spent; may raise.
        config: where settings come from, copied into the manifest.
        narrator: is told what happens.

    Returns:
        The chosen rows and everything the run found.

    Raises:
        Ds2Error: for input that cannot be used; the message says what is wrong and the hint what
            mends it.
        ValueError: if `k` is outside 2..255, the preset or `knn` is unknown, or `recall`, `dedup`,
            `fill` or `min_share` lies outside its range.
    """
    defaults, columns = _preset(preset), raters_named(score_col)
    plan = plan_strategy(
        strategy,
        strategy_options,
        Given.of(
            curate,
            dedup=dedup,
            fill=fill,
            mix=mix,
            min_share=min_share,
            keep_outliers=keep_outliers,
            budget=budget,
            preset=preset,
            curation=curation,
            noise_share=noise_share,
            second_rater=second_rater,
            audit=audit,
        ),
    )
    curation = curation_of(plan, curation, defaults)
    check_neighbors(k)
    check_choice(knn, recall)
    safeguards = Safeguards(dedup, fill, mix, min_share)
    pool, folder = open_pool(data, run_dir, pool_options, narrator)
    asked, k = k, neighbors_counted(k, defaults, len(pool))
    if asked is None and k < defaults.k:
        narrator.warn(
            f"the pool is small: {k} neighbors of each sample are counted instead of {defaults.k}"
        )
    sizes = parse_sizes(n, len(pool))
    check_sizes(plan, sizes)
    groups = None if pool.groups is None else read_groups(pool.groups)
    safeguards.check(preset=preset, sizes=sizes, groups=groups)
    delivery = Delivery(output, add_columns, to, card, atlas)
    files = delivery.plan(pool, sizes)
    if preset == "reference" and len(sizes) > 1:
        raise PoolError(
            "the `reference` order depends on n, so its subsets are not nested",
            "give one `-n` at a time, or use another `--preset`",
        )
    if defaults.longtail == "reference" and k <= OWN_ROWS:
        raise PoolError(
            f"k = {k} leaves the `reference` long-tail score without a neighbor: the sample and "
            "its copy count too",
            f"give at least `-k {OWN_ROWS + 1}`, or use another `--preset`",
        )
    settings = {
        "n": list(sizes),
        "preset": preset,
        "curation": curation,
        "noise_share": noise_share,
        "second_rater": second_rater,
        "audit": None if audit is None else str(audit),
        "k": k,
        "keep_outliers": keep_outliers,
        "knn": knn,
        "recall": recall,
        **safeguards.params(),
        "group_col": pool.schema.group,
        "budget": budget,
        "seed": seed,
        **({"score_col": columns} if len(columns) > 1 else {}),
        **({} if strategy == "ds2" else {"strategy": strategy}),
    }
    # Before anything is paid for or embedded.
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
        rater=None if model is None else Rater(model, rating_options or {}, ask, offline),
        budget=budget,
        n=max(sizes, default=None),
        confirm=confirm,
        embeddings=embeddings,
        embedder=embedder,
        space=space
        if budget is not None
        else space_of(
            plan, curate, defaults, space=space, embeddings=embeddings, embedder=embedder
        ),
        offline=offline,
        seed=seed,
        threads=threads,
    )
    recipe = Recipe(curation, k, defaults.longtail, knn, recall, seed, threads)
    with open_line(folder, narrator) as line:
        found: Analysis | None
        if strategy in IS_DS2:
            gathered = gather(line, pool, wanted, source, pool_options)
            found = analyze_raters(line, gathered.rated, gathered.features, recipe, gathered.noise)
            if strict and curation != "none":
                check_strict(found.trust, "keep the scores with `--curation none`")
            choice = make_choice(
                line,
                pool,
                found,
                n=max(sizes, default=None),
                order=defaults.selection,
                keep_outliers=keep_outliers,
                safeguards=safeguards,
                groups=groups,
                threads=threads,
                starting=(REPORT, PAGE),
                bought=gathered.bought,
            )
            report = report_ds2(line, pool, found, choice, settings, config=config)
            record_provenance(line.run, pool, wanted, gathered, audit=audit, report=REPORT)
        else:
            inputs = Inputs(line, pool, wanted, recipe, source, curated=curate)
            choice = choose_by(
                line,
                plan,
                inputs,
                n=max(sizes),
                strict=strict,
                mapped=atlas is not None,
                starting=(REPORT, PAGE),
            )
            record_inputs(line, pool, inputs, pool_options)
            asked_for = {**settings, "scale": scale}
            report = report_choice(line, plan, inputs, choice, asked_for, config=config)
            record_strategy(line.run, pool, wanted, inputs, plan, audit=audit, report=REPORT)
            found = inputs.found
        indices = chosen_rows(choice.sheet)
        delivery.write(line, pool, choice, report=report, files=files)
        draw_report(line, pool, report, html=html and folder is not None)
        return Result(
            indices,
            sizes,
            pool.frame[indices],
            choice.sheet,
            None if found is None else found.transition.value,
            None if found is None else found.trust,
            report,
            line.run.manifest,
            folder,
            tuple(files.values()),
        )


def _preset(name: str) -> Preset:
    if name not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]
