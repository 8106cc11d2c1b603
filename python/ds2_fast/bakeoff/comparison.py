"""The bake-off from a pool to its report: read once, choose by each strategy, measure, compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.analysis import Recipe
from ds2_fast.bakeoff.commands import CommandResult, CommandRunner, split_command
from ds2_fast.bakeoff.entries import read_entries
from ds2_fast.bakeoff.intervals import FEWEST_SEEDS, MOST_SEEDS
from ds2_fast.bakeoff.judges import judge_of_model, read_judges
from ds2_fast.bakeoff.reporting import gather_measured, make_tables, tell_shared
from ds2_fast.bakeoff.running import Ran, run_entry
from ds2_fast.errors import ModelError, PoolError
from ds2_fast.features import usual_space
from ds2_fast.gathering import Wanted
from ds2_fast.knn import MethodName, check_choice
from ds2_fast.line import Line, open_line
from ds2_fast.noise import NoiseSource, read_noise
from ds2_fast.panel import raters_named
from ds2_fast.presets import PRESETS, neighbors_counted
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.scoring import Rater
from ds2_fast.sizes import parse_sizes
from ds2_fast.source import open_pool, record_pool, record_source
from ds2_fast.strategies import Inputs
from ds2_fast.strategy_line import curates

if TYPE_CHECKING:
    from ds2_fast.features import Features
    from ds2_fast.pool import Pool
    from ds2_fast.rating.result import Ratings

SEEDS = 5
_PRESET = PRESETS["default"]


@dataclass(frozen=True)
class StrategyComparison:
    """What several strategies chose from one pool, and what it is worth.

    Attributes:
        labels: the strategies, the control first.
        sizes: samples wanted, ascending.
        rows: the chosen rows, uint32, best first, by label and size: one array for each seed, or
            one where nothing is random; none where a strategy failed.
        report: every figure, JSON-able: `raters`, `space`, and for each size a table.
    """

    labels: tuple[str, ...]
    sizes: tuple[int, ...]
    rows: Mapping[tuple[str, int], tuple[NDArray[np.uint32], ...]] = field(repr=False)
    report: dict[str, Any] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Every figure as JSON-able values; null where there is none."""
        return self.report


def compare_strategies(
    data: object,
    strategies: str | Iterable[str],
    n: int | str | Sequence[int | str],
    *,
    score_col: str | Sequence[str] | None = None,
    held_out: str | Sequence[str] | None = None,
    seeds: int = SEEDS,
    strategy_options: Mapping[str, Mapping[str, Any]] | None = None,
    curate: bool = False,
    scale: str | None = None,
    model: str | None = None,
    embeddings: str | Path | NDArray[Any] | None = None,
    embedder: str | None = None,
    space: str | None = None,
    knn: MethodName = "auto",
    recall: float = 0.99,
    seed: int = 42,
    threads: int | None = None,
    run_dir: str | Path | None = None,
    offline: bool = False,
    run: str | None = None,
    run_name: str = "run",
    pool_options: Mapping[str, Any] | None = None,
    rating_options: Mapping[str, Any] | None = None,
    ask: Callable[..., Ratings] | None = None,
    narrator: Narrator = QUIET,
) -> StrategyComparison:
    """Let several strategies choose from one pool, and measure their subsets alike.

    What they look at is read or made once. The first is always `random`, the control. A strategy
    that is random chooses under several seeds: its figures are means with a 95 % interval by
    Student's t; others have one choice and no such interval. Every strategy is at its defaults but
    for `strategy_options`; `ds2` is that of `select` at its defaults.

    Subsets are measured by the raters that a strategy did not look at, by the mean and the maximum
    distance of the pool to the nearest chosen sample, the Vendi score, near duplicates, rarity,
    length, and the shares of groups (`ds2_fast.bakeoff.measures`). Distances are those of the space
    that strategies choose in, which favors those that aim at them.

    Args:
        data: the pool, see `ds2_fast.select`.
        strategies: names, `scorer+rule`, or `LABEL=NAME`; also as one text with commas.
        n: how many samples: a number, a share such as `"5%"`, or several of them.
        score_col: column of the scores that strategies are given, or several, see `select`.
        held_out: columns of further raters; None for all others of a known name.
        seeds: how many, 2..30: `seed`, `seed + 1` and so on.
        strategy_options: options by field name, by label or by the name of a part.
        curate: correct the scores before strategies other than `ds2` look at them.
        scale: of the scores, see `select`.
        model: litellm name of the LLM that rates the pool if it has no scores.
        embeddings: see `select`.
        embedder: see `select`.
        space: see `select`; None is its default where a strategy curates, else `"embedding"`.
        knn: how neighbors are found.
        recall: share of the true neighbors that is enough.
        seed: of everything random.
        threads: at most so many; no result depends on it.
        run_dir: see `select`; what is there of scores, features and neighbors is reused.
        offline: open no socket.
        run: a command that is run on each subset: words with `{subset}`, `{strategy}`, `{n}`,
            `{seed}`, no shell. Its result is the last number of the last line it prints. It is kept
            in the run directory, and not run again on the same subset.
        run_name: what that result is called.
        pool_options: how the pool is read, see `ds2_fast.pool.read_pool`.
        rating_options: further arguments of `ds2_fast.rating.rate`.
        ask: called in place of `ds2_fast.rating.rate`.
        narrator: is told what happens.

    Returns:
        The chosen rows, and every figure.

    Raises:
        PoolError: the pool, a column or an option cannot be used, or no strategy but the control
            could choose: then what stopped the first.
        RatingError: if the rating stops.
        BudgetReachedError: if the money for it is spent.
        RunError: the run directory cannot be used, or there is no such program.
        ValueError: if `seeds`, `knn` or `recall` lies outside its range.
    """
    if not FEWEST_SEEDS <= seeds <= MOST_SEEDS:
        raise ValueError(f"seeds must lie in {FEWEST_SEEDS}..{MOST_SEEDS}, got {seeds}")
    check_choice(knn, recall)
    command = None if run is None else split_command(run)
    entries = read_entries(strategies, strategy_options)
    columns = raters_named(score_col)
    apart = [held_out] if isinstance(held_out, str) else held_out
    pool, folder = open_pool(data, run_dir, pool_options, narrator)
    sizes = parse_sizes(n, len(pool))
    if not sizes:
        raise PoolError("no size was given", "give `-n 1000`, `-n 5%` or `-n 1000,3000,10000`")
    judges = read_judges(pool, columns, apart)
    curating = any(curates(entry.plan, curate) for entry in entries)
    wanted = Wanted(
        columns=columns,
        scale=scale,
        rater=None if model is None else Rater(model, rating_options or {}, ask, offline),
        embeddings=embeddings,
        embedder=embedder,
        space=usual_space(_PRESET, space, embeddings, embedder) if curating else space,
        offline=offline,
        seed=seed,
        threads=threads,
    )
    k = neighbors_counted(None, _PRESET, len(pool))
    recipe = Recipe(_PRESET.curation, k, _PRESET.longtail, knn, recall, seed, threads)
    with open_line(folder, narrator) as line:
        inputs = Inputs(line, pool, wanted, recipe, _assumed(pool), curated=curate)
        features, why_no_space = _space(line, inputs, pool_options)
        drawn = tuple(range(seed, seed + seeds))
        runs = [run_entry(line, inputs, entry, sizes, drawn) for entry in entries]
        _check_any(runs)
        asked = judge_of_model(inputs, columns[0])
        results = (
            {} if command is None else _run_all(CommandRunner(line, pool, command, run_name), runs)
        )
        measured = gather_measured(line, inputs, features, asked, judges)
        report = {
            "ds2_fast": _core.__version__,
            "settings": {
                "n": list(sizes),
                "score_col": [column for column in columns if column is not None],
                "curate": curate,
                "seed": seed,
                "knn": knn,
                "recall": recall,
            },
            "seeds": list(drawn),
            "control": entries[0].label,
            **tell_shared(measured, why_no_space),
            "run": None if command is None else {"name": run_name, "command": list(command)},
            "tables": make_tables(line, measured, runs, sizes, results),
        }
    return StrategyComparison(
        tuple(entry.label for entry in entries),
        sizes,
        {
            (ran.entry.label, size): tuple(draw.rows for draw in draws)
            for ran in runs
            for size, draws in ran.draws.items()
        },
        report,
    )


def _assumed(pool: Pool) -> NoiseSource:
    """The noise share as `select` assumes it where nothing is said."""
    return read_noise(
        pool, noise_share=None, second_rater=None, audit=None, curation=_PRESET.curation
    )


def _space(
    line: Line, inputs: Inputs, pool_options: Mapping[str, Any] | None
) -> tuple[Features | None, str]:
    """Make the space that subsets are measured in, before any strategy is timed."""
    try:
        features = inputs.features
    except (PoolError, ModelError) as error:
        record_pool(line, inputs.pool, pool_options)
        line.narrator.warn(f"no distances are measured: {error.message}")
        return None, error.message
    record_source(line, inputs.pool, pool_options, features)
    inputs.longtail  # noqa: B018 - made here, so that no strategy is charged for the graph
    return features, ""


def _check_any(runs: Sequence[Ran]) -> None:
    """Refuse a comparison of nothing: the control failed, or all others did."""
    if runs[0].failure is not None:
        raise runs[0].failure
    failures = [ran.failure for ran in runs[1:]]
    if all(failure is not None for failure in failures):
        assert failures[0] is not None, "there is a strategy besides the control"
        raise failures[0]


def _run_all(
    runner: CommandRunner, runs: Sequence[Ran]
) -> dict[tuple[str, int, int], CommandResult]:
    """Run the user's command on every subset, size by size, so that the smallest are done first."""
    sizes = list(runs[0].draws)
    return {
        (ran.entry.label, size, draw.seed): runner.run(ran.entry.label, draw.rows, size, draw.seed)
        for size in sizes
        for ran in runs
        for draw in ran.draws.get(size, ())
    }
