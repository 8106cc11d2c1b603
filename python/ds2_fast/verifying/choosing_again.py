"""The choice of another strategy than DS2 once more, in a folder of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast.analysis import Recipe
from ds2_fast.errors import VerifyError
from ds2_fast.gathering import Wanted
from ds2_fast.line import open_line
from ds2_fast.noise import read_noise
from ds2_fast.panel import raters_named
from ds2_fast.presets import PRESETS, neighbors_counted
from ds2_fast.progress import QUIET
from ds2_fast.strategies import Inputs, Plan, find_strategy
from ds2_fast.strategies.plan import assemble
from ds2_fast.strategy_line import choose_by
from ds2_fast.verifying.repeating import GRAPH, check_scores, rate_again, take_artifacts

if TYPE_CHECKING:
    from ds2_fast.features import Features
    from ds2_fast.pool import Pool
    from ds2_fast.rundir import RunDir

_REPEATED = (
    "transition",
    "intervals",
    "calibration",
    "curation",
    "long tail",
    "combination",
    "map",
)
"""Stages that are run once more, of several raters each with its number.

What a strategy made for itself besides is taken as it is, like ratings: it may have been paid for.
"""


@contextmanager
def chosen_again(
    run: Path,
    manifest: Mapping[str, Any],
    pool: Pool,
    features: Features | None,
    *,
    deep: bool,
    threads: int | None,
) -> Iterator[RunDir]:
    """Let the strategy of a run choose once more, by the same code as in `select`.

    Args:
        run: the run directory, its files checked.
        manifest: its manifest.
        pool: its pool.
        features: its features; None if it looked at none.
        deep: find the neighbors anew.
        threads: at most so many.

    Yields:
        The run directory of the repetition.

    Raises:
        VerifyError: if a column is read differently than in the run.
        PoolError: if scores cannot be read any more.
    """
    settings, stood_on = manifest["settings"], manifest["provenance"]
    with open_line(None, QUIET) as line:
        take_artifacts(line.run, run, manifest, _taken(list(stood_on["stages"]), deep=deep))
        rated = rate_again(line, manifest, pool) if stood_on["scores"] else None
        check_scores(rated or [], stood_on)
        recipe = _recipe(settings, len(pool), threads)
        source = read_noise(
            pool,
            noise_share=settings.get("noise_share"),
            second_rater=settings.get("second_rater"),
            audit=settings.get("audit"),
            curation=recipe.curation,
        )
        wanted = Wanted(
            columns=raters_named(settings.get("score_col")),
            scale=settings.get("scale"),
            embeddings=None,
            embedder=None,
            space=None,
            offline=True,
            seed=settings["seed"],
            threads=threads,
        )
        params = manifest["stages"]["selection"]["params"]
        inputs = Inputs(
            line,
            pool,
            wanted,
            recipe,
            source,
            curated=params["curate"],
            features=features,
            rated=rated,
        )
        plan = _same_plan(params, stood_on)
        choose_by(
            line, plan, inputs, n=params["n"], strict=False, mapped=params["mapped"], starting=()
        )
        for name, digest in stood_on["columns"].items():
            if inputs.columns_read.get(name) != digest:
                raise VerifyError(
                    f"the column `{name}` is read differently than in the run",
                    f"verify with ds2-fast {stood_on['versions']['ds2-fast']}",
                )
        yield line.run


def _taken(stages: list[str], *, deep: bool) -> list[str]:
    again = (*_REPEATED, "selection", *((GRAPH,) if deep else ()))
    return [name for name in stages if name.rstrip("-0123456789") not in again]


def _recipe(settings: Mapping[str, Any], rows: int, threads: int | None) -> Recipe:
    """As in the run; what is not among its settings had no effect."""
    preset = PRESETS["default"]
    return Recipe(
        settings.get("curation", preset.curation),
        settings.get("k", neighbors_counted(None, preset, rows)),
        preset.longtail,
        settings.get("knn", "auto"),
        settings.get("recall", 0.99),
        settings["seed"],
        threads,
    )


def _same_plan(params: Mapping[str, Any], stood_on: Mapping[str, Any]) -> Plan:
    """The strategy with the options that each of its parts had; files by where they lie.

    In what is written down of it they keep the names they had, so that it can be compared.
    """
    where = {given: file for given, file, digest in stood_on["option_files"] if digest is not None}

    def found(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, list):
            return tuple(found(each) for each in value)
        return where.get(value, value) if isinstance(value, str) else value

    try:
        parts = [
            find_strategy(part["name"])(
                **{name: found(value) for name, value in part["options"].items()}
            )
            for part in params["parts"]
        ]
    except TypeError as error:
        raise VerifyError(
            f"the strategy `{params['name']}` has other options than in the run: {error}",
            f"verify with ds2-fast {stood_on['versions']['ds2-fast']}",
        ) from None
    called = {file: given for given, file in where.items()}
    return replace(assemble(params["name"], parts), called=called)
