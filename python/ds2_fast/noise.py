"""Where the noise share comes from: a number, a second rater's column, or a person's scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ds2_fast.calibration import ASSUMED_SHARE, LEAST_AUDITED, Audit, SecondRater
from ds2_fast.errors import PoolError

if TYPE_CHECKING:
    from ds2_fast.line import Line
    from ds2_fast.pool import HandScores, Pool, Scores

Noise = float | SecondRater | Audit


@dataclass(frozen=True)
class NoiseSource:
    """What the user gave to tell noise from true differences, read but not yet put into classes."""

    share: float
    second: Scores | None = None
    audit: HandScores | None = None

    def resolve(self, line: Line, scores: Scores) -> Noise:
        """Hold it against the scores of the pool.

        Raises:
            PoolError: the second rater is the first, or an audited score lies outside the scale.
        """
        if self.second is not None:
            if self.second.column == scores.column:
                raise PoolError(
                    f"`{scores.column}` is the score column itself, and no second rater",
                    "name another column with `--second-rater`",
                )
            line.narrator.note(f"second rater: {self.second.verdict}")
            for notice in self.second.notices:
                line.narrator.warn(notice)
            return SecondRater(self.second.column, self.second.values)
        if self.audit is not None:
            audit = self.audit
            line.narrator.done("audit", f"read {len(audit.rows):,} scores from {audit.name}")
            return Audit(
                audit.name, audit.rows, audit.classes(scores.starts, scores.high), audit.weights
            )
        return self.share


def read_noise(
    pool: Pool,
    *,
    noise_share: float | None,
    second_rater: str | None,
    audit: str | Path | None,
    curation: str,
) -> NoiseSource:
    """Read what tells the noise share, before anything is rated or embedded.

    Args:
        pool: the pool.
        noise_share: the share itself; None is 0.5 where nothing else is given.
        second_rater: column of a second rater; its scale is told by its values.
        audit: file of a person's scores.
        curation: the curation mode.

    Raises:
        PoolError: more than one is given, the mode has no noise share, or the column or file cannot
            be used.
    """
    from ds2_fast.pool import read_hand_scores, read_scores

    options = {
        "--noise-share": noise_share,
        "--second-rater": second_rater,
        "--audit": audit,
    }
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise PoolError(
            f"`{given[0]}` and `{given[1]}` both say how much is noise", "give one of them"
        )
    if curation != "bayes" and (second_rater is not None or audit is not None):
        raise PoolError(
            f"`{given[0]}` calibrates the curation `bayes`, and this run's is `{curation}`",
            f"leave `{given[0]}` out, or curate with `--curation bayes`",
        )
    if second_rater is not None:
        return NoiseSource(ASSUMED_SHARE, second=read_scores(pool, second_rater))
    if audit is not None:
        found = read_hand_scores(audit, pool)
        if len(found.rows) < LEAST_AUDITED:
            raise PoolError(
                f"{found.name} holds {len(found.rows)} scores, and an audit needs at least "
                f"{LEAST_AUDITED}",
                "score more of its samples; `ds2-fast audit sample` writes a file to fill in",
            )
        return NoiseSource(ASSUMED_SHARE, audit=found)
    return NoiseSource(ASSUMED_SHARE if noise_share is None else noise_share)
