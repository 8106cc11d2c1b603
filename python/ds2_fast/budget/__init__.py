"""Budgeted rating: have the part of a pool rated that a selection will come from.

A random part is rated, a small model learns from it what the rater likes, the samples it expects
most of are rated next, and so on until the budget is spent or nothing is left to gain. A random
share of the budget is never learned from: it says how good the selection is, and how good the
predictions for the rest are. Predictions are distributions and never take the place of a rating.
"""

from ds2_fast.budget.account import Account
from ds2_fast.budget.amount import Budget, default_cut, parse_budget
from ds2_fast.budget.gate import Check
from ds2_fast.budget.rounds import Answers, Spent, spend
from ds2_fast.budget.shape import describe_shape

__all__ = [
    "Account",
    "Answers",
    "Budget",
    "Check",
    "Spent",
    "default_cut",
    "describe_shape",
    "parse_budget",
    "spend",
]
