"""A finished selection, rated again by a stronger model where that can change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.atomic import atomic_path
from ds2_fast.beliefs import find_beliefs
from ds2_fast.errors import BudgetReachedError, RatingError, RunError
from ds2_fast.explaining.finished import FinishedRun, open_finished
from ds2_fast.line import Line, open_line
from ds2_fast.presets import PRESETS
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.quotas import read_groups
from ds2_fast.rated_runs import collect_ratings
from ds2_fast.rerating import Verdict, find_gain, pick_rows, weigh
from ds2_fast.rundir import write_json
from ds2_fast.safeguards import Safeguards, apply_safeguards
from ds2_fast.scoring import JOURNAL
from ds2_fast.selection import rank_samples
from ds2_fast.source import reopen_pool

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool
    from ds2_fast.rating.result import Ratings

_AGAIN = "select from the pool again with `ds2-fast select`, then rerate"


@dataclass(frozen=True)
class Budget:
    """What may be spent: samples, or dollars, or both.

    Attributes:
        samples: most samples to ask about; None = as many as can matter.
        dollars: on top of what the run has cost so far; None = no cap.
    """

    samples: int | None = None
    dollars: float | None = None


@dataclass(frozen=True)
class Rerated:
    """What rating again brought.

    Attributes:
        rows: uint32 `(m,)`, the pool rows that were rated again, most promising first.
        verdict: the stronger rater's T, and what is believed of these rows now.
        chosen: uint32 `(n,)`, the selection now, best first.
        report: counts, cost and changes; JSON-able.
    """

    rows: NDArray[np.uint32]
    verdict: Verdict
    chosen: NDArray[np.uint32]
    report: dict[str, Any]


def rerate(
    run_dir: str | Path,
    model: str,
    budget: int | Budget,
    *,
    output: str | Path | None = None,
    rating_options: Mapping[str, Any] | None = None,
    ask: Callable[..., Ratings] | None = None,
    narrator: Narrator = QUIET,
) -> Rerated:
    """Ask a stronger model about the samples of a selection that its ratings could move.

    Samples are asked in the order of `ds2_fast.rerating.find_gain`; posteriors are those of the
    run's curation, mixed half and half with what other raters of its journal said, so that
    disagreement counts as doubt. The selection is then made anew with the same n and safeguards
    (the bucket at the cut by long-tail scores), once with the old and once with the new posteriors
    for a fair comparison. `rerated.parquet` and `rerated.json` go into the run directory; its
    stages stay as they are.

    Args:
        run_dir: a run of `select` with the preset `default`.
        model: litellm name of the stronger model.
        budget: what may be spent; a number is one of samples.
        output: file of the new subset.
        rating_options: further arguments of `ds2_fast.rating.rate`.
        ask: called in place of `ds2_fast.rating.rate`, with the same arguments.
        narrator: is told what happens.

    Returns:
        What was asked, what it changed, and T of the stronger model.

    Raises:
        RunError: if the run is not finished, its preset ranks otherwise, or the pool has changed.
        RatingError: if the provider refuses, or the prompt has another number of classes.
        PoolError: if the output cannot be written.
    """
    from ds2_fast.pool import check_output, write_subset

    budget = Budget(samples=budget) if isinstance(budget, int) else budget
    with open_line(Path(run_dir), narrator) as line:
        pool = reopen_pool(line.run.path, line.run.manifest)
        if output is not None:
            check_output(pool, output)
        run = open_finished(line.run.path)
        scores, own = _read_scores(run, pool), _own_rater(run)
        if own == model:
            raise RunError(f"`{run_dir}` was rated by {model} itself", "name another model")
        others = collect_ratings(pool, line.run.path / JOURNAL, but=(model, own))
        believed = find_beliefs(run, others)
        before = scores.choose()
        rows = _find_rows(believed, before, budget)
        if not len(rows):
            raise RunError(
                f"no rating could change the selection of `{run_dir}`", "there is nothing to buy"
            )
        asked = _ask(line, pool, rows, believed.shape[1], model, budget, rating_options or {}, ask)
        rated, classes = rows[asked.classes >= 0], asked.classes[asked.classes >= 0]
        verdict = weigh(believed[rated], classes)
        corrected = scores.corrected(rated, verdict)
        after = corrected.choose()
        sheet = _sheet(scores, corrected, rated, classes, before, after)
        report = _report(model, asked, rows, sheet, verdict, corrected, before, after)
        with atomic_path(line.run.path / "rerated.parquet") as temporary:
            sheet.write_parquet(temporary)
        write_json(report, line.run.path / "rerated.json")
        if output is not None:
            write_subset(pool, after.rows, output)
            narrator.done("wrote", f"{len(after.rows):,} samples to {output}")
        return Rerated(rated, verdict, after.rows, report)


@dataclass(frozen=True)
class _Chosen:
    rows: NDArray[np.uint32]
    cut: float
    eligible: NDArray[np.bool_]


@dataclass(frozen=True)
class _Scores:
    """What a selection is made of, before and after."""

    run: FinishedRun
    pool: Pool
    scores: NDArray[np.int8]
    curated: NDArray[np.int8]
    expected: NDArray[np.float64]

    def corrected(self, rows: NDArray[np.uint32], verdict: Verdict) -> _Scores:
        """The same with what a stronger rater says of some rows."""
        curated, expected = self.curated.copy(), self.expected.copy()
        curated[rows] = verdict.posteriors.argmax(axis=1)
        expected[rows] = verdict.expected
        return replace(self, curated=curated, expected=expected)

    def choose(self) -> _Chosen:
        """The selection, and from which expected score on it takes."""
        settings = self.run.report["settings"]
        n, run = max(settings["n"]), self.run
        longtail = run.sheet["ds2_long_tail"].to_numpy()
        ranking = rank_samples(
            self.curated,
            self.expected,
            longtail,
            n=n,
            keep_outliers=settings["keep_outliers"],
        )
        safeguards = Safeguards(
            settings["dedup"], "longtail", settings["mix"], settings["min_share"]
        )
        groups = None if self.pool.groups is None else read_groups(self.pool.groups)
        chosen = apply_safeguards(ranking, run.graph, safeguards, n=n, groups=groups, fill=_no_fill)
        eligible = np.ones(len(self.scores), np.bool_)
        eligible[ranking.trimmed] = False
        if chosen.distinct is not None:
            eligible[chosen.distinct.dropped] = False
        rows = chosen.order[:n]
        return _Chosen(rows, float(ranking.bucket[rows].min()), eligible)


def _no_fill(_tie: object) -> Any:  # noqa: ANN401
    raise AssertionError("the long tail fills the bucket at the cut")


def _read_scores(run: FinishedRun, pool: Pool) -> _Scores:
    settings = run.report["settings"]
    if not settings["n"]:
        raise RunError(f"`{run.path}` holds no selection", _AGAIN)
    if PRESETS[settings["preset"]].selection != "default":
        raise RunError(
            f"the preset `{settings['preset']}` does not rank by expected scores, which is what "
            "rating again changes",
            "select with the preset `default`, then rerate",
        )
    sheet = run.sheet
    return _Scores(
        run,
        pool,
        sheet["ds2_score"].fill_null(-1).to_numpy().astype(np.int8),
        sheet["ds2_score_curated"].fill_null(-1).to_numpy().astype(np.int8),
        sheet["ds2_score_expected"].cast(float).fill_null(float("nan")).to_numpy(),
    )


def _own_rater(run: FinishedRun) -> str:
    """The model whose ratings the run stands on; empty if they came with the pool."""
    return "" if run.ratings is None else str(run.ratings.summary["model"])


@dataclass(frozen=True)
class _Asked:
    """The stronger rater's classes of the rows asked, -1 = none, and what that took."""

    classes: NDArray[np.int8]
    cost: float | None
    stopped: bool


def _ask(  # noqa: PLR0917
    line: Line,
    pool: Pool,
    rows: NDArray[np.uint32],
    num_classes: int,
    model: str,
    budget: Budget,
    options: Mapping[str, Any],
    ask: Callable[..., Ratings] | None,
) -> _Asked:
    """Rate the rows, as far as the money goes; what was bought counts in any case."""
    from ds2_fast.rating import rate
    from ds2_fast.rating.journal import load_journal
    from ds2_fast.rating.prompt import load_prompt
    from ds2_fast.rating.result import build_frame
    from ds2_fast.rating.run import set_up_from
    from ds2_fast.scoring import argument

    journal = line.run.path / JOURNAL
    prompt = load_prompt(argument("prompt", options))
    if prompt.num_classes != num_classes:
        raise RatingError(
            f"the prompt `{prompt.name}` has {prompt.num_classes} classes, "
            f"the run has {num_classes}",
            "name a prompt with as many classes with `--prompt`",
        )
    conversations = pool.conversations()
    asked = [conversations[row] for row in rows]
    setup = set_up_from(model, options)
    # Stored answers without a price cost what this model costs: the cap counts them so.
    before = setup.stored(setup.jobs(asked), load_journal(journal)).spent(setup.price)
    told = {**options, "max_null": 1.0}
    if budget.dollars is not None:
        told["max_cost"] = before + budget.dollars
    stopped = False
    try:
        (ask or rate)(asked, model, journal_path=journal, **told)
    except BudgetReachedError:
        stopped = True
    jobs = setup.jobs(asked)
    stored = setup.stored(jobs, load_journal(journal))
    score = build_frame(jobs, stored.results)["score"].fill_null(-1).to_numpy().astype(np.int8)
    cost = None if setup.price is None else stored.spent(setup.price) - before
    return _Asked(score, cost, stopped)


def _find_rows(
    believed: NDArray[np.float64], before: _Chosen, budget: Budget
) -> NDArray[np.uint32]:
    selected = np.zeros(len(believed), np.bool_)
    selected[before.rows] = True
    gain = find_gain(believed, selected, before.cut)
    gain[~before.eligible] = 0.0
    return pick_rows(gain, len(gain) if budget.samples is None else budget.samples)


def _sheet(  # noqa: PLR0917
    scores: _Scores,
    corrected: _Scores,
    rated: NDArray[np.uint32],
    classes: NDArray[np.int8],
    before: _Chosen,
    after: _Chosen,
) -> pl.DataFrame:
    """What was asked, and what came of it: one row per sample that was rated again."""
    import polars as pl

    ids = {} if scores.pool.ids is None else {"ds2_id": scores.pool.ids[rated]}
    return pl.DataFrame(
        {
            "ds2_index": rated,
            **ids,
            "ds2_score": pl.Series(scores.scores[rated]).replace(-1, None),
            "ds2_score_rerated": classes,
            "ds2_score_expected": pl.Series(scores.expected[rated]).fill_nan(None),
            "ds2_score_expected_rerated": corrected.expected[rated],
            "ds2_selected": np.isin(rated, before.rows),
            "ds2_selected_rerated": np.isin(rated, after.rows),
        }
    )


def _report(  # noqa: PLR0917
    model: str,
    asked: _Asked,
    rows: NDArray[np.uint32],
    sheet: pl.DataFrame,
    verdict: Verdict,
    corrected: _Scores,
    before: _Chosen,
    after: _Chosen,
) -> dict[str, Any]:
    replaced, rated = len(np.setdiff1d(after.rows, before.rows)), len(sheet)
    same = (sheet["ds2_score"] == sheet["ds2_score_rerated"]).sum()
    return {
        "model": model,
        "asked": len(rows),
        "rated": rated,
        "stopped_by_budget": asked.stopped,
        "cost": asked.cost,
        "same_class": int(same),
        "compared": rated - sheet["ds2_score"].null_count(),
        "cut": before.cut,
        "selected": len(after.rows),
        "replaced": replaced,
        "replaced_per_100_ratings": 100 * replaced / rated if rated else None,
        "replaced_per_dollar": replaced / asked.cost if asked.cost else None,
        # Both selections judged by what is believed now.
        "expected_before": float(np.nanmean(corrected.expected[before.rows])),
        "expected_after": float(np.nanmean(corrected.expected[after.rows])),
        "T": verdict.T.tolist(),
    }


def describe(report: Mapping[str, Any]) -> str:
    """The report for people: what was asked, what it changed, and T."""
    cost = "at an unknown price" if report["cost"] is None else f"${report['cost']:,.4f}"
    more = "; the budget ended it" if report["stopped_by_budget"] else ""
    per = f"{report['replaced_per_100_ratings'] or 0:.1f} per 100 ratings"
    if report["replaced_per_dollar"] is not None:
        per += f", {report['replaced_per_dollar']:,.0f} per dollar"
    lines = [
        f"rated      {report['rated']:,} of {report['asked']:,} samples asked about, "
        f"with {report['model']}, {cost}{more}",
        f"agreement  {report['same_class']:,} of {report['compared']:,} keep their score",
        f"selection  {report['replaced']:,} of {report['selected']:,} replaced ({per})",
        f"expected   {report['expected_before']:.3f} -> {report['expected_after']:.3f}, mean "
        "expected score of the selection, both by what is believed now",
        "",
        f"T of {report['model']}: true score (rows) to rating (columns), by its ratings alone "
        "as weighed against the run's",
        "       " + "".join(f"{score:>7}" for score in range(len(report["T"]))),
    ]
    lines += [
        f"{score:>7}" + "".join(f"{value:>7.2f}" for value in row)
        for score, row in enumerate(report["T"])
    ]
    return "\n".join(lines)
