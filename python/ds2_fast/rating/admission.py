"""Admission: the one place that decides when the next request may be sent.

A request waits in one queue for five things: a place below the concurrency limit (`crowd`), its
turn at the pace the provider takes (`pace`), the requests-per-minute bucket, the tokens-per-minute
bucket, and room below the cost cap. One timer serves the whole queue.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ds2_fast.rating.crowd import Crowd
from ds2_fast.rating.limits import HEADER_SHARE, Bucket, header_limit, header_pause
from ds2_fast.rating.money import Spending
from ds2_fast.rating.pace import Pace

START_LIMIT = 8
_LONGEST_HEADER_PAUSE = 60.0


class StoppedError(Exception):
    """Admission is closed: nothing more may be sent."""


@dataclass(slots=True, eq=False)
class Ticket:
    """One request's permission; handed back by `leave`."""

    worst: float
    tokens: int
    at: float


class Admission:
    """See the module.

    Args:
        spending: the money; its cap is kept here, before a request is sent.
        ceiling: most requests in flight.
        rpm: requests a minute; None = as the headers say, if they do.
        tpm: tokens a minute; None = as the headers say, if they do.
        on_budget: called once, when nothing is in flight and the next request does not fit the cap.
        start: limit to start from.
        clock: seconds, monotonic; the event loop's own.
    """

    def __init__(
        self,
        spending: Spending,
        *,
        ceiling: int,
        rpm: float | None = None,
        tpm: float | None = None,
        on_budget: Callable[[], None] = lambda: None,
        start: int = START_LIMIT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._spending = spending
        self._on_budget = on_budget
        self._requests, self._tokens = Bucket(rpm, clock), Bucket(tpm, clock)
        self._given = (rpm is not None, tpm is not None)
        self._crowd, self._pace = Crowd(start, ceiling, clock), Pace(clock)
        self.in_flight = 0
        self.refused = 0
        self._paused_until = 0.0
        self._queue: deque[tuple[asyncio.Future[Ticket], int, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._open = True

    @property
    def limit(self) -> int:
        """Most requests in flight right now."""
        return int(self._crowd.limit)

    @property
    def pace(self) -> float | None:
        """Requests a second that the provider was found to take; None = no such limit found."""
        return self._pace.rate

    async def enter(self, tokens: int, worst: float) -> Ticket:
        """Wait until a request of about `tokens` tokens and at most `worst` dollars may be sent.

        Raises:
            StoppedError: if admission is, or is being, closed.
        """
        if not self._open:
            raise StoppedError
        future: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._queue.append((future, tokens, worst))
        self._pump()
        return await future

    def leave(
        self,
        ticket: Ticket,
        *,
        answered: bool = True,
        refused: bool = False,
        retry_after: float | None = None,
    ) -> None:
        """Hand a ticket back.

        Args:
            ticket: what `enter` gave.
            answered: an answer came; only answers let the limit grow.
            refused: the provider said that it has no capacity now.
            retry_after: seconds it asked to wait.
        """
        self.in_flight -= 1
        # Exactly 0 when nothing is in flight: sums of floats drift.
        left = self._spending.reserved - ticket.worst
        self._spending.reserved = left if self.in_flight else 0.0
        if refused:
            self.refused += 1
            self._pace.refused(ticket.at, retry_after)
        elif answered:
            self._pace.answered()
            self._crowd.answered(self._clock() - ticket.at, self.in_flight)
        self._pump()

    def learn(self, headers: Mapping[str, str], ticket: Ticket, tokens: int) -> None:
        """Take limits from response headers, and correct a request's tokens by its real usage."""
        self._tokens.take(tokens - ticket.tokens)
        if not headers:
            return
        buckets = ((self._requests, "requests"), (self._tokens, "tokens"))
        for given, (bucket, what) in zip(self._given, buckets, strict=True):
            if given:
                continue
            limit = header_limit(headers, what)
            if limit is not None:
                bucket.per_minute = limit * HEADER_SHARE
            pause = min(header_pause(headers, what), _LONGEST_HEADER_PAUSE)
            if pause > 0:
                self._paused_until = max(self._paused_until, self._clock() + pause)

    def close(self) -> None:
        """Let nothing more through, and wake everybody who waits."""
        self._open = False
        if self._timer is not None:
            self._timer.cancel()
        while self._queue:
            future, _, _ = self._queue.popleft()
            if not future.done():
                future.set_exception(StoppedError())

    def _pump(self) -> None:
        """Let through whoever may go; otherwise set the timer for when that may be."""
        while self._open and self._queue:
            future, tokens, worst = self._queue[0]
            if future.done():  # cancelled while it waited
                self._queue.popleft()
                continue
            if self.in_flight >= self.limit:
                return
            delay = max(
                self._paused_until - self._clock(),
                self._pace.wait(),
                self._requests.wait(),
                self._tokens.wait(),
            )
            if delay > 0:
                self._wake_in(delay)
                return
            if not self._spending.fits(worst):
                if self.in_flight == 0:
                    self._on_budget()
                return
            self._queue.popleft()
            future.set_result(self._admit(tokens, worst))

    def _admit(self, tokens: int, worst: float) -> Ticket:
        self.in_flight += 1
        self._crowd.entered(self.in_flight)
        self._pace.sent()
        self._spending.reserved += worst
        self._requests.take(1)
        self._tokens.take(tokens)
        return Ticket(worst, tokens, self._clock())

    def _wake_in(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay, self._pump)
