"""Letting strategies choose: each under every seed it depends on, at every size, timed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from ds2_fast.bakeoff.watching import Watched
from ds2_fast.errors import Ds2Error, ModelError, PoolError, TrustError
from ds2_fast.progress import silent
from ds2_fast.strategies import Inputs, run_plan
from ds2_fast.strategy_line import show_late
from ds2_fast.terminal import duration

if TYPE_CHECKING:
    from ds2_fast.bakeoff.entries import Entry
    from ds2_fast.line import Line

STAGE = "strategy"


@dataclass(frozen=True)
class Draw:
    """What a strategy chose once.

    Attributes:
        seed: it was drawn under.
        rows: uint32, the chosen rows, best first.
        seconds: the choice took; a smaller subset of a nested choice took those of the largest.
        why_fewer: why there are fewer than were wanted; empty if there are not.
    """

    seed: int
    rows: NDArray[np.uint32]
    seconds: float
    why_fewer: str


@dataclass(frozen=True)
class Ran:
    """What became of one strategy.

    Attributes:
        entry: the strategy.
        draws: for each size, one draw for each seed, or one where nothing is random; empty if it
            failed.
        columns: of the pool that it looked at.
        scores: whether it looked at the scores.
        failure: why it could not choose; None if it could.
    """

    entry: Entry
    draws: dict[int, tuple[Draw, ...]]
    columns: frozenset[str]
    scores: bool
    failure: Ds2Error | None = None


def run_entry(
    line: Line, inputs: Inputs, entry: Entry, sizes: Sequence[int], seeds: Sequence[int]
) -> Ran:
    """Let one strategy choose.

    A strategy whose choices are nested chooses once, for the largest size; another once for each.
    What is missing to it is told in its place, and stops no other strategy; a rating that stops, a
    spent budget and a full disk stop them all.

    Args:
        line: the run, which is told.
        inputs: the pool, under the first seed.
        entry: the strategy.
        sizes: how many are wanted, ascending.
        seeds: to draw under, the first as of the inputs.
    """
    plan, watched = entry.plan, Watched(inputs)
    draws: dict[int, list[Draw]] = {size: [] for size in sizes}
    try:
        for seed in seeds if plan.random else seeds[:1]:
            if seed != inputs.seed:
                watched.inputs = inputs.with_seed(seed)
            for size, draw in _draw(line, watched, entry, sizes, seed):
                draws[size].append(draw)
    except (PoolError, ModelError, TrustError) as error:
        line.narrator.warn(f"{entry.label}: {error.message}")
        columns = frozenset(watched.seen_columns)
        return Ran(entry, {}, columns, watched.seen_scores, error)
    first = draws[sizes[-1]][0]
    times = f", {len(draws[sizes[-1]])} times" if plan.random else ""
    seconds = sum(draw.seconds for draw in draws[sizes[-1]])
    line.narrator.done(
        STAGE, f"{entry.label}: {len(first.rows):,} samples{times} ({duration(seconds)})"
    )
    if first.why_fewer:
        line.narrator.note(f"not {sizes[-1]:,}: {first.why_fewer}")
    kept = {size: tuple(drawn) for size, drawn in draws.items()}
    return Ran(entry, kept, frozenset(watched.seen_columns), watched.seen_scores)


def _draw(
    line: Line, watched: Watched, entry: Entry, sizes: Sequence[int], seed: int
) -> list[tuple[int, Draw]]:
    found = []
    for asked in sizes[-1:] if entry.plan.nested else sizes:
        started = perf_counter()
        with ExitStack() as shown:
            watched.inputs.progress = show_late(line, shown)
            outcome = run_plan(entry.plan, cast("Inputs", watched), asked)
        watched.inputs.progress = silent
        seconds = perf_counter() - started
        for size in sizes if entry.plan.nested else (asked,):
            rows = outcome.rows[:size]
            why = outcome.why_fewer if len(rows) < size else ""
            found.append((size, Draw(seed, rows, seconds, why)))
    return found
