"""Crowd: how many requests may be in flight, learned from how long answers take.

The limit starts low and grows by one for every answer (it doubles with a round trip), up to the
ceiling, while it is used. A server that queues what it cannot serve refuses nothing; it only
answers later. How many wait there follows from Little's law: answers a second times the time by
which answers are later than they were at their fastest. Where a fifth or more of the limit waits
and the last growth has not brought more answers a second, the limit goes back to what is served
and a quarter more.

That answers are later is told by two quantiles, of which the smaller shift counts: a queue shifts
both, another mix of short and long answers only one. What answers take at their fastest changes
with time and load, so while something waits the limit is halved every half minute for one window.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_WINDOW_SECONDS = 0.25
_WINDOW_ANSWERS = 20
_USED_SHARE = 0.8
_WAITING_SHARE = 0.2
_ROOM = 1.25
_WORTHWHILE = 1.1
_GROWTH = 0.1
_PROBE_SECONDS = 30.0
_LOW, _HIGH = 0.2, 0.6


class Crowd:
    """See the module.

    Args:
        start: limit to start from.
        ceiling: highest limit.
        clock: seconds, monotonic.

    Attributes:
        limit: most requests in flight right now.
    """

    def __init__(self, start: int, ceiling: int, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._floor = min(start, ceiling)
        self._ceiling = ceiling
        self.limit = float(self._floor)
        self._slow_start = True
        self._fastest = (math.inf, math.inf)
        self._fastest_at = clock()
        self._before_probe: float | None = None
        self._gains: dict[int, float] = {}  # answers a second by size of the limit
        self._open_window()

    def entered(self, in_flight: int) -> None:
        """Count a request that goes out as the `in_flight`-th."""
        self._peak = max(self._peak, in_flight)

    def answered(self, seconds: float, in_flight: int) -> None:
        """Count an answer after `seconds`, that leaves `in_flight` others behind."""
        self._times.append(seconds)
        if self._slow_start and in_flight + 1 >= _USED_SHARE * self.limit:
            self.limit = min(self._ceiling, self.limit + 1)
        elapsed = self._clock() - self._start
        if elapsed < _WINDOW_SECONDS or len(self._times) < _WINDOW_ANSWERS:
            return
        low, high = self._quantiles()
        if elapsed >= high:
            self._judge(elapsed, low, high)
            self._open_window()

    def _open_window(self) -> None:
        self._start, self._times, self._peak = self._clock(), list[float](), 0

    def _quantiles(self) -> tuple[float, float]:
        times = sorted(self._times)
        return times[int(_LOW * len(times))], times[int(_HIGH * len(times))]

    def _judge(self, elapsed: float, low: float, high: float) -> None:
        """Adapt the limit to a window of answers."""
        if self._before_probe is not None:
            self._fastest, self._fastest_at = (low, high), self._clock()
            self.limit, self._before_probe = self._before_probe, None
            return
        fast_low, fast_high = self._fastest
        self._fastest = min(low, fast_low), min(high, fast_high)
        if self._peak < _USED_SHARE * self.limit:
            return
        gain = len(self._times) / elapsed
        size = round(math.log(self.limit, _ROOM))
        self._gains[size] = gain
        waiting = gain * min(low - self._fastest[0], high - self._fastest[1])
        if waiting <= _WAITING_SHARE * self.limit:
            self._grow()
            return
        smaller = [value for other, value in self._gains.items() if other <= size - 2]
        if gain >= _WORTHWHILE * max(smaller, default=0.0):
            self._grow()
            return
        self._slow_start = False
        served = max(self.limit - waiting, self.limit / 2)
        self.limit = max(float(self._floor), min(self.limit, _ROOM * served))
        if self._clock() - self._fastest_at > _PROBE_SECONDS:
            self._before_probe = self.limit
            self.limit = max(float(self._floor), self.limit / 2)

    def _grow(self) -> None:
        if not self._slow_start:
            self.limit = min(self._ceiling, self.limit * (1 + _GROWTH) + 1)
