"""Which columns of ratings a strategy looked at, so that the others can judge it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from ds2_fast.strategies import Inputs

_FROM_SCORES = frozenset({"rated", "classes", "scores", "analysis", "analysis_on_scale"})
"""What of the inputs is made from the columns of scores."""


class Watched:
    """Inputs that remember which columns they were asked for.

    All else is the inputs themselves, so what is made for one strategy is there for the next. The
    space does not count: where `auto` chose it by the scores, a strategy sees no more of them than
    that choice.

    Attributes:
        inputs: the inputs.
        seen_columns: names of the columns that were asked for.
        seen_scores: whether the scores were.
    """

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs
        self.seen_columns: set[str] = set()
        self.seen_scores = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Give what the inputs have."""
        if name in _FROM_SCORES:
            self.seen_scores = True
        return getattr(self.inputs, name)

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.inputs)

    def column(self, name: str, option: str) -> NDArray[np.float64]:
        """Give a column of numbers, see `Inputs.column`."""
        self.seen_columns.add(name)
        return self.inputs.column(name, option)

    def values(self, name: str, option: str) -> pl.Series:
        """Give a column as it is, see `Inputs.values`."""
        self.seen_columns.add(name)
        return self.inputs.values(name, option)
