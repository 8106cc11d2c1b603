"""What a query finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Matches:
    """The samples most similar to each of m queries, nearest first, ties by row.

    Attributes:
        rows: uint32 `(m, k)`; from N on, samples that were added.
        similarities: float32 `(m, k)`, cosines, in [-1, 1].
        method: `exact` or `index`.
    """

    rows: NDArray[np.uint32]
    similarities: NDArray[np.float32]
    method: str


@dataclass(frozen=True)
class Match:
    """One sample that a query found, with what the run knows about it.

    Attributes:
        rank: its place, from 1.
        row: its row; from N on, it was added.
        id: its id; None if it has none.
        similarity: cosine, in [-1, 1].
        score: its score as rated; None if unrated or unknown.
        score_curated: its score after curation; None if unknown.
        selected: whether the run selected it; None if it selected nothing, or the sample was added.
        added: whether it was added after the run.
        source: where an added sample came from; None for the pool's own.
        text: its text; None where the pool cannot be read any more.
    """

    rank: int
    row: int
    id: str | None
    similarity: float
    score: int | None
    score_curated: int | None
    selected: bool | None
    added: bool
    source: str | None
    text: str | None

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON-able values."""
        return asdict(self)
