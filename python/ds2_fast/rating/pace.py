"""Pace: how many requests a second a provider takes that tells no limit, learned from refusals.

A refusal may mean two things, and one number cannot tell them apart: requests come too fast (a
wall), or the provider refuses at random whatever comes. So a share of refusals is put to the test:
requests are slowed down to what was let through, and

- if the share falls, it is a wall. From then on the pace creeps up with every request and steps
  back at a refusal, by a step that starts coarse and is halved at every turn: a search for the
  wall that stays at it, with about one request in fifty refused, as only refusals tell when the
  wall moves.
- if it does not fall, the refusals have nothing to do with the pace, and slowing down is taken
  back. So is a slow decline at a wall under refusals at random.

Where most of what is sent is refused, everything waits as long as the provider asks.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

# A window of requests is judged after this long and this many.
_WINDOW_SECONDS = 0.25
_WINDOW_REQUESTS = 20
_ECHOES = 4.0
_SMOOTHING = 0.1
_TRIAL_REQUESTS = 40
_WALL_REQUESTS = 100
# Shares of refusals: at once suspicious; suspicious if they last; wild; most.
_STEEP = 0.15
_LASTING = 0.05
_LASTING_SECONDS = 2.0
_WILD = 0.3
_STORM = 0.5
_FEW = 4
_LASTING_REFUSALS = 50
_MOST_NOISE = 0.25
# Steps of the search for the wall: 1 % down, twice its square up with every request.
_FIRST_STEP = 0.5
_CLOSE_STEP = 0.02
_LAST_STEP = 0.01
# A decline this deep that has not helped is taken back.
_DECLINE = 0.85
_FORGET = 0.998
# A pace nobody had to wait for, for so long, is no limit.
_IDLE_SECONDS = 30.0
# What a late timer may catch up.
_SLACK_SECONDS = 0.05
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
_SLOWEST = 1 / 60


class _State(enum.Enum):
    FREE = "free"
    TRIAL = "trial"
    WALL = "wall"


class Pace:
    """See the module; all times in seconds.

    Args:
        clock: monotonic.

    Attributes:
        rate: requests a second; None = as fast as they come.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.rate: float | None = None
        self._state = _State.FREE
        self._noise = 0.0  # share that is refused at any pace
        self._next_at = 0.0
        self._limited_at = clock()  # when somebody last had to wait for the pace
        self._paused_until = 0.0
        self._pause = _FIRST_PAUSE
        self._echo = 0.0  # how long a refusal takes
        self._open_window()
        self._lasting = (clock(), 0, 0)  # since, sent, refused
        self._trials = 0
        self._trial_share = 0.0
        self._step = _FIRST_STEP
        self._anchor = 0.0
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
        self._sent += 1
        if self.rate is not None:
            self._next_at = max(self._next_at, now - _SLACK_SECONDS) + 1 / self.rate
            if self._state is _State.WALL:
                self._creep(now)
        self._look(now)

    def refused(self, sent_at: float, retry_after: float | None) -> None:
        """Count a request, sent at `sent_at`, that was refused for lack of capacity."""
        now = self._clock()
        self._echo += _SMOOTHING * (now - sent_at - self._echo)
        if sent_at < self._start:
            return  # the window it belongs to is judged
        self._refused += 1
        if self._refused >= _FEW and self._refused > _STORM * self._sent:
            self._storm(now, retry_after)
        elif self._state is _State.WALL and sent_at >= self._cut_at:
            self._step_back(now)

    def answered(self) -> None:
        """Count an answer: the provider is there."""
        self._pause = _FIRST_PAUSE

    # -- windows
    # ---------------------------------------------------------------------------------------
    def _open_window(self) -> None:
        self._start, self._sent, self._refused = self._clock(), 0, 0

    def _look(self, now: float) -> None:
        """Close the window and judge it, if it is long enough."""
        elapsed = now - self._start
        enough = {
            _State.FREE: _WINDOW_REQUESTS,
            _State.TRIAL: _TRIAL_REQUESTS,
            _State.WALL: _WALL_REQUESTS,
        }[self._state]
        # Refusals that come after the end are not counted: they must be few.
        if elapsed < max(_WINDOW_SECONDS, _ECHOES * self._echo) or self._sent < enough:
            return
        sent, refused = self._sent, self._refused
        self._open_window()
        share, passed = refused / sent, max(sent - refused, 1) / elapsed
        if self._state is _State.FREE:
            self._judge_free(now, sent, refused, passed)
        elif self._state is _State.TRIAL:
            self._judge_trial(now, share, passed)
        else:
            self._judge_wall(now, share, passed)

    def _judge_free(self, now: float, sent: int, refused: int, passed: float) -> None:
        since, all_sent, all_refused = self._lasting
        all_sent, all_refused = all_sent + sent, all_refused + refused
        self._lasting = (since, all_sent, all_refused)
        steep = refused >= _FEW and refused > (2 * self._noise + _STEEP) * sent
        lasting = False
        if now - since >= _LASTING_SECONDS and all_refused >= _LASTING_REFUSALS:
            lasting = all_refused > (1.5 * self._noise + _LASTING) * all_sent
            self._lasting = (now, 0, 0)
        if steep or lasting:
            self._state, self._trials = _State.TRIAL, 0
            self._trial_share = refused / sent if steep else all_refused / all_sent
            self._set(passed)

    def _judge_trial(self, now: float, share: float, passed: float) -> None:
        if share < max(self._trial_share / 2, _LAST_STEP):
            self._state, self._step, self._anchor = _State.WALL, _CLOSE_STEP, passed
            self._cut_at, self._quiet = now, 0
        elif share > _WILD:
            self._trial_share = share
            self._set(passed)
        elif self._trials:
            self._free(share)
        else:
            self._trials = 1
            self._set(0.7 * passed)

    def _judge_wall(self, now: float, share: float, passed: float) -> None:
        assert self.rate is not None
        self._anchor = max(self.rate, _FORGET * self._anchor)
        if share > self._noise + 0.1:
            self._set(passed)
            self._anchor, self._step, self._cut_at = passed, _CLOSE_STEP, now
        elif self.rate < _DECLINE * self._anchor and share > self._noise + _LAST_STEP:
            self._noise = min(share, _MOST_NOISE)
            self._set(self._anchor)
        elif now - self._limited_at > _IDLE_SECONDS:
            self._free(self._noise)

    def _free(self, noise: float) -> None:
        self._state, self.rate, self._noise = _State.FREE, None, min(noise, _MOST_NOISE)
        self._lasting = (self._clock(), 0, 0)

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
        noise = self._noise / max(1 - self._noise, 0.5)
        faster = self._step * (2 * self._step + noise)
        # No further than a step before the first refusal of it could be back.
        faster = min(faster, self._step / (self.rate * max(self._echo, _SLACK_SECONDS)))
        self.rate *= 1 + faster
        self._quiet += 1
        if self._quiet > 2 / self._step:
            self._step, self._quiet = min(2 * self._step, _FIRST_STEP), 0

    def _step_back(self, now: float) -> None:
        """A step slower; half a step from now on, if this is a turn."""
        assert self.rate is not None
        if self._quiet > 0.25 / self._step:
            self._step = max(self._step / 2, _LAST_STEP)
        self._quiet = 0
        self._cut_at = now
        # The refused request has used up nothing: the next goes half an interval earlier.
        self._next_at -= 0.5 / self.rate
        self._set_rate(self.rate / (1 + self._step))

    def _set_rate(self, rate: float) -> None:
        self.rate = max(rate, _SLOWEST)

    def _storm(self, now: float, retry_after: float | None) -> None:
        """Most is refused: wait as asked, or longer each time, and start slowly."""
        pause = self._pause if retry_after is None else retry_after
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        self._paused_until = max(self._paused_until, now + min(pause, _LONGEST_PAUSE))
        passed = self._sent - self._refused
        if passed >= _WINDOW_REQUESTS:
            self._state, self._trials, self._trial_share = _State.TRIAL, 0, _STORM
            self._set(passed / max(now - self._start, _WINDOW_SECONDS))
        else:
            self._set(max(passed, 1) / max(now - self._start, 1.0))
            self._state, self._step, self._anchor = _State.WALL, _FIRST_STEP, 0.0
            self._cut_at, self._quiet = self._paused_until, 0
        self._open_window()
