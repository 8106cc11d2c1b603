"""Any score that someone has computed, as a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast.strategies.strategy import Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs

Order = Literal["high", "low", "mid"]
ORDERS: tuple[Order, ...] = ("high", "low", "mid")


@dataclass(frozen=True)
class Column(Strategy):
    """The samples that a column of numbers puts first: any scorer's output.

    The column is that of `--score-col`; `mid` ranks by closeness to the median.
    """

    name = "column"
    source = "any scorer"
    needs = "scores"

    order: Literal["high", "low", "mid"] = option(
        "high", "Which values come first.", choices=ORDERS
    )

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the column, turned so that high = wanted."""
        return oriented(inputs.scores, self.order)


def oriented(values: NDArray[np.float64], order: Order) -> NDArray[np.float64]:
    """Turn values so that the wanted ones are high.

    Args:
        values: float64 `(N,)`, NaN = none.
        order: `high` keeps them, `low` negates them, `mid` gives minus the distance to the median.

    Example:
        >>> oriented(np.array([1.0, 2.0, 9.0]), "mid").tolist()
        [-1.0, -0.0, -7.0]
    """
    if order == "high" or np.isnan(values).all():
        return values
    return -values if order == "low" else -np.abs(values - np.nanmedian(values))
