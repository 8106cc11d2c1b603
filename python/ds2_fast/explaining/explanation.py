"""All that is known of one sample of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """One rater's score of the sample, and what curation made of it.

    Attributes:
        rater: the column or model it is from.
        raw: the rating as given; None if unrated.
        status: `ok`, or why it is unrated.
        criteria: for a sample rated in this run, its rating by each criterion, and what was seen in
            it (`truncated`, `flag_delim`, `flag_inject`).
        classes: what the user calls each class.
        score: its class; None if unrated.
        curated: the class after curation.
        suggested: the most probable class.
        expected: mean of the posterior, in classes.
        posterior: probability of each class; None where the curation has none.
        neighbors_say: the same without the sample's own rating.
        heard: how many of the neighbors heard have each class; None where none were heard.
        noise: probability that the rating is wrong.
        neighbor_k: neighbors heard.
        beta: weight of one neighbor.
        noise_share: share of disagreement taken for rater noise.
        mode: how the scores were curated.
        why: what was done with the score, in a sentence.
    """

    rater: str
    raw: float | None
    status: str
    criteria: dict[str, Any]
    classes: tuple[str, ...]
    score: int | None
    curated: int | None
    suggested: int | None
    expected: float | None
    posterior: tuple[float, ...] | None
    neighbors_say: tuple[float, ...] | None
    heard: tuple[int, ...] | None
    noise: float | None
    neighbor_k: int | None
    beta: float | None
    noise_share: float | None
    mode: str
    why: str


@dataclass(frozen=True)
class Heard:
    """A neighbor of the sample.

    Attributes:
        row: its row.
        id: its id; None if it has none.
        similarity: cosine, in [-1, 1].
        scores: its class by each rater; None where unrated.
        curated: its curated class.
        selected: whether the run selected it.
        text: its text; None where the pool cannot be read any more.
    """

    row: int
    id: str | None
    similarity: float
    scores: tuple[int | None, ...]
    curated: int | None
    selected: bool
    text: str | None


@dataclass(frozen=True)
class Place:
    """A place in the ranking.

    Attributes:
        row: the row of the sample that has it.
        id: its id; None if it has none.
        rank: 1 = best.
        bucket: the first sort key.
        long_tail: the second: rarity.
        text: its text; None where the pool cannot be read any more.
    """

    row: int
    id: str | None
    rank: int
    bucket: float
    long_tail: float
    text: str | None


@dataclass(frozen=True)
class Explanation:
    """What a run found about one sample, and why it took or left it.

    Attributes:
        row: its row.
        id: its id; None if it has none.
        turns: its turns, `(role, content)`; None where the pool cannot be read any more.
        verdicts: what each rater gave, and what curation made of it; one but for several raters.
        classes: what the user calls each class; of several raters those of the widest scale.
        expected: the score it is ranked by; None if unrated.
        curated: its curated class.
        long_tail: its rarity, 0 common to 0.76 rare.
        rarer_than: share of the pool that is less rare.
        order: the order of the dual sort: `default`, `paper` or `reference`.
        bucket: its first sort key; None if it is not eligible.
        rank: its place; None if it is not ranked.
        ranked: how many samples are ranked.
        n: how many were selected; None if nothing was to be selected.
        selected: whether it was.
        reason: why, or why not; empty if nothing was to be selected.
        duplicate_of: the row that stands for it, if it was dropped as a near duplicate.
        stands_for: rows dropped as near duplicates of it.
        last_in: the last sample that was selected; None if none was.
        first_out: the next in rank, which was not; None if there is none.
        neighbors: the nearest samples, nearest first.
    """

    row: int
    id: str | None
    turns: tuple[tuple[str, str], ...] | None
    verdicts: tuple[Verdict, ...]
    classes: tuple[str, ...]
    expected: float | None
    curated: int | None
    long_tail: float
    rarer_than: float
    order: str
    bucket: float | None
    rank: int | None
    ranked: int
    n: int | None
    selected: bool
    reason: str
    duplicate_of: int | None
    stands_for: tuple[int, ...]
    last_in: Place | None
    first_out: Place | None
    neighbors: tuple[Heard, ...]

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON-able values."""
        return asdict(self)
