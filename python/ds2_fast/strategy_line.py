"""The line of stages where another strategy than DS2 chooses."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast import artifacts
from ds2_fast.choice import Choice
from ds2_fast.errors import PoolError, TrustError
from ds2_fast.features import usual_space
from ds2_fast.scoresheet import nearest_of
from ds2_fast.strategies import IS_DS2, Inputs, Outcome, Plan, parse_strategy, run_plan
from ds2_fast.strategies.strategy import AT, BELOW
from ds2_fast.strategy_record import forget_result
from ds2_fast.terminal import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from ds2_fast.curation import Mode
    from ds2_fast.line import Line
    from ds2_fast.pool import Pool
    from ds2_fast.presets import Preset
    from ds2_fast.progress import Progress
    from ds2_fast.trust import Trust


_OF_DS2 = {
    "dedup": None,
    "fill": "longtail",
    "mix": None,
    "min_share": 0.0,
    "keep_outliers": False,
    "budget": None,
    "preset": "default",
}
"""Options that belong to the line of DS2, with their defaults."""

_OF_CURATION = ("curation", "noise_share", "second_rater", "audit")


@dataclass(frozen=True)
class Given:
    """Options of `select` that are of use to some strategies only.

    Attributes:
        curate: correct the scores first.
        of_ds2: the options that belong to the line of DS2 and are not at their defaults, by name.
        of_curation: those that tell how scores are corrected.
    """

    curate: bool
    of_ds2: tuple[str, ...]
    of_curation: tuple[str, ...]

    @classmethod
    def of(cls, curate: bool, **options: object) -> Given:
        """See which options were given.

        Args:
            curate: correct the scores first.
            options: values of all those in `_OF_DS2` and `_OF_CURATION`.
        """
        of_ds2 = [name for name, usual in _OF_DS2.items() if (options[name] or usual) != usual]
        of_curation = [name for name in _OF_CURATION if options[name] is not None]
        return cls(curate, tuple(of_ds2), tuple(of_curation))


def plan_strategy(name: str, options: Mapping[str, Any] | None, given: Given) -> Plan:
    """Read the strategy that is asked for, and refuse what does not go with it.

    Args:
        name: of the strategy.
        options: its options.
        given: what else was asked for.

    Raises:
        PoolError: an unknown strategy or option, or an option that has no use.
        RunError: the strategy is another package's, and cannot be loaded.
    """
    plan = parse_strategy(name, options)
    if name in IS_DS2:
        if given.curate:
            raise PoolError(
                f"`--curate` is for other strategies than `{name}`",
                "leave it out: `ds2` curates, and `ds2-raw` is what it is without",
            )
        if name == "ds2-raw" and given.of_curation:
            raise PoolError(
                f"`--{given.of_curation[0].replace('_', '-')}` tells how scores are corrected, and "
                "`ds2-raw` takes them as they are",
                "leave it out, or select with `--strategy ds2`",
            )
        return plan
    if given.of_ds2:
        hint = "leave it out, or select with `--strategy ds2`"
        if given.of_ds2[0] == "dedup":
            hint = f"put a filter before it: `--strategy semdedup+{name}`"
        raise PoolError(
            f"`--{given.of_ds2[0].replace('_', '-')}` belongs to the strategy `ds2`, and not to "
            f"`{name}`",
            hint,
        )
    if given.of_curation and not curates(plan, given.curate):
        raise PoolError(
            f"`--{given.of_curation[0].replace('_', '-')}` tells how scores are corrected, and "
            f"`{name}` takes them as they are",
            "add `--curate`, or leave it out",
        )
    return plan


def check_sizes(plan: Plan, sizes: tuple[int, ...]) -> None:
    """See that a strategy can choose so many samples.

    Args:
        plan: the strategy; DS2 itself takes any.
        sizes: samples to select.

    Raises:
        PoolError: none is said, or several where the choice for one is no part of that for another.
    """
    if plan.name in IS_DS2:
        return
    if not sizes:
        raise PoolError(f"the strategy `{plan.name}` needs to know how many to choose", "give `-n`")
    if len(sizes) > 1 and not plan.nested:
        raise PoolError(
            f"what the strategy `{plan.name}` chooses depends on n, so its subsets are not nested",
            "give one `-n` at a time",
        )


def curates(plan: Plan, curate: bool) -> bool:
    """Whether scores are corrected: asked for, or a part of the strategy."""
    return curate or any(part.name == "ds2" for part in plan.parts)


def curation_of(plan: Plan, curation: Mode | None, preset: Preset) -> Mode:
    """Take the curation that is asked for, else none for `ds2-raw` and the preset's for all others.

    Args:
        plan: the strategy.
        curation: asked for.
        preset: of the run.
    """
    return curation or ("none" if plan.name == "ds2-raw" else preset.curation)


def space_of(
    plan: Plan,
    curate: bool,
    preset: Preset,
    *,
    space: str | None,
    embeddings: object | None,
    embedder: str | None,
) -> str | None:
    """Take the space the user names; DS2, and what curates, else has the preset's.

    Args:
        plan: the strategy.
        curate: correct the scores first.
        preset: of the run.
        space: the space named.
        embeddings: the rows named.
        embedder: the model named.
    """
    if plan.name in IS_DS2 or curates(plan, curate):
        return usual_space(preset, space, embeddings, embedder)
    return space


def check_strict(trust: Trust, otherwise: str) -> None:
    """Stop where the trust check says not to curate.

    Args:
        trust: the finished check.
        otherwise: what else can be done, for the hint.

    Raises:
        TrustError: it says so.
    """
    if trust.verdict == "do not curate":
        raise TrustError(
            f"the trust check says not to curate: {'; '.join(trust.reasons)}",
            f"{'; '.join(trust.advice)}; or {otherwise}",
        )


def choose_by(
    line: Line,
    plan: Plan,
    inputs: Inputs,
    *,
    n: int,
    strict: bool,
    mapped: bool,
    starting: tuple[str, ...],
) -> Choice:
    """Let a strategy choose, and keep its score sheet.

    What it looks at is made once and reused; the choice itself is made anew each time.

    Args:
        line: where the artifacts go.
        plan: the strategy.
        inputs: the pool.
        n: how many are wanted.
        strict: stop if the trust check says not to curate.
        mapped: lay the pool out on a map, with neighbors, whatever the strategy looked at.
        starting: names of the files that tell of the choice before, removed when a new one is made.

    Raises:
        PoolError: something the strategy needs is missing, or nothing can be chosen.
        TrustError: with `strict`.
    """
    if strict and curates(plan, inputs.curated):
        check_strict(inputs.analysis.trust, "leave out `--curate`")
    started = perf_counter()
    with ExitStack() as shown:
        inputs.progress = show_late(line, shown)
        outcome = run_plan(plan, inputs, n)
    sheet = strategy_sheet(inputs.pool, outcome)
    choice = Choice(_with_map(sheet, inputs, mapped=mapped), account_for(plan, outcome))
    forget_result(line, starting)
    line.run.stage(
        "selection",
        artifacts.SELECTION,
        lambda: choice,
        inputs={"texts": inputs.pool.digest()},
        params={
            "n": n,
            "seed": inputs.seed,
            "curate": inputs.curated,
            "mapped": mapped,
            **plan.to_dict(),
        },
    )
    line.narrator.done(
        "selection",
        f"selected {choice.account['selected']:,} of {len(choice.sheet):,} samples by {plan.name} "
        f"({duration(perf_counter() - started)})",
    )
    if choice.account["why_fewer"]:
        line.narrator.warn(
            f"{choice.account['selected']:,} samples are selected, not {n:,}: "
            f"{choice.account['why_fewer']}"
        )
    if inputs.curated and not inputs.has("analysis"):
        line.narrator.warn(
            f"`--curate` changed nothing: the strategy `{plan.name}` did not look at the scores"
        )
    return choice


def show_late(line: Line, shown: ExitStack) -> Progress:
    """Show progress from the first call on: the stages before it have a line of their own."""
    opened: list[Progress] = []

    def progress(done: int, total: int) -> None:
        if not opened:
            opened.append(shown.enter_context(line.narrator.stage("selection", "rows")))
        opened[0](done, total)

    return progress


def strategy_sheet(pool: Pool, outcome: Outcome) -> pl.DataFrame:
    """Gather what a strategy found of every sample, in pool order.

    Columns: `ds2_index`, `ds2_id` (if the pool has ids), `ds2_strategy_score` (null = none),
    `ds2_rank` (1 = best; null = not chosen), `ds2_selected`, `ds2_reason`. A run that looked at
    features adds `projection_x`, `projection_y`, and at neighbors `neighbors`.

    Args:
        pool: the pool.
        outcome: what the strategy made of it.
    """
    import polars as pl

    rows = len(pool)
    rank = np.zeros(rows, dtype=np.uint32)
    rank[outcome.rows] = np.arange(1, len(outcome.rows) + 1, dtype=np.uint32)
    words = np.array(["no score", outcome.left, "filtered out", "selected", BELOW, AT])
    code = np.zeros(rows, dtype=np.int64)
    code[outcome.order] = 1
    code[outcome.below] = 4
    code[~outcome.kept] = 2
    code[outcome.rows] = 3
    cut = outcome.scores[outcome.rows].min()
    code[(words[code] == BELOW) & (outcome.scores == cut)] = 5
    columns: dict[str, object] = {"ds2_index": np.arange(rows, dtype=np.uint32)}
    if pool.ids is not None:
        columns["ds2_id"] = pool.ids
    columns |= {
        "ds2_strategy_score": pl.Series(outcome.scores).fill_nan(None),
        "ds2_rank": pl.Series(rank).replace(0, None),
        "ds2_selected": rank > 0,
        "ds2_reason": pl.Series(words[code]),
    }
    return pl.DataFrame(columns)


def _with_map(sheet: pl.DataFrame, inputs: Inputs, *, mapped: bool) -> pl.DataFrame:
    """Add what a viewer looks at, as in the score sheet of DS2: places and neighbors."""
    if not mapped and not inputs.has("features"):
        return sheet
    x, y = inputs.projection.places.T
    graph = inputs.neighbors(inputs.recipe.k) if mapped and inputs.graph is None else inputs.graph
    near = {} if graph is None else {"neighbors": nearest_of(graph)}
    return sheet.with_columns(projection_x=x, projection_y=y, **near)


def account_for(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    """Write down what a strategy did, JSON-able.

    Args:
        plan: the strategy.
        outcome: what it made of the pool.
    """
    return {
        "strategy": plan.to_dict(),
        "filtered": int(np.count_nonzero(~outcome.kept)),
        "unscored": int(np.count_nonzero(np.isnan(outcome.scores))),
        "candidates": len(outcome.order),
        "selected": len(outcome.rows),
        "why_fewer": outcome.why_fewer,
    }
