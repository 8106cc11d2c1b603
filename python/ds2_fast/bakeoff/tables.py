"""What is told of each strategy at each size: its row in the table of the comparison."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.bakeoff.commands import CommandResult
from ds2_fast.bakeoff.intervals import difference, over_seeds
from ds2_fast.bakeoff.judges import Judge
from ds2_fast.bakeoff.measures import (
    count_near,
    measure_coverage,
    share_in_common,
    total_variation,
    vendi_score,
)
from ds2_fast.bakeoff.running import Draw, Ran
from ds2_fast.figures.shares import share_groups, share_lengths
from ds2_fast.progress import Progress, silent
from ds2_fast.strategies import options_of

if TYPE_CHECKING:
    from ds2_fast.features import Features
    from ds2_fast.pool import Pool

Results = Mapping[tuple[str, int, int], CommandResult]
"""Of the user's command, by label, size and seed."""


@dataclass(frozen=True)
class Measured:
    """What subsets are measured in.

    Attributes:
        pool: the samples.
        lengths: int64 `(N,)`, characters of each text.
        features: the rows of the space; None where there is none.
        longtail: float64 `(N,)`, long-tail scores; None where there is no space.
        judges: the raters.
        dollars: what ratings made in this run cost; None where none were.
        threads: at most so many.
    """

    pool: Pool
    lengths: NDArray[np.int64]
    features: Features | None
    longtail: NDArray[np.float64] | None
    judges: tuple[Judge, ...]
    dollars: float | None
    threads: int | None

    def used(self, ran: Ran) -> frozenset[str]:
        """Names of the raters that a strategy looked at."""
        scores = {judge.name for judge in self.judges if judge.role == "score"}
        return ran.columns | (scores if ran.scores else frozenset())


def table_for(
    measured: Measured,
    runs: Sequence[Ran],
    n: int,
    results: Results,
    *,
    seed: int,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Make the table of one size, JSON-able.

    Args:
        measured: what subsets are measured in.
        runs: the strategies, the control first.
        n: the size.
        results: of the user's command.
        seed: of the bootstrap.
        progress: called with strategies measured and all.
    """
    table, rows = _Table(measured, runs[0], n, results, seed), []
    for place, ran in enumerate(runs):
        progress(place, len(runs))
        rows.append(table.row(ran))
    progress(len(runs), len(runs))
    return {"n": n, "strategies": rows, "overlap": _overlap(runs, n)}


def _overlap(runs: Sequence[Ran], n: int) -> dict[str, Any]:
    drawn = {ran.entry.label: [draw.rows for draw in ran.draws.get(n, ())] for ran in runs}
    drawn = {label: draws for label, draws in drawn.items() if draws}
    shares = [
        [
            # With itself, what is drawn once has everything in common, which tells nothing.
            None if a == b and len(drawn[a]) == 1 else share_in_common(drawn[a], drawn[b], n)
            for b in drawn
        ]
        for a in drawn
    ]
    return {"labels": list(drawn), "shares": shares}


@dataclass(frozen=True)
class _Table:
    """All that a row is made from, besides its strategy."""

    measured: Measured
    control: Ran
    n: int
    results: Results
    seed: int

    def row(self, ran: Ran) -> dict[str, Any]:
        plan, draws = ran.entry.plan, ran.draws.get(self.n, ())
        row: dict[str, Any] = {
            "strategy": ran.entry.label,
            "plan": plan.to_dict(),
            "random": plan.random,
            "seeds": [draw.seed for draw in draws],
            "selected": len(draws[0].rows) if draws else 0,
            "why_fewer": draws[0].why_fewer if draws else "",
            "failed": None,
            "measures": {},
            "raters": {},
            "held_out_gain": None,
            "shares": [],
            "run": None,
        }
        if ran.failure is not None:
            row["failed"] = {"message": ran.failure.message, "hint": _hint(ran)}
            return row
        row["measures"] = _measures(self.measured, ran, draws)
        row["raters"] = {judge.name: self.judged(judge, ran) for judge in self.measured.judges}
        row["held_out_gain"] = self.held_out_gain(row["raters"])
        row["shares"] = _shares(self.measured, draws)
        found = [self.results.get((ran.entry.label, self.n, draw.seed)) for draw in draws]
        if any(result is not None for result in found):
            row["run"] = _run([result for result in found if result is not None], row["seeds"])
        return row

    def judged(self, judge: Judge, ran: Ran) -> dict[str, Any]:
        """The mean of a rater's ratings, and how far it is above that of the control."""
        ours = [_rated(judge, draw) for draw in ran.draws[self.n]]
        theirs = [_rated(judge, draw) for draw in self.control.draws[self.n]]
        means = [float(ratings.mean()) if len(ratings) else float("nan") for ratings in ours]
        return {
            "mean": over_seeds(means),
            "rated": len(ours[0]),
            "used": judge.name in self.measured.used(ran),
            "over_control": None if ran is self.control else difference(ours, theirs, self.seed),
        }

    def held_out_gain(self, judged: Mapping[str, Mapping[str, Any]]) -> float | None:
        """The mean gain over the control by the raters that the strategy did not look at.

        In standard deviations of each rater's ratings in the pool, as raters have their own scales.
        """
        gains = []
        for judge in self.measured.judges:
            spread = float(np.nanstd(judge.values)) if np.isfinite(judge.values).any() else 0.0
            own = judged[judge.name]
            if spread > 0 and own["over_control"] is not None and not own["used"]:
                gains.append(own["over_control"]["value"] / spread)
        return float(np.mean(gains)) if gains else None


def _hint(ran: Ran) -> str:
    """What would mend a strategy, with its own options as a comparison takes them."""
    own = {each.name for part in ran.entry.plan.parts for each in options_of(type(part))}

    def said(found: re.Match[str]) -> str:
        name = found[1].replace("-", "_")
        return f"--set {ran.entry.label}.{name}=..." if name in own else found[0]

    hint = "" if ran.failure is None else ran.failure.hint
    return re.sub(r"--([a-z][a-z-]*)", said, hint)


def _measures(measured: Measured, ran: Ran, draws: Sequence[Draw]) -> dict[str, Any]:
    each: dict[str, list[float]] = {}
    for draw in draws:
        for name, value in _measure(measured, draw).items():
            each.setdefault(name, []).append(value)
    found: dict[str, Any] = {name: over_seeds(values) for name, values in each.items()}
    found["seconds"] = over_seeds([draw.seconds for draw in draws])
    if measured.dollars is not None:
        found["dollars"] = over_seeds([measured.dollars if ran.scores else 0.0])
    return found


def _measure(measured: Measured, draw: Draw) -> dict[str, float]:
    found = {"length": float(np.median(measured.lengths[draw.rows]))}
    space = measured.features
    if space is None:
        return found
    subset = np.ascontiguousarray(space.rows[draw.rows])
    mean, most = measure_coverage(
        space.rows, draw.rows, allow_zero=space.allow_zero, threads=measured.threads
    )
    near = count_near(subset, allow_zero=space.allow_zero, threads=measured.threads)
    found |= {
        "coverage_mean": mean,
        "coverage_max": most,
        "vendi": vendi_score(subset),
        "near_duplicates": near / len(subset),
    }
    if measured.longtail is not None:
        found["longtail"] = float(measured.longtail[draw.rows].mean())
    return found


def _rated(judge: Judge, draw: Draw) -> NDArray[np.float64]:
    ratings = judge.values[draw.rows]
    return ratings[~np.isnan(ratings)]


def _shares(measured: Measured, draws: Sequence[Draw]) -> list[dict[str, Any]]:
    """Groups of every column that tells some, then of the lengths; shares are means over seeds."""
    found: dict[str, dict[str, Any]] = {}
    for draw in draws:
        selected = np.zeros(len(measured.pool), dtype=np.bool_)
        selected[draw.rows] = True
        parts = share_lengths(measured.lengths, selected)
        named = [{**part, "group": f"{part['from']:,}–{part['to']:,}"} for part in parts]
        length = {"column": "length in characters", "tells": "length", "groups": named}
        for table in (*share_groups(measured.pool, selected), length):
            kept = found.setdefault(table["column"], {**table, "draws": []})
            kept["draws"].append(table["groups"])
    return [_averaged(table) for table in found.values()]


def _averaged(table: Mapping[str, Any]) -> dict[str, Any]:
    draws = table["draws"]
    # In the order of the pool's groups, the same in every draw.
    rows = [
        {
            "group": same[0]["group"],
            "samples": same[0]["samples"],
            "selected": float(np.mean([group["selected"] for group in same])),
        }
        for same in zip(*draws, strict=True)
    ]
    return {
        "column": table["column"],
        "tells": table["tells"],
        "total_variation": over_seeds([total_variation(groups) for groups in draws]),
        "groups": rows,
    }


def _run(found: Sequence[CommandResult], seeds: Sequence[int]) -> dict[str, Any]:
    """What the user's command made of the subsets: of those that gave a number."""
    values = [result.value for result in found if result.value is not None]
    return {
        **(over_seeds(values) if values else {"value": None, "half": None, "values": []}),
        "seconds": [result.seconds for result in found],
        "reused": sum(result.reused for result in found),
        "failed": [
            {"seed": seed, "why": result.why, "stderr": result.stderr}
            for seed, result in zip(seeds, found, strict=True)
            if result.value is None
        ],
    }
