"""The report of a run: written down, kept, and drawn."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any

from ds2_fast.rater_report import calibration_of
from ds2_fast.rundir import write_json
from ds2_fast.strategy_record import strategy_settings
from ds2_fast.strategy_report import strategy_report
from ds2_fast.terminal import duration

if TYPE_CHECKING:
    from ds2_fast.analysis import Analysis
    from ds2_fast.choice import Choice
    from ds2_fast.line import Line
    from ds2_fast.pool import Pool
    from ds2_fast.strategies import Inputs, Plan

REPORT = "report.json"
PAGE = "report.html"


def report_ds2(
    line: Line,
    pool: Pool,
    found: Analysis,
    choice: Choice,
    settings: dict[str, Any],
    *,
    config: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Write down every number of a run of DS2, and keep it.

    Args:
        line: the run.
        pool: its pool.
        found: what the analysis found.
        choice: what was chosen.
        settings: all settings of the run, by name.
        config: the file of options and where each came from, if there was one.

    Returns:
        The report, JSON-able, as it lies in the run directory.
    """
    from ds2_fast.report import build_report

    report = build_report(pool, found, choice, settings)
    _keep(line, report, config=config)
    return report


def report_choice(
    line: Line,
    plan: Plan,
    inputs: Inputs,
    choice: Choice,
    asked: dict[str, Any],
    *,
    config: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Write down every number of a run that another strategy selected, and keep it.

    Args:
        line: the run.
        plan: the strategy.
        inputs: what it looked at.
        choice: what it chose.
        asked: all settings of the run, by name; those that had effect are told.
        config: see `report_ds2`.

    Returns:
        The report, JSON-able, as it lies in the run directory.
    """
    settings = strategy_settings(asked, plan, inputs)
    report = strategy_report(inputs.pool, plan, inputs, choice, settings)
    _keep(line, report, config=config)
    return report


def _keep(line: Line, report: dict[str, Any], *, config: Mapping[str, Any] | None) -> None:
    """Keep the report, and in the manifest what was asked for."""
    line.run.manifest["settings"] = report["settings"]
    if "calibration" in report or "raters" in report:
        line.run.manifest["calibration"] = calibration_of(report)
    line.run.manifest.pop("config", None)
    if config:
        line.run.manifest["config"] = dict(config)
    line.run.write_manifest()
    write_json(report, line.run.path / REPORT)


def draw_report(line: Line, pool: Pool, report: dict[str, Any], *, html: bool) -> None:
    """Draw the report, or see that none is left of a run before.

    Args:
        line: the run.
        pool: its pool.
        report: of the run.
        html: draw it.
    """
    file = line.run.path / PAGE
    if not html:
        file.unlink(missing_ok=True)
        return
    from ds2_fast.page import write_page

    started = perf_counter()
    write_page(report, line.run.manifest, pool, file)
    line.narrator.done("report", f"drew the report ({duration(perf_counter() - started)})")
