"""Two runs of one pool compared: whom both selected, whom only one, and why."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.agreement import jsonable, spearman
from ds2_fast.errors import RunError
from ds2_fast.explaining.chosen import ChosenRun, open_selected
from ds2_fast.explaining.finished import FinishedRun

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

Run = FinishedRun | ChosenRun
LISTED = 20
"""Rows in and rows out that are listed."""


@dataclass(frozen=True)
class RunComparison:
    """What differs between two runs of one pool, A and B; from A to B rows go out and come in.

    Attributes:
        runs: the folders of A and B.
        samples: samples of the pool.
        settings: settings that differ, by name, with the values in A and B.
        selected: samples selected by A, by B.
        both: samples that both selected.
        jaccard: `both` over those that any selected; None if none selected any.
        out: samples that A selected and B did not, by B's reason.
        into: samples that B selected and A did not, by A's reason.
        out_rows: the first 20 of them by A's rank, see `_listed`.
        into_rows: the first 20 of the others by B's rank.
        scores: how the scores of the two differ, see `_scores`.
        transition: how T and p of the two differ, see `_transition`; None with several raters,
            where their numbers of classes differ, or where a strategy looked at no T.
        shares: by column, the groups with their samples in the pool and in either selection.
    """

    runs: tuple[str, str]
    samples: int
    settings: dict[str, tuple[Any, Any]]
    selected: tuple[int, int]
    both: int
    jaccard: float | None
    out: dict[str, int]
    into: dict[str, int]
    out_rows: list[dict[str, Any]]
    into_rows: list[dict[str, Any]]
    scores: dict[str, Any]
    transition: dict[str, Any] | None
    shares: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return asdict(self)


def compare_runs(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> RunComparison:
    """Compare two finished runs of one pool.

    Args:
        first: run directory A, as `select` and `curate` leave it.
        second: run directory B.

    Returns:
        What both selected, what went out and came in, and how scores and T differ.

    Raises:
        RunError: if either is no finished run, or they are of different pools.

    Cost: reading both score sheets, O(N log N).
    """
    a, b = open_selected(Path(first)), open_selected(Path(second))
    _check_same_pool(a, b)
    in_a, in_b = _selected(a), _selected(b)
    both, either = int((in_a & in_b).sum()), int((in_a | in_b).sum())
    return RunComparison(
        runs=(str(a.path), str(b.path)),
        samples=len(a.sheet),
        settings=_settings(a, b),
        selected=(int(in_a.sum()), int(in_b.sum())),
        both=both,
        jaccard=both / either if either else None,
        out=_reasons(b, in_a & ~in_b),
        into=_reasons(a, in_b & ~in_a),
        out_rows=_listed(a, b, in_a & ~in_b, by=a),
        into_rows=_listed(a, b, in_b & ~in_a, by=b),
        scores=_scores(a, b),
        transition=_transition(a, b),
        shares=_shares(a, b),
    )


def _check_same_pool(a: Run, b: Run) -> None:
    if len(a.sheet) != len(b.sheet):
        raise RunError(
            f"`{a.path}` is of {len(a.sheet):,} samples, `{b.path}` of {len(b.sheet):,}: these are "
            "different pools",
            "compare runs of one pool, in the same order",
        )
    ids = [run.sheet["ds2_id"] for run in (a, b) if "ds2_id" in run.sheet.columns]
    if len(ids) == 2 and not ids[0].equals(ids[1]):  # noqa: PLR2004
        row = int((ids[0].fill_null("") != ids[1].fill_null("")).arg_max() or 0)
        raise RunError(
            f"row {row} is `{ids[0][row]}` in `{a.path}` and `{ids[1][row]}` in `{b.path}`: these "
            "are different pools",
            "compare runs of one pool, in the same order",
        )


def _selected(run: Run) -> NDArray[np.bool_]:
    return run.sheet["ds2_selected"].to_numpy().astype(np.bool_)


def _settings(a: Run, b: Run) -> dict[str, tuple[Any, Any]]:
    """What was asked for, and found by, differently.

    Of runs by different strategies, what only one of them has is left out, but for the options of
    the strategy itself.
    """
    told = [_told(run) for run in (a, b)]
    alike = told[0]["strategy"] == told[1]["strategy"]
    names = [
        name
        for name in dict.fromkeys((*told[0], *told[1]))
        if alike or (name in told[0] and name in told[1]) or "." in name
    ]
    pairs = {name: (told[0].get(name), told[1].get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _told(run: Run) -> dict[str, Any]:
    report, found = run.report, {"strategy": "ds2", **run.report["settings"]}
    if "features" in report:
        found["features"] = f"{report['features']['space']}: {report['features']['source']}"
    if "scores" in report:
        found["scores"] = report["scores"]["source"]
    return found


def _reasons(run: Run, rows: NDArray[np.bool_]) -> dict[str, int]:
    """Why a run left these rows, the most frequent reason first."""
    found = Counter(run.sheet["ds2_reason"].filter(_mask(rows)).to_list())
    return {reason or "nothing was to be selected": count for reason, count in found.most_common()}


def _listed(a: Run, b: Run, rows: NDArray[np.bool_], *, by: Run) -> list[dict[str, Any]]:
    """The best ranked of these rows, with what either run says of them, `(A, B)` each.

    `ranked_by` is the expected score, or the score of a strategy; null what a run does not have.
    """
    columns = ("score", "score_curated", "score_expected", "ranked_by", "rank", "reason")
    best = by.sheet.filter(_mask(rows)).sort("ds2_rank").head(LISTED)["ds2_index"].to_list()
    sheets = []
    for run in (a, b):
        shown = run.sheet[best].with_columns(ds2_ranked_by=_ranked_by(run))
        sheets.append(
            [{name: row.get(f"ds2_{name}") for name in columns} for row in shown.to_dicts()]
        )
    return [
        {"row": row, **{name: (left[name], right[name]) for name in columns}}
        for row, left, right in zip(best, *sheets, strict=True)
    ]


def _ranked_by(run: Run) -> str:
    return "ds2_score_expected" if isinstance(run, FinishedRun) else "ds2_strategy_score"


def _mask(rows: NDArray[np.bool_]) -> pl.Series:
    import polars as pl

    return pl.Series(rows)


def _scores(a: Run, b: Run) -> dict[str, Any]:
    """How the scores of samples rated in both differ.

    `rated`: how many there are. `rated_differently`, `curated_differently`: of another class (null
    where the numbers of classes differ). `mean_shift`: mean of B's expected score less A's.
    `largest_shift`: the largest change of an expected score, and its `row`. `spearman`: rank
    correlation of the scores by which they rank. Where a strategy selected, whose scores have a
    scale of their own, only the last is known.
    """
    if not (isinstance(a, FinishedRun) and isinstance(b, FinishedRun)):
        return _strategy_scores(a, b)
    same = len(a.report["scores"]["classes"]) == len(b.report["scores"]["classes"])
    columns = [
        tuple(run.sheet[f"ds2_{name}"].cast(float).fill_null(np.nan).to_numpy() for run in (a, b))
        for name in ("score", "score_curated", "score_expected")
    ]
    (rated, rated_b), (curated, curated_b), (expected, expected_b) = columns
    known = ~np.isnan(expected) & ~np.isnan(expected_b)
    shift = np.where(known, expected_b - expected, 0.0)
    row = int(np.abs(shift).argmax())
    return {
        "rated": int(known.sum()),
        "rated_differently": int((rated != rated_b)[known].sum()) if same else None,
        "curated_differently": int((curated != curated_b)[known].sum()) if same else None,
        "mean_shift": float(shift[known].mean()) if known.any() else None,
        "largest_shift": float(shift[row]),
        "row": row,
        "spearman": jsonable(spearman(expected, expected_b)),
    }


def _strategy_scores(a: Run, b: Run) -> dict[str, Any]:
    first, second = (
        run.sheet[_ranked_by(run)].cast(float).fill_null(np.nan).to_numpy() for run in (a, b)
    )
    unknown = ("rated_differently", "curated_differently", "mean_shift", "largest_shift", "row")
    return {
        "rated": int((~np.isnan(first) & ~np.isnan(second)).sum()),
        **dict.fromkeys(unknown),
        "spearman": jsonable(spearman(first, second)),
    }


def _transition(a: Run, b: Run) -> dict[str, Any] | None:
    """T and p of B less those of A, the largest difference in T, and the noise shares."""
    parts = [run.report for run in (a, b)]
    if any("transition" not in part or "scores" not in part for part in parts):
        return None
    T, p = ([np.array(part["transition"][name]) for part in parts] for name in ("T", "p"))
    if T[0].shape != T[1].shape:
        return None
    return {
        "T": (T[1] - T[0]).tolist(),
        "p": (p[1] - p[0]).tolist(),
        "largest": float(np.abs(T[1] - T[0]).max()),
        "classes": parts[0]["scores"]["classes"],
        "noise_share": tuple(part["curation"]["noise_share"] for part in parts),
        "verdicts": tuple(part["trust"]["verdict"] for part in parts),
    }


def _shares(a: Run, b: Run) -> list[dict[str, Any]]:
    """Group shares of every column that both reports tell of, and of the lengths."""
    told = [run.report.get("figures", {}).get("shares", {}) for run in (a, b)]
    if not all(told):
        return []
    tables: list[dict[str, Mapping[str, Any]]] = [
        {found["column"]: found["groups"] for found in shares["groups"]}
        | {
            "length in characters": [
                {**part, "group": f"{part['from']:,}–{part['to']:,}"} for part in shares["length"]
            ]
        }
        for shares in told
    ]
    return [
        {"column": column, "groups": _joined(groups, tables[1][column])}
        for column, groups in tables[0].items()
        if column in tables[1]
    ]


def _joined(first: Any, second: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    chosen = {each["group"]: each["selected"] for each in second}
    return [
        {
            "group": each["group"],
            "samples": each["samples"],
            "selected": (each["selected"], chosen.get(each["group"], 0)),
        }
        for each in first
    ]
