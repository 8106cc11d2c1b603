"""What a run found, for whoever called it from Python."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.transition import Transition
    from ds2_fast.trust import Trust


@dataclass(frozen=True)
class Result:
    """What a run found.

    Args:
        indices: pool rows of the chosen samples, best first, uint32; empty if nothing was to be
            selected.
        sizes: the subset sizes asked for, ascending; each subset is a prefix of `indices`.
        frame: the chosen samples with the pool's own columns, best first.
        scores: one row per pool row, in pool order, with the `ds2_` columns.
        transition: the fitted score transition matrix T and prior p; of several raters the first's
            (`report["raters"]` has all); None where a strategy curated nothing.
        trust: what the neighbors know about the scores, and whether to believe the curation; of
            several raters that of the least trusted; None where a strategy curated nothing.
        report: every number of the closing summary, JSON-able.
        manifest: keys, digests, parameters and seconds of the stages.
        run_dir: where all of it is kept; None for a run that was not kept.
        files: the subsets that were written.
    """

    indices: NDArray[np.uint32]
    sizes: tuple[int, ...]
    frame: pl.DataFrame
    scores: pl.DataFrame
    transition: Transition | None
    trust: Trust | None
    report: dict[str, Any]
    manifest: dict[str, Any]
    run_dir: Path | None
    files: tuple[Path, ...] = ()
