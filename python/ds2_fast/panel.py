"""Several raters in one run: each analyzed on its own over the same graph, then one score."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ds2_fast import artifacts
from ds2_fast.analysis import Analysis, Recipe, analyze
from ds2_fast.curation import Curated
from ds2_fast.errors import PoolError
from ds2_fast.line import Line
from ds2_fast.raters import Combined, Pair, Rater, Worth, combine, compare_pairs, find_worth
from ds2_fast.rundir import Artifact, Stage, digest_json

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.features import Features
    from ds2_fast.noise import Noise
    from ds2_fast.pool import Scores
    from ds2_fast.progress import Progress
    from ds2_fast.trust import Trust

T = TypeVar("T")
Rated = tuple["Scores", "pl.Series | None"]

SHARED = ("index", "neighbors", "long tail", "map")
"""Stages that read no scores: they run once for all raters."""

VERDICTS = ("trust", "use with care", "do not curate")


@dataclass(frozen=True)
class Panel:
    """Several raters, and what each is worth.

    Attributes:
        members: the analysis of each, in the order named.
        combined: their one score.
        pairs: how each two agree.
        worth: what each is worth.
    """

    members: tuple[Analysis, ...]
    combined: Combined
    pairs: tuple[Pair, ...]
    worth: tuple[Worth, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The raters' columns."""
        return tuple(member.scores.column for member in self.members)

    def columns(self) -> pl.DataFrame:
        """What is known of every sample by each rater, for the score sheet."""
        import polars as pl

        found: dict[str, object] = {"ds2_raters": self.combined.raters}
        for name, member in zip(self.names, self.members, strict=True):
            curated = member.curated.value
            found |= {
                f"ds2_score_raw_{name}": member.scores.raw,
                f"ds2_class_{name}": pl.Series(member.scores.values).replace(-1, None),
                f"ds2_score_curated_{name}": pl.Series(curated.curated).replace(-1, None),
                f"ds2_score_expected_{name}": pl.Series(curated.expected).fill_nan(None),
                f"ds2_noise_{name}": pl.Series(curated.p_misrated).fill_nan(None),
            }
        return pl.DataFrame(found)


def raters_named(score_col: str | Sequence[str] | None) -> tuple[str | None, ...]:
    """Take what names the scores to one column per rater; None looks for a column.

    Raises:
        PoolError: if a column is named twice.
    """
    if score_col is None or isinstance(score_col, str):
        return (score_col,)
    for place, name in enumerate(score_col):
        if name in score_col[:place]:
            raise PoolError(f"`{name}` is named twice", "name each rater's column once")
    return tuple(score_col) or (None,)


@dataclass(frozen=True)
class _RaterLine(Line):
    """The line of one rater of several: its own stages are numbered, the others are shared."""

    number: int
    shared: dict[str, Stage[Any]] = field(repr=False)

    def stage(
        self,
        name: str,
        artifact: Artifact[T],
        compute: Callable[[Progress], T],
        *,
        inputs: Mapping[str, str],
        params: Mapping[str, Any],
        unit: str,
        told: Callable[[T], str],
    ) -> Stage[T]:
        """Run a stage under the rater's number, or take it from the rater before."""
        said: dict[str, Any] = {"inputs": inputs, "params": params, "unit": unit, "told": told}
        if name in SHARED:
            if name not in self.shared:
                self.shared[name] = super().stage(name, artifact, compute, **said)
            return self.shared[name]
        return super().stage(
            stage_name(name, self.number), numbered(artifact, self.number), compute, **said
        )


def stage_name(name: str, number: int) -> str:
    """The name of a stage of one rater of several, counted from 1."""
    return f"{name}-{number}"


def numbered(artifact: Artifact[T], number: int) -> Artifact[T]:
    """The artifact of one rater of several, counted from 1: `transition-1.json`."""
    parts = [file.rpartition(".") for file in artifact.files]
    return replace(artifact, files=tuple(f"{stem}-{number}.{end}" for stem, _, end in parts))


def analyze_raters(
    line: Line,
    rated: Sequence[Rated],
    features: Features,
    recipe: Recipe,
    noise: Sequence[Noise],
) -> Analysis:
    """Analyze the scores of one rater, or of several and combine them.

    One rater is analyzed on `line` itself. With several, `scores` and `curated` of the result are
    the combined ones (`ds2_fast.raters.combine`), its `trust` is that of the rater trusted least
    (of equals the first named), and all else but the shared stages is the first rater's.

    Args:
        line: where the artifacts go.
        rated: the scores of each rater and, if it rated in this run, the status of each row.
        features: rows to seek neighbors in.
        recipe: how the scores are judged.
        noise: what tells the noise share of each rater.

    Raises:
        PoolError: if a rater cannot be curated, or gives all samples the same score.
    """
    if len(rated) == 1:
        scores, status = rated[0]
        return analyze(line, scores, features, recipe, status=status, noise=noise[0])
    shared: dict[str, Stage[Any]] = {}
    members = []
    for number, ((scores, status), share) in enumerate(zip(rated, noise, strict=True), 1):
        line.narrator.note(f"rater {number} of {len(rated)}: {scores.column}")
        own = _RaterLine(line.run, line.narrator, number, shared)
        members.append(analyze(own, scores, features, recipe, status=status, noise=share))
    views = [_view(member) for member in members]
    stage = line.stage(
        "combination",
        artifacts.COMBINED,
        lambda _: combine(views),
        inputs={
            f"{kind} {number}": digest
            for number, member in enumerate(members, 1)
            for kind, digest in (
                ("scores", artifacts.digest_array(member.scores.values)),
                ("curation", member.curated.digest),
            )
        },
        params={"num_classes": [view.num_classes for view in views]},
        unit="rows",
        told=lambda value: _tell(value, len(views)),
    )
    panel = Panel(tuple(members), stage.value, compare_pairs(views), find_worth(views))
    return replace(
        members[0],
        scores=_scores(members, stage.value),
        status=None,
        curated=_curated(members, stage),
        trust=_least_trusted(members),
        panel=panel,
    )


def _view(member: Analysis) -> Rater:
    scores = member.scores
    return Rater(scores.column, scores.values, member.curated.value.expected, scores.num_classes)


def _tell(combined: Combined, raters: int) -> str:
    some = int(np.count_nonzero((combined.raters > 0) & (combined.raters < raters)))
    partly = f"; {some:,} samples lack some and have the mean of the rest" if some else ""
    return f"combined the curated scores of {raters} raters{partly}"


def _scores(members: Sequence[Analysis], combined: Combined) -> Scores:
    """The combined scores in the form of one rater's, with the classes of the widest scale."""
    import polars as pl

    names = ", ".join(f"`{member.scores.column}`" for member in members)
    widest = max(members, key=lambda member: member.scores.num_classes).scores
    return replace(
        widest,
        values=combined.rated,
        raw=pl.Series("score", combined.score).fill_nan(None),
        column=names,
        verdict=f"scores of {len(members)} raters: {names}",
        notices=(),
    )


def _curated(members: Sequence[Analysis], combined: Stage[Combined]) -> Stage[Curated]:
    """The combined scores in the form of one rater's curation; they have no posterior."""
    value, rows = combined.value, len(combined.value.rated)
    unknown = np.full(rows, np.nan)
    curated = replace(
        members[0].curated.value,
        expected=value.expected,
        curated=value.curated,
        suggested=value.curated,
        misrated=np.zeros(rows, dtype=np.bool_),
        p_misrated=unknown,
        confidence=unknown,
        entropy=unknown,
        switched_off=None,
        changed=int(np.count_nonzero(value.curated != value.rated)),
        vanished=(),
        warnings=(),
    )
    digest = digest_panel(
        combined.digest,
        [(member.scores.column, member.curated.digest, member.scores.raw) for member in members],
    )
    return Stage(curated, digest, combined.reused, combined.seconds)


def digest_panel(combined: str, members: Sequence[tuple[str, str, pl.Series]]) -> str:
    """A digest of all that the score sheet says of several raters.

    Args:
        combined: digest of the combination.
        members: name, digest of the curation, and ratings as given, of each.
    """
    parts = [[name, digest, artifacts.digest_columns(raw)] for name, digest, raw in members]
    return digest_json([combined, parts])


def _least_trusted(members: Sequence[Analysis]) -> Trust:
    worst = max(members, key=lambda member: VERDICTS.index(member.trust.verdict))
    reasons = tuple(f"`{worst.scores.column}`: {reason}" for reason in worst.trust.reasons)
    return replace(worst.trust, reasons=reasons)
