"""A finished selection, rated again by a stronger model where that can change it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core, artifacts
from ds2_fast.curation import Curated
from ds2_fast.errors import BudgetReachedError, RunError
from ds2_fast.knn import Neighbors
from ds2_fast.line import Line, open_line
from ds2_fast.presets import PRESETS
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.quotas import read_groups
from ds2_fast.rated_runs import collect_ratings
from ds2_fast.rerating import Verdict, find_gain, pick_rows, weigh
from ds2_fast.rundir import Artifact, write_json
from ds2_fast.safeguards import Safeguards, apply_safeguards
from ds2_fast.scoring import JOURNAL
from ds2_fast.selection import rank_samples
from ds2_fast.source import reopen_pool
from ds2_fast.transition import Transition

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool
    from ds2_fast.rating.result import Ratings

_AGAIN = "select from the pool again with `ds2-fast select`, then rerate"
# So little that neighbors say nothing: for runs whose curation was switched off.
_UNHEARD = 1e-9
_UNASSUMED_SHARE = 0.5


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
    budget: Budget,
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
        budget: what may be spent.
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

    with open_line(Path(run_dir), narrator) as line:
        pool = reopen_pool(line.run.path, line.run.manifest)
        if output is not None:
            check_output(pool, output)
        finished = _read_finished(line, pool)
        own = _own_rater(line)
        if own == model:
            raise RunError(f"`{run_dir}` was rated by {model} itself", "name another model")
        others = collect_ratings(pool, line.run.path / JOURNAL, but=(model, own))
        believed = finished.believe(others)
        before = finished.choose(finished.curated.curated, finished.curated.expected)
        selected = np.zeros(len(pool), np.bool_)
        selected[before.chosen] = True
        gain = find_gain(believed, selected, before.cut)
        gain[~before.eligible] = 0.0
        rows = pick_rows(gain, len(pool) if budget.samples is None else budget.samples)
        if not len(rows):
            raise RunError(
                f"no rating could change the selection of `{run_dir}`", "there is nothing to buy"
            )
        narrator.done("asked", f"{len(rows):,} samples that could change the selection were found")
        asked = _ask(line, pool, rows, model, budget, rating_options or {}, ask)
        known = asked.classes >= 0
        rated, classes = rows[known], asked.classes[known]
        verdict = weigh(believed[rated], classes)
        expected, curated = finished.curated.expected.copy(), finished.curated.curated.copy()
        expected[rated] = verdict.expected
        curated[rated] = verdict.posteriors.argmax(axis=1)
        after = finished.choose(curated, expected)
        report = _report(model, finished, rows, rated, classes, verdict, before, after, asked)
        _write(line, pool, rated, classes, verdict, finished, before, after, report)
        if output is not None:
            write_subset(pool, after.chosen, output)
            narrator.done("wrote", f"{len(after.chosen):,} samples to {output}")
        return Rerated(rated, verdict, after.chosen, report)


@dataclass(frozen=True)
class _Chosen:
    chosen: NDArray[np.uint32]
    cut: float
    eligible: NDArray[np.bool_]


@dataclass(frozen=True)
class _Finished:
    """What a finished run knows."""

    scores: NDArray[np.int8]
    neighbors: Neighbors
    transition: Transition
    curated: Curated
    longtail: NDArray[np.float64]
    settings: Mapping[str, Any]
    pool: Pool

    def believe(self, others: list[NDArray[np.int8]]) -> NDArray[np.float64]:
        """Posterior of every sample; where others rated it, half of it is what they said."""
        curated = self.curated
        heard = curated.neighbor_k is not None and curated.beta is not None
        found = _core.posteriors(
            self.scores,
            self.neighbors.indices,
            self.transition.T,
            self.transition.p,
            curated.neighbor_k if heard and curated.neighbor_k else 1,
            curated.beta if heard and curated.beta else _UNHEARD,
            _UNASSUMED_SHARE if curated.noise_share is None else curated.noise_share,
            list(range(len(self.scores))),
        )
        classes = found.shape[1]
        said = np.zeros_like(found)
        for other in others:
            known = (other >= 0) & (other < classes)
            said[np.flatnonzero(known), other[known]] += 1
        heard_of = said.sum(axis=1)
        mixed = 0.5 * found + 0.5 * said / np.maximum(heard_of, 1)[:, None]
        return np.where(heard_of[:, None] > 0, mixed, found)

    def choose(self, curated: NDArray[np.int8], expected: NDArray[np.float64]) -> _Chosen:
        """The selection under these scores, and from which expected score on it takes."""
        settings, n = self.settings, max(self.settings["n"])
        keep = settings["keep_outliers"]
        ranking = rank_samples(curated, expected, self.longtail, n=n, keep_outliers=keep)
        safeguards = Safeguards(
            settings["dedup"], "longtail", settings["mix"], settings["min_share"]
        )
        groups = None if self.pool.groups is None else read_groups(self.pool.groups)
        chosen = apply_safeguards(
            ranking, self.neighbors, safeguards, n=n, groups=groups, fill=_no_fill
        )
        rows = chosen.order[:n]
        eligible = np.ones(len(curated), np.bool_)
        eligible[ranking.trimmed] = False
        if chosen.distinct is not None:
            eligible[chosen.distinct.dropped] = False
        return _Chosen(rows, float(np.nanmin(ranking.bucket[rows])), eligible)


def _no_fill(_tie: object) -> Any:  # noqa: ANN401
    raise AssertionError("the long tail fills the bucket at the cut")


def _read_finished(line: Line, pool: Pool) -> _Finished:
    settings = line.run.manifest.get("settings")
    if not settings or not settings["n"]:
        raise RunError(f"`{line.run.path}` holds no selection", _AGAIN)
    if PRESETS[settings["preset"]].selection != "default":
        raise RunError(
            f"the preset `{settings['preset']}` does not rank by expected scores, which is what "
            "rating again changes",
            "select with the preset `default`, then rerate",
        )
    curated = _load(line, "curation", artifacts.CURATED)
    sheet = _load(line, "selection", artifacts.SELECTION).sheet
    scores = sheet["ds2_score"].fill_null(-1).to_numpy().astype(np.int8)
    return _Finished(
        scores,
        _load(line, "neighbors", artifacts.NEIGHBORS),
        _load(line, "transition", artifacts.TRANSITION),
        curated,
        _load(line, "long tail", artifacts.LONGTAIL),
        settings,
        pool,
    )


def _own_rater(line: Line) -> str:
    """The model whose ratings the run stands on; empty if they came with the pool."""
    stage = line.run.manifest["stages"].get("rating", {})
    return str(stage.get("params", {}).get("model", ""))


def _load(line: Line, name: str, artifact: Artifact[Any]) -> Any:  # noqa: ANN401
    files = tuple(line.run.path / file for file in artifact.files)
    if name not in line.run.manifest["stages"] or not all(file.is_file() for file in files):
        raise RunError(f"`{line.run.path}` lacks the stage `{name}`", _AGAIN)
    return artifact.load(files)


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
    model: str,
    budget: Budget,
    options: Mapping[str, Any],
    ask: Callable[..., Ratings] | None,
) -> _Asked:
    """Rate the rows, as far as the money goes; what was bought counts in any case."""
    from ds2_fast.errors import RatingError
    from ds2_fast.rating import rate
    from ds2_fast.rating.journal import load_journal
    from ds2_fast.rating.prompt import load_prompt
    from ds2_fast.rating.result import build_frame
    from ds2_fast.rating.run import set_up_from
    from ds2_fast.scoring import argument

    journal = line.run.path / JOURNAL
    prompt = load_prompt(argument("prompt", options))
    classes = line.run.manifest["stages"]["transition"]["params"]["num_classes"]
    if prompt.num_classes != classes:
        raise RatingError(
            f"the prompt `{prompt.name}` has {prompt.num_classes} classes, the run has {classes}",
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


def _report(  # noqa: PLR0917
    model: str,
    finished: _Finished,
    rows: NDArray[np.uint32],
    rated: NDArray[np.uint32],
    classes: NDArray[np.int8],
    verdict: Verdict,
    before: _Chosen,
    after: _Chosen,
    asked: _Asked,
) -> dict[str, Any]:
    old = finished.scores[rated]
    replaced = len(np.setdiff1d(after.chosen, before.chosen))
    expected = finished.curated.expected.copy()
    expected[rated] = verdict.expected  # both selections judged by what is believed now
    return {
        "model": model,
        "candidates": len(rows),
        "rated": len(rated),
        "stopped_by_budget": asked.stopped,
        "cost": asked.cost,
        "same_class": int((old == classes).sum()),
        "compared": int((old >= 0).sum()),
        "cut": before.cut,
        "selected": len(after.chosen),
        "replaced": replaced,
        "replaced_per_100_ratings": 100 * replaced / len(rated) if len(rated) else None,
        "replaced_per_dollar": replaced / asked.cost if asked.cost else None,
        "expected_before": float(np.nanmean(expected[before.chosen])),
        "expected_after": float(np.nanmean(expected[after.chosen])),
        "T": verdict.T.tolist(),
    }


def _write(  # noqa: PLR0917
    line: Line,
    pool: Pool,
    rated: NDArray[np.uint32],
    classes: NDArray[np.int8],
    verdict: Verdict,
    finished: _Finished,
    before: _Chosen,
    after: _Chosen,
    report: dict[str, Any],
) -> None:
    import polars as pl

    from ds2_fast.atomic import atomic_path

    ids: dict[str, pl.Series] = {} if pool.ids is None else {"ds2_id": pool.ids[rated]}
    old = finished.scores[rated]
    frame = pl.DataFrame(
        {
            "ds2_index": rated,
            **ids,
            "ds2_score": pl.Series(old).replace(-1, None),
            "ds2_score_rerated": classes,
            "ds2_score_expected": pl.Series(finished.curated.expected[rated]).fill_nan(None),
            "ds2_score_expected_rerated": verdict.expected,
            "ds2_selected": np.isin(rated, before.chosen),
            "ds2_selected_rerated": np.isin(rated, after.chosen),
        }
    )
    with atomic_path(line.run.path / "rerated.parquet") as temporary:
        frame.write_parquet(temporary)
    write_json(report, line.run.path / "rerated.json")


def describe(report: Mapping[str, Any]) -> str:
    """The report for people: what was asked, what it changed, and T."""
    cost = "at an unknown price" if report["cost"] is None else f"${report['cost']:,.4f}"
    more = "; the budget ended it" if report["stopped_by_budget"] else ""
    per = f"{report['replaced_per_100_ratings'] or 0:.1f} per 100 ratings"
    if report["replaced_per_dollar"] is not None:
        per += f", {report['replaced_per_dollar']:,.0f} per dollar"
    lines = [
        f"rated      {report['rated']:,} of {report['candidates']:,} samples asked about, "
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
