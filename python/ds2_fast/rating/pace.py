"""Pace: how many requests a second a provider takes that tells no limit, learned from refusals.

A refusal may mean two things, and one number cannot tell them apart: requests come too fast (a
wall), or the provider refuses at random whatever comes. So a share of refusals is put to the test:
requests are slowed down to what was let through, and

- if the share falls, it is a wall. From then on the pace creeps up with every request and steps
  back at a refusal, by a step that starts coarse and is halved at every turn: a search for the
  wall that stays at it, with about one request in fifty refused, as only refusals tell when the
  wall moves.
- if it does not fall, the refusals have nothing to do with the pace, and slowing down is taken
  back. Too many refusals at a wall are put to the same test.

Where most of what is sent is refused, everything waits as long as the provider asks.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

# A streak is judged after this long and this many requests; refusals must have had time to be back.
_STREAK_SECONDS = 0.25
_STREAK_REQUESTS = 40
_ECHOES = 4.0
_SMOOTHING = 0.1
# Shares of refusals: at once suspicious; suspicious if they last; wild; most.
_STEEP = 0.15
_LASTING = 0.05
_LASTING_SECONDS = 2.0
_LASTING_REFUSALS = 50
_WILD = 0.3
_FAR = 1.2
_STORM = 0.5
_OUTAGE = 0.9
_FEW = 4
_MOST_NOISE = 0.25
# Below so many a second a trial would take too long: the search starts at once.
_SLOW = 20.0
# Steps of the search for the wall: 1 % down, its square up with every request.
_WIDEST_STEP = 0.5
_FIRST_STEP = 0.25
_TIRE = 0.85
_CLOSE_STEP = 0.02
_LAST_STEP = 0.01
# So many requests in a row say that the pace was below the wall.
_TURN_REQUESTS = 3
# A block of requests at the wall; this many refused beyond the noise are put to the test.
_BLOCK_REQUESTS = 100
_BLOCK_SMOOTHING = 0.3
_TOO_MANY = 0.025
_UNNOTICED = 0.01
_TEST = 0.93
_FORGET_NOISE = 0.99
# A pace nobody had to wait for, for so long, is no limit.
_IDLE_SECONDS = 30.0
# What a late timer may catch up.
_SLACK_SECONDS = 0.05
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_LONG_PAUSE = 2.0
_SLOWEST = 1 / 60
_FIRST_RATE = 1.0


class _State(enum.Enum):
    FREE = "free"
    TRIAL = "trial"
    WALL = "wall"


class _Count:
    """Requests since a moment, and how many of them were refused."""

    __slots__ = ("refused", "sent", "since")

    def __init__(self, since: float) -> None:
        self.since, self.sent, self.refused = since, 0, 0

    @property
    def share(self) -> float:
        return self.refused / max(self.sent, 1)

    def passed(self, now: float) -> float:
        """Requests a second that were let through."""
        return max(self.sent - self.refused, 1) / max(now - self.since, _STREAK_SECONDS)


class Pace:
    """See the module; all times in seconds.

    Args:
        clock: monotonic.

    Attributes:
        rate: requests a second; None = as fast as they come.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        now = clock()
        self.rate: float | None = None
        self._state = _State.FREE
        self._noise = 0.0  # share that is refused at any pace
        self._echo = 0.0  # how long a refusal takes
        self._next_at = 0.0
        self._limited_at = now  # when somebody last had to wait for the pace
        self._paused_until = 0.0
        self._pause = _FIRST_PAUSE
        # What passes while some are refused is what a wall lets through: a streak starts with a
        # refusal, and what a full bucket gave before it does not count.
        self._streak: _Count | None = None
        self._lasting = _Count(now)
        self._trials = 0
        self._trial_share = 0.0
        self._step = _FIRST_STEP
        self._refusals = 0.0  # share, smoothed over blocks
        self._tested: float | None = None  # the pace before a test of the noise
        self._cut_at = 0.0
        self._quiet = 0  # requests since the last cut, or since the step grew

    def wait(self) -> float:
        """Seconds until the next request may go; 0 = now."""
        now = self._clock()
        delay = self._paused_until - now
        if self.rate is not None and self._next_at > now:
            self._limited_at = now
            delay = max(delay, self._next_at - now)
        return max(0.0, delay)

    def sent(self) -> None:
        """Count a request that goes out now."""
        now = self._clock()
        self._lasting.sent += 1
        if self._streak is not None:
            self._streak.sent += 1
        if self.rate is not None:
            # A slow wall may have no room for two: there a late request delays all others.
            slack = _SLACK_SECONDS if self.rate > _SLOW else 0.0
            self._next_at = max(self._next_at, now - slack) + 1 / self.rate
            if self._state is _State.WALL and self._tested is None:
                self._creep(now)
        self._look(now)

    def refused(self, sent_at: float, retry_after: float | None) -> None:
        """Count a request, sent at `sent_at`, that was refused for lack of capacity."""
        now = self._clock()
        self._echo += _SMOOTHING * (now - sent_at - self._echo)
        self._lasting.refused += 1
        if self._streak is None:
            self._streak = _Count(now)
        elif sent_at >= self._streak.since:
            self._streak.refused += 1
            self._weather(now, retry_after)
        searching = self._state is _State.WALL and self._tested is None
        if searching and sent_at >= self._cut_at:
            self._step_back(now)

    def answered(self) -> None:
        """Count an answer: the provider is there."""
        self._pause = _FIRST_PAUSE

    # -- streaks
    # ---------------------------------------------------------------------------------------
    def _weather(self, now: float, retry_after: float | None) -> None:
        """Where most is refused, or all at a pace, wait as asked, or longer each time."""
        streak = self._streak
        assert streak is not None
        if now < self._paused_until or streak.refused < _FEW:
            return
        storm = _STORM if self._state is _State.FREE else _OUTAGE
        if streak.refused > storm * streak.sent:
            pause = self._pause if retry_after is None else retry_after
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._paused_until = now + min(pause, _LONGEST_PAUSE)
            if pause > _LONG_PAUSE:
                self._streak = None  # the quiet would count as what passes
                if self._state is _State.FREE:
                    self._set(self._lasting.passed(now))
                    self._search(_FIRST_STEP, self._paused_until)

    def _look(self, now: float) -> None:
        """Judge the streak if it is long enough."""
        streak = self._streak
        if streak is not None and streak.sent >= _STREAK_REQUESTS:
            # Refusals that come after the end are not counted: they must be few.
            if now - streak.since < max(_STREAK_SECONDS, _ECHOES * self._echo):
                return
            if self._state is _State.FREE:
                self._judge_free(streak, now)
            elif self._state is _State.TRIAL:
                self._judge_trial(streak, now)
            else:
                self._judge_wall(streak, now)
        block = _BLOCK_REQUESTS if self._tested is None else 2 * _BLOCK_REQUESTS
        if self._state is _State.WALL and self._lasting.sent >= block:
            self._judge_block(now)

    def _judge_free(self, streak: _Count, now: float) -> None:
        steep = streak.share > 2 * self._noise + _STEEP and streak.refused >= _FEW
        lasting, all_of_it = False, self._lasting
        if now - all_of_it.since >= _LASTING_SECONDS and all_of_it.refused >= _LASTING_REFUSALS:
            lasting = all_of_it.share > 1.5 * self._noise + _LASTING
            self._lasting = _Count(now)
        self._streak = None
        if steep or lasting:
            self._state, self._trials = _State.TRIAL, 0
            # A burst into a closed door says little: what passed so far is the least.
            passed = max(streak.passed(now), all_of_it.passed(now))
            self._try(streak.share if steep else all_of_it.share, passed, now)

    def _try(self, share: float, rate: float, now: float) -> None:
        """See whether a share of refusals falls at this rate; too slow for that, search."""
        self._trial_share = share
        self._set(max(rate, _FIRST_RATE))
        if rate < _SLOW:
            self._search(_FIRST_STEP, now)
        else:
            self._streak = _Count(now)

    def _search(self, step: float, now: float) -> None:
        self._state, self._step, self._cut_at, self._quiet = _State.WALL, step, now, 0
        self._refusals, self._tested = 0.0, None
        self._streak, self._lasting = None, _Count(now)

    def _judge_trial(self, streak: _Count, now: float) -> None:
        share, passed = streak.share, streak.passed(now)
        if share < max(self._trial_share / 2, _LAST_STEP):
            # No refusal at all: the wall may be far above.
            self._search(_CLOSE_STEP if share else _FIRST_STEP, now)
        elif share > _WILD:
            self._try(share, passed, now)
        elif self._trials:
            self._free(share)
        else:
            self._trials = 1
            self._try(self._trial_share, 0.7 * passed, now)

    def _judge_wall(self, streak: _Count, now: float) -> None:
        assert self.rate is not None
        self._streak = None
        passed = max(streak.passed(now), _FIRST_RATE)
        if streak.share > self._noise + _WILD and self.rate > _FAR * passed:
            self._set(passed)
            self._search(_CLOSE_STEP if passed > _SLOW else _FIRST_STEP, now)

    def _judge_block(self, now: float) -> None:
        """Tell the refusals a wall gives from those that come at any pace.

        More refusals than the search makes put themselves to the test: a block of requests goes out
        clearly slower, and what is still refused is noise.
        """
        assert self.rate is not None
        share, self._lasting = self._lasting.share, _Count(now)
        if self._tested is not None:
            self._noise = min(share, _MOST_NOISE)
            self._set(self._tested)
            self._tested, self._refusals = None, share
            return
        self._noise *= _FORGET_NOISE
        self._refusals += _BLOCK_SMOOTHING * (share - self._refusals)
        if now - self._limited_at > _IDLE_SECONDS:
            self._free(self._noise)
        elif self._step <= _CLOSE_STEP and self._refusals > self._noise + _TOO_MANY:
            self._tested = self.rate
            self._set(_TEST * self.rate)

    def _free(self, noise: float) -> None:
        self._state, self.rate, self._noise = _State.FREE, None, min(noise, _MOST_NOISE)
        self._streak, self._lasting = None, _Count(self._clock())

    def _set(self, rate: float) -> None:
        self.rate = max(rate, _SLOWEST)
        self._next_at = self._clock() + 1 / self.rate

    # -- at the wall
    # ---------------------------------------------------------------------------------------
    def _creep(self, now: float) -> None:
        """A little faster with every request that had to wait; the step grows in long quiet."""
        assert self.rate is not None
        if now - self._limited_at > _SLACK_SECONDS + 1 / self.rate:
            return
        # A little more than the known noise, so that unknown noise below a test's notice sinks
        # nothing; a slow wall cannot afford the refusals.
        noise = self._noise / (1 - self._noise) + (_UNNOTICED if self.rate > _SLOW else 0.0)
        # No further than a step before its refusals could be back.
        time_to_hear = max(_STREAK_SECONDS, _ECHOES * self._echo)
        faster = min(self._step, 1 / (self.rate * time_to_hear)) + noise
        self.rate *= 1 + self._step * faster
        self._quiet += 1
        if self._quiet > 3 / self._step:
            self._step, self._quiet = min(2 * self._step, _WIDEST_STEP), 0

    def _step_back(self, now: float) -> None:
        """A step slower; half as much from now on if this is a turn."""
        assert self.rate is not None
        if self._quiet >= max(_TURN_REQUESTS, 0.25 / self._step):
            self._step = max(self._step / 2, _LAST_STEP)
        else:
            self._step = max(_TIRE * self._step, _LAST_STEP)
        if self._step > _CLOSE_STEP:
            self._lasting = _Count(now)  # the refusals of the search are its own
        self._quiet = 0
        self._cut_at = now
        # The refused request has used up nothing: the next goes half an interval earlier.
        self._next_at -= 0.5 / self.rate
        self.rate = max(self.rate / (1 + self._step), _SLOWEST)
