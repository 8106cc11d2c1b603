"""What a budget brought, in figures and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ds2_fast.budget.gate import Check, Estimate
from ds2_fast.budget.rounds import Spent

_STOPS = {
    "stable": "the selection is stable",
    "spent": "the budget is spent",
    "all": "every sample is rated",
}


@dataclass(frozen=True)
class Account:
    """What a budget brought.

    Attributes:
        spent: ratings and predictions.
        samples: samples in the pool.
        asked: samples that were asked; equal samples once.
        cut: size of the selection it aimed at.
        rest_cost: words for what rating the rest would cost.
    """

    spent: Spent
    samples: int
    asked: int
    cut: int
    rest_cost: str

    def told(self) -> str:
        """One past-tense clause."""
        rounds = f"{self.spent.rounds} round" + "s" * (self.spent.rounds != 1)
        return (
            f"asked for {self.asked:,} of {self.samples:,} samples in {rounds}, "
            f"{_STOPS[self.spent.stopped]}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Every figure, JSON-able; estimates as `[value, low, high]`, 95 % intervals."""
        check = self.spent.check
        return {
            "samples": self.samples,
            "asked": self.asked,
            "rounds": self.spent.rounds,
            "stopped": self.spent.stopped,
            "n": self.cut,
            "check": None if check is None else _figures(check),
            "words": lines(check, self.cut),
            "advice": advice(check, self.rest_cost),
        }


def _figures(check: Check) -> dict[str, Any]:
    return {
        "rows": check.rows,
        "precision": check.precision.to_list(),
        "gain": check.gain.to_list(),
        "spearman": check.spearman.to_list(),
        "calibration_error": check.calibration_error.to_list(),
        "passed": check.passed,
        "reasons": list(check.reasons),
    }


def lines(check: Check | None, n: int) -> list[str]:
    """The check in a few lines for people."""
    if check is None:
        return ["every sample is rated: nothing was predicted, nothing had to be checked"]
    return [
        f"of the {n:,} best rated samples {_share(check.precision)} would be chosen had all been "
        f"rated; they bring {_share(check.gain)} of the gain",
        f"predictions against {check.rows:,} random ratings: Spearman "
        f"{_span(check.spearman, 2)}, calibration error {_span(check.calibration_error, 3)}",
    ]


def advice(check: Check | None, rest_cost: str) -> str | None:
    """What to do where the check fails, in one sentence; None where it does not."""
    if check is None or check.passed:
        return None
    return (
        f"the check of the budget fails ({'; '.join(check.reasons)}): "
        f"raise `--budget`, or rate all: {rest_cost}"
    )


def _share(estimate: Estimate) -> str:
    return f"{estimate.value:.1%} ({estimate.low:.1%} to {estimate.high:.1%})"


def _span(estimate: Estimate, digits: int) -> str:
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"
