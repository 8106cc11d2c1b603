"""The neighbor graph, and what is known about how it was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ds2_fast.knn.recall import Recall


@dataclass(frozen=True)
class GraphInfo:
    """How a graph was found, and how near to the exact one it is.

    Attributes:
        method: `exact`, `approx` or `usearch`: the one that found the graph.
        asked: the one that was asked for, `auto` included.
        why: in a sentence, why `method` was taken.
        dtype: numbers in which candidates were compared; similarities always come from float64.
        kernel: the routine that compared them, where it is known.
        recall_asked: share of the true neighbors asked for, in (0, 1]; 1 for `exact`.
        recall: what was measured; by construction 1 for `exact`.
        settings: of the index, where there was one.
        notices: what the user should know, one sentence each: above all, why another method was
            taken than was asked for.
        seconds: what the search took.
    """

    method: str
    asked: str
    why: str
    dtype: str
    kernel: str | None
    recall_asked: float
    recall: Recall
    settings: Mapping[str, int | str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON-able values."""
        return {**asdict(self), "settings": dict(self.settings), "notices": list(self.notices)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> GraphInfo:
        """Read what `to_dict` wrote."""
        from ds2_fast.knn.recall import Recall

        parts = {"recall": Recall(**stored["recall"]), "notices": tuple(stored["notices"])}
        return cls(**{**stored, **parts})

    def tell(self) -> str:
        """Say it in a few words, to stand behind `found 50 neighbors`."""
        if self.recall.rows is None:
            return "exactly"
        return f"with {self.method}, {self.recall.tell()}"


@dataclass(frozen=True)
class Neighbors:
    """The k most similar other samples of each of N samples, nearest first, ties by row.

    Attributes:
        indices: uint32 `(N, k)`, rows of the neighbors.
        similarities: float32 `(N, k)`, their cosine similarities, in [-1, 1], descending.
        info: how they were found; None for a graph that was made elsewhere.
    """

    indices: NDArray[np.uint32]
    similarities: NDArray[np.float32]
    info: GraphInfo | None = None
