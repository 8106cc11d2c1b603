"""The report of a comparison of strategies: what all tables share, and a table for each size."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast import artifacts
from ds2_fast.bakeoff.judges import Judge
from ds2_fast.bakeoff.tables import Measured, table_for
from ds2_fast.terminal import duration

if TYPE_CHECKING:
    from ds2_fast.bakeoff.commands import CommandResult
    from ds2_fast.bakeoff.running import Ran
    from ds2_fast.features import Features
    from ds2_fast.line import Line
    from ds2_fast.strategies import Inputs


def gather_measured(
    line: Line,
    inputs: Inputs,
    features: Features | None,
    asked: Judge | None,
    judges: Sequence[Judge],
) -> Measured:
    """Gather what subsets are measured in.

    Args:
        line: the run.
        inputs: after all strategies have chosen.
        features: the space; None where there is none.
        asked: the model that rated the pool in this run, if one did.
        judges: all other raters.
    """
    dollars = None
    if asked is not None:
        summary = json.loads((line.run.path / artifacts.RATINGS.files[1]).read_text("utf-8"))
        dollars = summary["summary"]["cost"]["total"]
    return Measured(
        inputs.pool,
        inputs.pool.text.str.len_chars().to_numpy().astype(np.int64),
        features,
        None if features is None else inputs.longtail,
        tuple(judges) if asked is None else (asked, *judges),
        dollars,
        inputs.threads,
    )


def tell_shared(measured: Measured, why_no_space: str) -> dict[str, Any]:
    """Tell what all tables share, JSON-able: the pool, the space, the raters.

    Args:
        measured: what subsets are measured in.
        why_no_space: why there is no space; empty if there is one.
    """
    pool, features = measured.pool, measured.features
    space = None
    if features is not None:
        space = {
            "name": features.space,
            "source": features.source,
            "dimensions": features.rows.shape[1],
        }
    return {
        "pool": {
            "samples": len(pool),
            "sources": [str(source) for source in pool.sources],
            "schema": pool.schema.name,
            "length": float(np.median(measured.lengths)),
            "longtail": None if measured.longtail is None else float(measured.longtail.mean()),
        },
        "space": space,
        "why_no_space": why_no_space,
        "raters": [_judge(judge) for judge in measured.judges],
    }


def _judge(judge: Judge) -> dict[str, Any]:
    rated = judge.values[~np.isnan(judge.values)]
    return {
        "name": judge.name,
        "role": judge.role,
        "rated": len(rated),
        "pool_mean": float(rated.mean()) if len(rated) else None,
        "pool_deviation": float(rated.std()) if len(rated) else None,
    }


def make_tables(
    line: Line,
    measured: Measured,
    runs: Sequence[Ran],
    sizes: Sequence[int],
    results: Mapping[tuple[str, int, int], CommandResult],
) -> list[dict[str, Any]]:
    """Measure every subset: a table for each size, see `table_for`.

    Args:
        line: the run, which is told.
        measured: what subsets are measured in.
        runs: the strategies, the control first.
        sizes: ascending.
        results: of the user's command.
    """
    started, found = perf_counter(), []
    for size in sizes:
        with line.narrator.stage("measures", "strategies") as progress:
            found.append(table_for(measured, runs, size, results, seed=size, progress=progress))
    subsets = sum(len(draws) for ran in runs for draws in ran.draws.values())
    line.narrator.done(
        "measures", f"measured {subsets:,} subsets ({duration(perf_counter() - started)})"
    )
    return found
