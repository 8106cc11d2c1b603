"""The bake-off: several strategies on one pool, measured alike, with random samples as the control.

`ds2_fast.compare_strategies(data, ["ds2", "longest"], 1000, score_col="rating")` runs it.
"""

from ds2_fast.bakeoff.comparison import StrategyComparison, compare_strategies

__all__ = ["StrategyComparison", "compare_strategies"]
