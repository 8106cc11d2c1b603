"""Crowd: how many requests may be in flight, learned from how long answers take.

The limit starts low and grows by one for every answer (it doubles with a round trip), up to the
ceiling, while it is used. A server that queues what it cannot serve refuses nothing; it only
answers later. How many wait there follows from Little's law: answers a second times the time by
which answers are later than they were at their fastest. Where a fifth or more of the limit waits,
the limit goes back to what is served and a quarter more, unless fewer answers a second come than at
best: a server may be slower for each and faster for all.

That answers are later is told by two quantiles, as a few that take long say nothing. What
answers take at their fastest changes with time and load, so while something waits the limit is
halved every half minute for one window.
"""

from __future__ import annotations

import math
from collections.abc import Callable

_WINDOW_SECONDS = 0.25
_WINDOW_ANSWERS = 20
_ROUND_TRIPS = 1.5
_USED_SHARE = 0.8
_WAITING_SHARE = 0.2
_ROOM = 1.25
_FIRST_WAITING_SHARE = 0.1
_BEST_SHARE = 0.92
_SMOOTHING = 0.3
_FORGET = 0.99
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
        self._gain = 0.0  # answers a second, smoothed
        self._best = 0.0
        self._start, self._peak = clock(), 0
        self._times: list[float] = []

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
        if elapsed >= _ROUND_TRIPS * high:
            self._judge(elapsed, low, high)
            self._open_window()

    def _open_window(self) -> None:
        self._start, self._peak, self._times = self._clock(), 0, []

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
        self._gain += (_SMOOTHING if self._gain else 1.0) * (gain - self._gain)
        self._best = max(self._gain, _FORGET * self._best)
        later = (low - self._fastest[0] + high - self._fastest[1]) / 2
        share = _FIRST_WAITING_SHARE if self._slow_start else _WAITING_SHARE
        if gain * later <= share * self.limit or self._gain < _BEST_SHARE * self._best:
            self._grow()
            return
        self._slow_start = False
        served = gain * (sum(self._times) / len(self._times) - later)
        self.limit = max(float(self._floor), min(self.limit, _ROOM * served))
        if self._clock() - self._fastest_at > _PROBE_SECONDS:
            self._before_probe = self.limit
            self.limit = max(float(self._floor), self.limit / 2)

    def _grow(self) -> None:
        if not self._slow_start:
            self.limit = min(self._ceiling, self.limit * (1 + _GROWTH) + 1)
