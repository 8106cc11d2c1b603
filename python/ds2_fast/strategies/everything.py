"""The whole pool, for comparisons with training on all of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ds2_fast.strategies.strategy import Candidates, Picked, Strategy

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Everything(Strategy):
    """All samples in the order of the pool; `-n 100%` takes the whole of it."""

    name = "all"
    source = "the identity"

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Take the first n rows."""
        return Picked(candidates.rows[:n], "after the first")
