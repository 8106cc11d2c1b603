"""Where a rating run stands, for people who wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ds2_fast.rating.engine import Engine
from ds2_fast.rating.money import Spending
from ds2_fast.rating.plan import RatingPlan


@dataclass(frozen=True)
class RatingProgress:
    """A snapshot of a run.

    Attributes:
        model: the model asked.
        done: distinct samples with a result, stored ones included.
        total: distinct samples.
        rate: samples a second in this run.
        null_share: share of this run's results without a rating, 0..1.
        refused_share: requests refused for lack of capacity, per request, 0..1.
        in_flight: requests sent and not answered.
        limit: most requests in flight right now.
        spent: dollars, all runs on this journal; None if the price is unknown.
        expected: dollars, once all is done; None if the price is unknown.
        seconds_left: None while nobody can tell.
    """

    model: str
    done: int
    total: int
    rate: float
    null_share: float
    refused_share: float
    in_flight: int
    limit: int
    spent: float | None
    expected: float | None
    seconds_left: float | None


class Watch:
    """Makes snapshots of an engine and hands them on, from the caller's thread.

    Args:
        engine: the engine; only plain numbers of it are read.
        plan: what was expected.
        spending: the money.
        on_progress: gets the snapshots; None = nobody.
    """

    def __init__(
        self,
        engine: Engine,
        plan: RatingPlan,
        spending: Spending,
        on_progress: Callable[[RatingProgress], None] | None,
    ) -> None:
        self._engine = engine
        self._plan = plan
        self._spending = spending
        self._on_progress = on_progress
        self._spent_before = spending.spent
        self._start: float | None = None

    def poll(self) -> None:
        """Hand on a snapshot of this moment."""
        if self._on_progress is not None:
            self._on_progress(self.snapshot())

    def snapshot(self) -> RatingProgress:
        """The run at this moment."""
        tally, admission, plan = self._engine.tally, self._engine.admission, self._plan
        finished = tally.rated + tally.null
        now = time.monotonic()
        if self._start is None and tally.requests:
            self._start = now  # importing the client takes seconds that say nothing about the rate
        elapsed = now - self._start if self._start is not None else 0.0
        rate = finished / elapsed if elapsed > 0 else 0.0
        left = plan.to_rate - finished
        return RatingProgress(
            model=plan.model,
            done=plan.stored + finished,
            total=plan.stored + plan.to_rate,
            rate=rate,
            null_share=tally.null / finished if finished else 0.0,
            refused_share=admission.refused / tally.requests if tally.requests else 0.0,
            in_flight=admission.in_flight,
            limit=int(admission.limit),
            spent=None if plan.price is None else self._spending.spent,
            expected=self._expected(finished, left),
            seconds_left=left / rate if rate > 0 else None,
        )

    def _expected(self, finished: int, left: int) -> float | None:
        """Spent so far, and the rest at this run's own cost a sample once there is one."""
        if self._plan.cost is None:
            return None
        if finished == 0:
            return self._spent_before + self._plan.cost
        per_sample = (self._spending.spent - self._spent_before) / finished
        return self._spending.spent + per_sample * left
