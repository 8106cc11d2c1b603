"""The summary of a finished run: everything a report needs to say how the ratings came about."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ds2_fast.rating.engine import Engine
from ds2_fast.rating.journal import Loaded, Record
from ds2_fast.rating.money import Spending
from ds2_fast.rating.plan import RatingPlan
from ds2_fast.rating.result import RATED, SKIPPED, count_models, count_status

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.rating.run import Setup

WARN_NULL_SHARE = 0.01


def summarize(
    *,
    frame: pl.DataFrame,
    setup: Setup,
    plan: RatingPlan,
    engine: Engine,
    spending: Spending,
    results: Mapping[str, Record],
    loaded: Loaded,
) -> dict[str, Any]:
    """Put the figures of a run into a JSON-able dict."""
    status = count_status(frame)
    rated = status.pop(RATED, 0)
    skipped = status.pop(SKIPPED, 0)
    null = sum(status.values())
    prompt, tally = setup.asking.prompt, engine.tally
    summary: dict[str, Any] = {
        "rows": len(frame),
        "rated": rated,
        "null": null,
        "null_share": null / (rated + null) if rated + null else 0.0,
        "reasons": dict(status.most_common()),
        "skipped": skipped,
        "samples": {
            "unique": plan.stored + plan.to_rate,
            "duplicates": plan.duplicates,
            "stored": plan.stored,
            "asked": plan.to_rate,
            "truncated": int(frame["truncated"].sum()),
            "flag_delim": int(frame["flag_delim"].sum()),
            "flag_inject": int(frame["flag_inject"].sum()),
        },
        "requests": tally.requests,
        "failures": dict(tally.failures.most_common()),
        "tokens": {
            "input": spending.input_tokens,
            "output": spending.output_tokens,
            "cached": spending.cached_tokens,
        },
        "cost": {
            "total": None if spending.price is None else spending.spent,
            "possible": spending.possible,
            "price": None if spending.price is None else spending.price.source,
        },
        "model": setup.asking.model,
        "models_answered": count_models(results),
        "fingerprints": dict(tally.fingerprints.most_common()),
        "endpoint": setup.endpoint.shown,
        "params": dict(setup.asking.params),
        "prompt": {
            "name": prompt.name,
            "hash": prompt.digest,
            "system": prompt.system,
            "user": prompt.user,
            "scale": list(prompt.scale),
            "classes": [list(pair) for pair in prompt.classes],
        },
        "journal_lines_unreadable": loaded.unreadable,
        "litellm": metadata.version("litellm"),
        "warnings": [],
    }
    summary["warnings"] = _warnings(summary, loaded)
    return summary


def _warnings(summary: Mapping[str, Any], loaded: Loaded) -> list[str]:
    """What a careful reader should know, each in one sentence."""
    warnings = []
    if summary["null_share"] > WARN_NULL_SHARE:
        reasons = ", ".join(f"{why} {n:,}" for why, n in summary["reasons"].items())
        warnings.append(f"{summary['null_share']:.1%} of the rows have no rating ({reasons})")
    if loaded.in_flight:
        warnings.append(
            f"an earlier run was killed: about {loaded.in_flight} answers may be paid and lost"
        )
    if len(summary["models_answered"]) > 1:
        names = ", ".join(summary["models_answered"])
        warnings.append(f"more than one model has answered ({names})")
    return warnings
