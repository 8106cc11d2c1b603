"""Which samples a person should score, and what a person's scores say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core, artifacts
from ds2_fast.calibration import LEAST_AUDITED
from ds2_fast.errors import PoolError, RunError
from ds2_fast.explaining.chosen import by_strategy
from ds2_fast.line import default_run_dir
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.rundir import AGAIN, MANIFEST, digest_files, read_manifest
from ds2_fast.source import reopen_pool

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool

REPORT = "report.json"

NEAR_CUT = 3.0
"""How much more often, for their number, samples near the cut are drawn than others."""


@dataclass(frozen=True)
class Drawn:
    """Samples for a person to score.

    Attributes:
        rows: uint32 `(n,)`, rows of the pool, ascending.
        weights: float64 `(n,)`, one over the probability of each.
        near_cut: how many of them lie near the cut of the selection.
        file: where they were written.
    """

    rows: NDArray[np.uint32]
    weights: NDArray[np.float64]
    near_cut: int
    file: Path


def sample_audit(
    data: object,
    n: int = 100,
    *,
    output: str | Path = "audit.csv",
    score_col: str | None = None,
    scale: str | None = None,
    run_dir: str | Path | None = None,
    seed: int = 42,
    pool_options: Mapping[str, Any] | None = None,
    narrator: Narrator = QUIET,
) -> Drawn:
    """Write the samples that tell most when a person scores them, as a CSV file to fill in.

    Drawn at random within strata: the score, and, where the run directory tells, whether the sample
    lies near the cut of the selection (rank within n/2, or 5 % of the ranked, of the last one
    chosen). A stratum of N samples gets a share in proportion to sqrt(N), three times that near the
    cut. The weights that undo this are in the file and are used by `select(audit=...)`.

    Args:
        data: the pool, or the run directory of one.
        n: how many, at least 50.
        output: the .csv file, which must not exist yet.
        score_col: column with the scores; None takes those of the run, else a column of a known
            name.
        scale: see `select`.
        run_dir: the run directory; None is the one beside the pool, if there is one.
        seed: of the draw; the same seed draws the same samples.
        pool_options: see `select`.
        narrator: is told what happens.

    Raises:
        PoolError: if the pool cannot be read, has too few rated samples, or `output` exists.
        RunError: if `data` is the directory of a run that did not finish.

    Source: Neyman allocation with equal deviations is proportional to N; the root lets rare scores
    be known too. O(N).
    """
    from ds2_fast.pool import write_audit_sheet

    if n < LEAST_AUDITED:
        raise PoolError(
            f"{n} samples are too few for an audit, which needs at least {LEAST_AUDITED}",
            "draw 100 to 300 with `-n`",
        )
    pool, folder = _open(data, run_dir, pool_options)
    found = _scores(pool, folder, score_col, scale)
    narrator.done("scores", found.verdict)
    rated = int(np.count_nonzero(found.classes >= 0))
    if n > rated:
        raise PoolError(f"{n:,} samples asked for, and {rated:,} are rated", "lower `-n`")
    strata = 2 * found.classes.astype(np.int32) + found.near_cut
    strata[found.classes < 0] = -1
    importance = np.tile([1.0, NEAR_CUT], len(found.starts))
    rows, weights = _core.draw_stratified(strata, importance, n, seed)
    file, words = Path(output), f"{found.starts[0]} to {found.high}"
    write_audit_sheet(pool, rows, weights, file, scale=words)
    drawn = Drawn(rows, weights, int(np.count_nonzero(found.near_cut[rows])), file)
    where = f", {drawn.near_cut:,} of them near the cut" if found.near_cut.any() else ""
    narrator.done("wrote", f"{n:,} samples to {file}{where}")
    narrator.note(f"score them {words} in the column `score`, then select with `--audit {file}`")
    return drawn


def check_audit(
    file: str | Path,
    data: object,
    *,
    score_col: str | None = None,
    scale: str | None = None,
    run_dir: str | Path | None = None,
    pool_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read a person's scores and compare them with the ratings, without curating anything.

    Args:
        file: what the person filled in.
        data: the pool, or the run directory of one.
        score_col: see `sample_audit`.
        scale: see `select`.
        run_dir: see `sample_audit`.
        pool_options: see `select`.

    Returns:
        `scored`, `unscored`, `enough` (at least 50 are scored), `rated` (of the scored), and
        `equal`, the weighted share of these on which rating and person agree (None if there are
        none).

    Raises:
        PoolError: as `sample_audit`; with every cell that cannot be used.
    """
    from ds2_fast.pool import read_hand_scores

    pool, folder = _open(data, run_dir, pool_options)
    hand = read_hand_scores(file, pool)
    found = _scores(pool, folder, score_col, scale)
    gold, own = hand.classes(found.starts, found.high), found.classes[hand.rows]
    rated = own >= 0
    weights = hand.weights[rated]
    equal = float(weights[gold[rated] == own[rated]].sum() / weights.sum()) if rated.any() else None
    return {
        "scored": len(hand.rows),
        "unscored": hand.unscored,
        "enough": len(hand.rows) >= LEAST_AUDITED,
        "rated": int(np.count_nonzero(rated)),
        "equal": equal,
    }


@dataclass(frozen=True)
class _Found:
    """The scores of a pool, and which samples lie near the cut of its last selection."""

    classes: NDArray[np.int8]
    starts: tuple[int, ...]
    high: int
    near_cut: NDArray[np.bool_]
    verdict: str


def _open(
    data: object, run_dir: str | Path | None, options: Mapping[str, Any] | None
) -> tuple[Pool, Path | None]:
    """Read the pool, and find its finished run if there is one."""
    from ds2_fast.pool import read_pool

    one = data[0] if isinstance(data, list) and len(data) == 1 else data
    if isinstance(one, str | Path) and (Path(one) / MANIFEST).is_file():
        folder = Path(one)
        return reopen_pool(folder, read_manifest(folder)), folder
    pool = read_pool(data, **(options or {}))
    if run_dir is not None:
        read_manifest(Path(run_dir))
        return pool, Path(run_dir)
    folder = default_run_dir(pool.inputs[0]) if pool.inputs else Path()
    return pool, folder if (folder / REPORT).is_file() else None


def _scores(pool: Pool, folder: Path | None, column: str | None, scale: str | None) -> _Found:
    """Take the scores of the run, unless there is none or others are named.

    The score of another strategy than DS2 is none that a person could give: the pool's are taken.
    """
    from ds2_fast.pool import read_scores

    ranked = folder is not None and not by_strategy(folder)
    sheet, report = _run(folder, len(pool)) if folder is not None and ranked else (None, {})
    near = np.zeros(len(pool), dtype=np.bool_) if sheet is None else _near_cut(sheet)
    if sheet is None or column is not None or scale is not None:
        scores = read_scores(pool, column, scale or "auto")
        return _Found(scores.values, scores.starts, scores.high, near, scores.verdict)
    classes = sheet["ds2_score"].fill_null(-1).to_numpy()
    starts, high = report["scores"]["starts"], report["scores"]["high"]
    return _Found(classes, tuple(starts), high, near, f"scores of the run `{folder}`")


def _run(folder: Path, rows: int) -> tuple[pl.DataFrame, dict[str, Any]]:
    """Read the score sheet and the report of a finished run."""
    files = tuple(folder / name for name in artifacts.SELECTION.files)
    stage = read_manifest(folder)["stages"].get("selection")
    if stage is None or not all(file.is_file() for file in (*files, folder / REPORT)):
        raise RunError(f"the run `{folder}` did not finish", AGAIN)
    if digest_files(files) != stage["digest"]:
        raise RunError(f"`{files[0]}` is not the one of the last run", AGAIN)
    sheet = artifacts.SELECTION.load(files).sheet
    report = json.loads((folder / REPORT).read_bytes())
    if len(sheet) != rows or "starts" not in report["scores"]:
        raise RunError(f"the run `{folder}` is of another pool or another version", AGAIN)
    return sheet, report


def _near_cut(sheet: pl.DataFrame) -> NDArray[np.bool_]:
    """Mark the ranks around that of the last sample chosen."""
    cut = int(sheet["ds2_selected"].sum())
    rank = sheet["ds2_rank"].fill_null(0).to_numpy().astype(np.int64)
    reach = min(cut // 2, max(1, int(np.count_nonzero(rank)) // 20))
    near: NDArray[np.bool_] = (rank > cut - reach) & (rank <= cut + reach) & (rank > 0)
    return near
