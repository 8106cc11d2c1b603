"""The second half of a finished run once more, in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast import artifacts
from ds2_fast.analysis import Recipe
from ds2_fast.choice import make_choice
from ds2_fast.errors import VerifyError
from ds2_fast.line import Line, open_line
from ds2_fast.noise import read_noise
from ds2_fast.panel import analyze_raters
from ds2_fast.presets import PRESETS, neighbors_counted
from ds2_fast.progress import QUIET
from ds2_fast.quotas import read_groups
from ds2_fast.rundir import Artifact, RunDir, Stage
from ds2_fast.safeguards import Safeguards
from ds2_fast.scoring import rated_scores, read_pool_scores

if TYPE_CHECKING:
    from ds2_fast.bought import Bought
    from ds2_fast.features import Features
    from ds2_fast.panel import Rated
    from ds2_fast.pool import Pool, Scores

KEPT = ("index", "budget", "rating")
"""Stages that are taken as they are: a library's index, and answers that were paid for."""
GRAPH = "neighbors"


@contextmanager
def repeated(
    run: Path,
    manifest: Mapping[str, Any],
    pool: Pool,
    features: Features,
    *,
    deep: bool,
    threads: int | None,
) -> Iterator[RunDir]:
    """Run the stages behind the neighbors once more, or, `deep`, the search for them too.

    The same code as in `select`, in a folder that is gone afterwards; nothing is written into the
    run directory.

    Args:
        run: the run directory, its files checked.
        manifest: its manifest.
        pool: its pool.
        features: its features.
        deep: find the neighbors anew.
        threads: at most so many.

    Yields:
        The run directory of the repetition.

    Raises:
        PoolError: if scores cannot be read any more.
    """
    settings = manifest["settings"]
    preset = PRESETS[settings["preset"]]
    with open_line(None, QUIET) as line:
        take_artifacts(line.run, run, manifest, (*KEPT, *(() if deep else (GRAPH,))))
        rated, bought = _gather(line, manifest, pool, features)
        check_scores(rated, manifest["provenance"])
        source = read_noise(
            pool,
            noise_share=settings["noise_share"],
            second_rater=settings["second_rater"],
            audit=settings["audit"],
            curation=settings["curation"],
        )
        recipe = Recipe(
            settings["curation"],
            neighbors_counted(settings["k"], preset, len(pool)),
            preset.longtail,
            settings["knn"],
            settings["recall"],
            settings["seed"],
            threads,
        )
        noise = [source.resolve(line, scores) for scores, _ in rated]
        found = analyze_raters(line, rated, features, recipe, noise)
        make_choice(
            line,
            pool,
            found,
            n=max(settings["n"], default=None),
            order=preset.selection,
            keep_outliers=settings["keep_outliers"],
            safeguards=Safeguards(
                settings["dedup"], settings["fill"], settings["mix"], settings["min_share"]
            ),
            groups=None if pool.groups is None else read_groups(pool.groups),
            threads=threads,
            starting=(),
            bought=bought,
        )
        yield line.run


def take_artifacts(
    into: RunDir, run: Path, manifest: Mapping[str, Any], names: Sequence[str]
) -> None:
    """Put artifacts of the run where the repetition finds them; links, where there are any.

    Args:
        into: the run directory of the repetition.
        run: that of the run.
        manifest: of the run.
        names: the stages; those that the run does not have are left out.
    """
    for name in names:
        stage = manifest["stages"].get(name)
        if stage is None:
            continue
        for file in stage["files"]:
            try:
                (into.path / file).symlink_to((run / file).absolute())
            except OSError:  # a system, or a user, without links
                shutil.copyfile(run / file, into.path / file)
        into.manifest["stages"][name] = stage


def _gather(
    line: Line, manifest: Mapping[str, Any], pool: Pool, features: Features
) -> tuple[list[Rated], Stage[Bought] | None]:
    """The scores as the run had them, and what a budget bought."""
    settings, (first, *_) = manifest["settings"], manifest["provenance"]["scores"]
    if settings["budget"] is None:
        return rate_again(line, manifest, pool), None
    if first["rated"]:
        bought = _stored(line, "budget", artifacts.BOUGHT)
        return [(rated_scores(bought.value.ratings())[0], bought.value.status)], bought
    from ds2_fast.budgeting import replay_scores

    scores, replayed = replay_scores(
        line,
        pool,
        _read_again(line, pool, first),
        features,
        budget=settings["budget"],
        n=max(settings["n"], default=None),
        seed=settings["seed"],
    )
    return [(scores, replayed.value.status)], replayed


def rate_again(line: Line, manifest: Mapping[str, Any], pool: Pool) -> list[Rated]:
    """Give the scores of each rater as the run had them: read again, or of its ratings.

    Args:
        line: the repetition, which holds the run's ratings.
        manifest: of the run.
        pool: its pool.
    """
    return [
        rated_scores(_stored(line, "rating", artifacts.RATINGS).value)
        if said["rated"]
        else (_read_again(line, pool, said), None)
        for said in manifest["provenance"]["scores"]
    ]


def _read_again(line: Line, pool: Pool, said: Mapping[str, Any]) -> Scores:
    return read_pool_scores(line, pool, score_col=said["column"], scale=said["scale"], rater=None)


def check_scores(rated: list[Rated], stood_on: Mapping[str, Any]) -> None:
    """Compare the scores with those of the run.

    Raises:
        VerifyError: they are read differently.
    """
    for (scores, _), said in zip(rated, stood_on["scores"], strict=True):
        if artifacts.digest_array(scores.values) != said["digest"]:
            raise VerifyError(
                f"the scores of `{scores.column}` are read differently than in the run",
                f"verify with ds2-fast {stood_on['versions']['ds2-fast']}",
            )


def _stored(line: Line, name: str, artifact: Artifact[Any]) -> Stage[Any]:
    files = tuple(line.run.path / file for file in artifact.files)
    digest = line.run.manifest["stages"][name]["digest"]
    return Stage(artifact.load(files), digest, reused=True, seconds=0.0)
