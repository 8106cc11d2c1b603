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
from ds2_fast.source import record_pool, record_source
from ds2_fast.strategies import IS_DS2, Inputs, Outcome, Plan, parse_strategy, run_plan
from ds2_fast.terminal import duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from ds2_fast.line import Line
    from ds2_fast.pool import Pool
    from ds2_fast.progress import Progress
    from ds2_fast.trust import Trust


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


def plan_strategy(
    name: str, options: Mapping[str, Any] | None, given: Given, sizes: tuple[int, ...]
) -> Plan:
    """Read the strategy that is asked for, and refuse what does not go with it.

    Args:
        name: of the strategy.
        options: its options.
        given: what else was asked for.
        sizes: samples to select.

    Raises:
        PoolError: an unknown strategy or option, an option that has no use, or several sizes where
            the choice for one is no part of that for another.
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
    if not sizes:
        raise PoolError(f"the strategy `{name}` needs to know how many to choose", "give `-n`")
    if len(sizes) > 1 and not plan.nested:
        raise PoolError(
            f"what the strategy `{name}` chooses depends on n, so its subsets are not nested",
            "give one `-n` at a time",
        )
    return plan


def curates(plan: Plan, curate: bool) -> bool:
    """Whether scores are corrected: asked for, or a part of the strategy."""
    return curate or any(part.name == "ds2" for part in plan.parts)


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
        starting: names of the files that tell of the choice before, removed when a new one is made.

    Raises:
        PoolError: something the strategy needs is missing, or nothing can be chosen.
        TrustError: with `strict`.
    """
    if strict and curates(plan, inputs.curated):
        check_strict(inputs.analysis.trust, "leave out `--curate`")
    started = perf_counter()
    with ExitStack() as shown:
        inputs.progress = _shown_late(line, shown)
        outcome = run_plan(plan, inputs, n)
    choice = Choice(strategy_sheet(inputs.pool, outcome), account_for(plan, outcome))
    for name in starting:
        (line.run.path / name).unlink(missing_ok=True)
    line.run.forget("selection")
    line.run.stage(
        "selection",
        artifacts.SELECTION,
        lambda: choice,
        inputs={"texts": inputs.pool.digest()},
        params={"n": n, "seed": inputs.seed, "curate": inputs.curated, **plan.to_dict()},
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


def _shown_late(line: Line, shown: ExitStack) -> Progress:
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
    `ds2_rank` (1 = best; null = not chosen), `ds2_selected`, `ds2_reason`.

    Args:
        pool: the pool.
        outcome: what the strategy made of it.
    """
    import polars as pl

    rows = len(pool)
    rank = np.zeros(rows, dtype=np.uint32)
    rank[outcome.rows] = np.arange(1, len(outcome.rows) + 1, dtype=np.uint32)
    words = np.array(["no score", outcome.left, "filtered out", "selected"])
    code = np.zeros(rows, dtype=np.int64)
    code[outcome.order] = 1
    code[~outcome.kept] = 2
    code[outcome.rows] = 3
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


def record_inputs(
    line: Line, pool: Pool, inputs: Inputs, options: Mapping[str, Any] | None
) -> None:
    """Write down the pool of a strategy's run, and the features it looked at, if any.

    Args:
        line: the run.
        pool: its pool.
        inputs: what the strategy looked at.
        options: how the pool was read.
    """
    if inputs.has("features"):
        record_source(line, pool, options, inputs.features)
    else:
        record_pool(line, pool, options)
        line.run.manifest.pop("features", None)
    # Of the run before, in the same folder.
    for part in ("calibration", "graph", "provenance"):
        line.run.manifest.pop(part, None)
