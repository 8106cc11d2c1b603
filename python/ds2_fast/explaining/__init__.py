"""Why a finished run made of a sample what it made of it."""

from __future__ import annotations

from ds2_fast.explaining.choice import ChoiceExplanation
from ds2_fast.explaining.explanation import Explanation, Heard, Place, Verdict
from ds2_fast.explaining.sample import explain

__all__ = ["ChoiceExplanation", "Explanation", "Heard", "Place", "Verdict", "explain"]
