"""What a finished run left behind, opened to be looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ds2_fast import artifacts
from ds2_fast.calibration import Calibration
from ds2_fast.errors import RunError
from ds2_fast.panel import digest_panel, numbered, stage_name
from ds2_fast.rundir import AGAIN, Artifact, digest_files, read_manifest

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.curation import Curated
    from ds2_fast.knn import Neighbors
    from ds2_fast.rating.result import Ratings
    from ds2_fast.transition import Transition

T = TypeVar("T")


@dataclass(frozen=True)
class FinishedRun:
    """A run that went to its end; made by `open_finished`.

    Attributes:
        path: the run directory.
        manifest: its manifest.
        report: what it reported.
        sheet: one row per sample with all that was found.
        graph: the neighbors.
        raters: the raters' columns; a single one has no name here.
    """

    path: Path
    manifest: Mapping[str, Any]
    report: Mapping[str, Any]
    sheet: pl.DataFrame = field(repr=False)
    graph: Neighbors = field(repr=False)
    raters: tuple[str | None, ...]

    def curation(self, place: int) -> tuple[Transition, Curated]:
        """T, p and the curated scores of one rater."""
        return (
            self._own("transition", artifacts.TRANSITION, place),
            self._own("curation", artifacts.CURATED, place),
        )

    def calibration(self, place: int) -> Calibration:
        """Where the noise share of one rater comes from."""
        named = self.raters[place] is not None
        part = self.report["raters"][place] if named else self.report
        return Calibration.from_dict(part["calibration"])

    def _own(self, name: str, artifact: Artifact[T], place: int) -> T:
        if self.raters[place] is not None:
            name, artifact = stage_name(name, place + 1), numbered(artifact, place + 1)
        return load(self.path, self.manifest, name, artifact)

    def scores(self, place: int) -> NDArray[np.int8]:
        """The classes one rater gave, int8 `(N,)`, -1 = unrated."""
        name = self.raters[place]
        column = self.sheet["ds2_score" if name is None else f"ds2_class_{name}"]
        return column.fill_null(-1).to_numpy().astype(np.int8)

    @cached_property
    def ratings(self) -> Ratings | None:
        """The ratings, if they were made in this run."""
        stages = self.manifest["stages"]
        if "rating" not in stages or self.raters != (None,):
            return None
        ratings = load(self.path, self.manifest, "rating", artifacts.RATINGS)
        # A run may have been rated once and have taken the scores of a column since.
        used = stages["selection"]["inputs"]["scores"]
        return ratings if artifacts.digest_array(ratings.scores) == used else None


def open_finished(path: Path) -> FinishedRun:
    """Open a run that ranked its pool.

    Raises:
        RunError: if it is no run directory, it did not rank, its files are gone or damaged, or
            parts of it were made anew since.
    """
    manifest = read_manifest(path)
    _check_ds2(path, manifest)
    choice = load(path, manifest, "selection", artifacts.SELECTION)
    graph = load(path, manifest, "neighbors", artifacts.NEIGHBORS)
    report = _read_whole_report(path)
    named = report["settings"].get("score_col")
    run = FinishedRun(
        path, manifest, report, choice.sheet, graph, (None,) if named is None else tuple(named)
    )
    _check_whole(run)
    return run


def load(path: Path, manifest: Mapping[str, Any], name: str, artifact: Artifact[T]) -> T:
    """Read what a stage of a finished run made.

    Raises:
        RunError: if the stage did not run, or its files are gone or have changed.
    """
    stage = manifest["stages"].get(name)
    if stage is None:
        raise RunError(
            f"`{path}` has no {name}: it was not run to there",
            "run `ds2-fast select` or `ds2-fast curate` on the pool first",
        )
    files = tuple(path / file for file in artifact.files)
    if not all(file.is_file() for file in files) or digest_files(files) != stage["digest"]:
        names = " and ".join(f"`{file}`" for file in artifact.files)
        raise RunError(f"{names} of `{path}` are gone or have changed", AGAIN)
    return artifact.load(files)


def _check_ds2(path: Path, manifest: Mapping[str, Any]) -> None:
    params = manifest["stages"].get("selection", {}).get("params", {})
    if "parts" in params:
        raise RunError(
            f"`{path}` was selected by the strategy `{params['name']}`, and this needs the "
            "posteriors of DS2",
            "select from the pool with `--strategy ds2`, which is the default",
        )


def read_report(path: Path) -> Mapping[str, Any]:
    """Read the report of a finished run.

    Raises:
        RunError: if it is gone or damaged.
    """
    file = path / "report.json"
    try:
        report: Mapping[str, Any] = json.loads(file.read_bytes())
        report["settings"], report["selection"]
    except (OSError, ValueError, KeyError, TypeError):
        raise RunError(f"`{file}` is gone or damaged", AGAIN) from None
    return report


def _read_whole_report(path: Path) -> Mapping[str, Any]:
    report = read_report(path)
    try:
        report["scores"]["classes"]
        report["raters" if "score_col" in report["settings"] else "calibration"]
    except (KeyError, TypeError):
        raise RunError(f"`{path / 'report.json'}` is gone or damaged", AGAIN) from None
    return report


def _check_whole(run: FinishedRun) -> None:
    """See that the selection is of the graph and the curated scores that are there."""
    stages = run.manifest["stages"]
    names = ["curation"]
    if run.raters != (None,):
        names = [stage_name("curation", number) for number in range(1, len(run.raters) + 1)]
    current = [stages.get(name, {"digest": "", "inputs": {}}) for name in names]
    digest = current[0]["digest"]
    if run.raters != (None,):
        parts = [
            (str(name), stage["digest"], run.sheet[f"ds2_score_raw_{name}"])
            for name, stage in zip(run.raters, current, strict=True)
        ]
        digest = digest_panel(stages.get("combination", {}).get("digest", ""), parts)
    graphs = {stage["inputs"].get("neighbors") for stage in current}
    used = stages["selection"]["inputs"].get("curation")
    if used != digest or graphs != {stages["neighbors"]["digest"]}:
        raise RunError(f"parts of `{run.path}` were made anew since it selected", AGAIN)
