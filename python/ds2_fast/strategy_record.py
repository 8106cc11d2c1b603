"""What a strategy's run was made from, and what of its settings had effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ds2_fast.source import record_pool, record_source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ds2_fast.line import Line
    from ds2_fast.pool import Pool
    from ds2_fast.strategies import Inputs, Plan

_OF_CURATION = ("curation", "noise_share", "second_rater", "audit")
_OF_NEIGHBORS = ("k", "knn", "recall")
_OF_RUN = ("features", "calibration", "provenance")
"""Parts of the manifest that tell of one run, and not of a stage."""


def strategy_settings(asked: Mapping[str, Any], plan: Plan, inputs: Inputs) -> dict[str, Any]:
    """Keep the settings that had effect, which is known when the strategy has chosen.

    Args:
        asked: all settings of the run, by name.
        plan: the strategy; its options are `part.option`.
        inputs: what it looked at.
    """
    found: dict[str, Any] = {"n": asked["n"], "strategy": plan.name, **plan.settings()}
    if inputs.has("rated"):
        model = [scores.column for scores, status in inputs.rated if status is not None]
        columns = [scores.column for scores, status in inputs.rated if status is None]
        found |= {"model": model[0]} if model else {"score_col": _plain(columns)}
        found |= {} if asked["scale"] is None else {"scale": asked["scale"]}
    elif inputs.has("score_column"):
        found["score_col"] = inputs.score_column
    if inputs.has("analysis"):
        found |= {"curate": True} if inputs.curated else {}
        found |= {name: asked[name] for name in _OF_CURATION if asked[name] is not None}
    if inputs.has("features"):
        found["space"] = inputs.features.space
    if "neighbors" in inputs.line.run.used:
        found |= {name: asked[name] for name in _OF_NEIGHBORS}
    if inputs.has("groups"):
        found["group_col"] = asked["group_col"]
    return {**found, "seed": asked["seed"]}


def _plain(names: list[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else names


def forget_result(line: Line, files: tuple[str, ...]) -> None:
    """Take back what the folder tells of the run before, whatever selected it.

    Stages that can be reused stay.

    Args:
        line: the run.
        files: names of what tells of it: the report and its page.
    """
    for name in files:
        (line.run.path / name).unlink(missing_ok=True)
    for part in (*_OF_RUN, *(() if "neighbors" in line.run.used else ("graph",))):
        line.run.manifest.pop(part, None)
    line.run.forget("selection")


def record_inputs(
    line: Line, pool: Pool, inputs: Inputs, options: Mapping[str, Any] | None
) -> None:
    """Write down the pool of a strategy's run, and the features it looked at, if any.

    Args:
        line: the run.
        pool: its pool.
        inputs: what the strategy looked at.
        options: how the pool was read.
    """
    if inputs.has("features"):
        record_source(line, pool, options, inputs.features)
    else:
        record_pool(line, pool, options)
