"""A finished run that another strategy than DS2 selected, opened to be looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast import artifacts
from ds2_fast.errors import RunError
from ds2_fast.explaining.finished import FinishedRun, load, open_finished, read_report
from ds2_fast.provenance import provenance
from ds2_fast.rundir import AGAIN, read_manifest

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class ChosenRun:
    """A run of a strategy that went to its end; made by `open_chosen`.

    Attributes:
        path: the run directory.
        manifest: its manifest.
        report: what it reported.
        sheet: one row per sample with all that was found (`ds2_fast.strategy_line`).
    """

    path: Path
    manifest: Mapping[str, Any]
    report: Mapping[str, Any]
    sheet: pl.DataFrame = field(repr=False)


def open_chosen(path: Path) -> ChosenRun:
    """Open a run that another strategy than DS2 selected.

    Raises:
        RunError: if it is no such run, did not finish, or its files are gone or have changed.
    """
    manifest = read_manifest(path)
    choice = load(path, manifest, "selection", artifacts.SELECTION)
    report = read_report(path)
    params = manifest["stages"]["selection"]["params"]
    told = report.get("strategy", {}).get("name")
    if params.get("name") != told or not _is_whole(manifest, provenance(path, manifest)):
        raise RunError(f"parts of `{path}` were made anew since it selected", AGAIN)
    return ChosenRun(path, manifest, report, choice.sheet)


def _is_whole(manifest: Mapping[str, Any], stood_on: Mapping[str, Any]) -> bool:
    """Whether its stages and features are those that are there."""
    stages = {name: stage["digest"] for name, stage in manifest["stages"].items()}
    features = manifest.get("features", {}).get("digest")
    return all(stages.get(name) == digest for name, digest in stood_on["stages"].items()) and (
        stood_on["features"] in (None, features)
    )


def open_selected(path: Path) -> FinishedRun | ChosenRun:
    """Open a finished run, whatever selected it.

    Raises:
        RunError: if it is no run directory, it did not finish, or its files are gone or damaged.
    """
    return open_chosen(path) if by_strategy(path) else open_finished(path)


def by_strategy(path: Path) -> bool:
    """Whether another strategy than DS2 selected last in a run directory.

    Raises:
        RunError: if it is no run directory.
    """
    stage = read_manifest(path)["stages"].get("selection")
    return stage is not None and "parts" in stage.get("params", {})
