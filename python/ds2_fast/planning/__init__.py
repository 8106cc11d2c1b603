"""What a selection would do and take, before it is run; nothing is written."""

from __future__ import annotations

from ds2_fast.planning.plan import Plan, plan_run
from ds2_fast.planning.step import Step

__all__ = ["Plan", "Step", "plan_run"]
