"""Ways to select, each a small module: filters, scorers and set rules that can be joined.

`ds2_fast.select(..., strategy="deita")` runs one. To add one, derive a frozen dataclass from
`Strategy` and register it under the entry points `ds2_fast.strategies`.
"""

from ds2_fast.strategies.description import describe
from ds2_fast.strategies.inputs import Inputs
from ds2_fast.strategies.plan import Outcome, Plan, run_plan
from ds2_fast.strategies.registry import (
    IS_DS2,
    find_strategy,
    option_types,
    options_of,
    parse_strategy,
    strategy_names,
)
from ds2_fast.strategies.strategy import Candidates, Picked, Role, Strategy, option

__all__ = [
    "IS_DS2",
    "Candidates",
    "Inputs",
    "Outcome",
    "Picked",
    "Plan",
    "Role",
    "Strategy",
    "describe",
    "find_strategy",
    "option",
    "option_types",
    "options_of",
    "parse_strategy",
    "run_plan",
    "strategy_names",
]
