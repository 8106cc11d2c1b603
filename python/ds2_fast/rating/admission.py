"""Admission: the one place that decides when the next request may be sent.

A request waits in one queue for five things: a place below the concurrency limit, the end of a
pause the provider asked for, the requests-per-minute bucket, the tokens-per-minute bucket, and room
below the cost cap. One timer serves the whole queue.

The concurrency limit starts low and grows by one for every answer (slow start: it doubles per round
trip), up to the ceiling. Requests are counted in windows *by the time they were sent*, since
refusals come back faster than
answers: a window with a share f of refusals cuts the limit by half the smoothed share; above 15 %
    slow start ends;
above 50 % everybody waits as long as the provider asked. A clean window adds 3 %.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ds2_fast.rating.limits import HEADER_SHARE, Bucket, header_limit, header_pause
from ds2_fast.rating.money import Spending

START_LIMIT = 8
_WINDOW_REQUESTS = 20
_WINDOW_SECONDS = 0.25
_SMOOTHING = 0.3
_WALL_SHARE = 0.15
_PAUSE_SHARE = 0.5
_PAUSE_REFUSALS = 4
_QUIET_SHARE = 0.05
_GROWTH = 0.03
_USED_SHARE = 0.8
_LONGEST_HEADER_PAUSE = 60.0


class StoppedError(Exception):
    """Admission is closed: nothing more may be sent."""


@dataclass(slots=True, eq=False)
class Window:
    """Requests sent in one stretch of time: how many came back, were refused, were out at once."""

    start: float
    sent: int = 0
    back: int = 0
    refused: int = 0
    peak: int = 0
    judged: bool = False


@dataclass(slots=True, eq=False)
class Ticket:
    """One request's permission; handed back by `leave`."""

    worst: float
    tokens: int
    window: Window


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
        self._ceiling = ceiling
        self._on_budget = on_budget
        self._requests, self._tokens = Bucket(rpm, clock), Bucket(tpm, clock)
        self._given = (rpm is not None, tpm is not None)
        self.limit = float(min(start, ceiling))
        self.in_flight = 0
        self.refused = 0
        self._slow_start = True
        self._alpha = 0.0
        self._paused_until = 0.0
        self._window = Window(self._clock())
        self._queue: deque[tuple[asyncio.Future[Ticket], int, float]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._open = True

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
        window = ticket.window
        window.back += 1
        if refused:
            self.refused += 1
            window.refused += 1
            if window.refused >= _PAUSE_REFUSALS and window.refused > _PAUSE_SHARE * window.sent:
                pause = 1.0 if retry_after is None else retry_after
                self._paused_until = max(self._paused_until, self._clock() + pause)
        elif answered and self._slow_start and self.in_flight + 1 >= _USED_SHARE * self.limit:
            self.limit = min(self._ceiling, self.limit + 1)
        self._judge(window)
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

    def _judge(self, window: Window) -> None:
        """Adapt the limit to a window most of whose requests are back."""
        if window is self._window or window.judged or window.back < _USED_SHARE * window.sent:
            return
        window.judged = True
        share = window.refused / window.sent
        self._alpha = (1 - _SMOOTHING) * self._alpha + _SMOOTHING * share
        if share > 0:
            cut = max(self._alpha, share if share > _WALL_SHARE else 0.0) / 2
            self.limit = max(1.0, self.limit * (1 - min(0.5, cut)))
        if share > _WALL_SHARE:
            self._slow_start = False
        if share <= _QUIET_SHARE and window.peak >= _USED_SHARE * self.limit:
            self.limit = min(self._ceiling, self.limit + max(1.0, _GROWTH * self.limit))

    def _pump(self) -> None:
        """Let through whoever may go; otherwise set the timer for when that may be."""
        while self._open and self._queue:
            future, tokens, worst = self._queue[0]
            if future.done():  # cancelled while it waited
                self._queue.popleft()
                continue
            if self.in_flight >= int(self.limit):
                return
            delay = max(
                self._paused_until - self._clock(), self._requests.wait(), self._tokens.wait()
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
        now = self._clock()
        window = self._window
        if window.sent >= _WINDOW_REQUESTS and now - window.start >= _WINDOW_SECONDS:
            self._window = Window(now)
            self._judge(window)
            window = self._window
        window.sent += 1
        self.in_flight += 1
        window.peak = max(window.peak, self.in_flight)
        self._spending.reserved += worst
        self._requests.take(1)
        self._tokens.take(tokens)
        return Ticket(worst, tokens, window)

    def _wake_in(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(delay + 0.001, self._pump)
