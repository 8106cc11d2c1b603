"""Rate limits: token buckets, and what response headers say about them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

# A limit read from a header belongs to the whole account: leave room for others.
HEADER_SHARE = 0.95


class Bucket:
    """A token bucket: `per_minute` units flow in evenly, up to a second's worth (at least one).

    A request is let through as soon as the bucket is not in debt, and may leave it so: one larger
    than a second's worth waits its time afterwards, not forever before.

    Args:
        per_minute: the limit; None = no limit.
        clock: seconds, monotonic.
    """

    def __init__(
        self, per_minute: float | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self.per_minute = per_minute
        self._level = 0.0
        self._at = clock()

    def wait(self) -> float:
        """Seconds until a request may pass; 0 = now."""
        if self.per_minute is None:
            return 0.0
        rate = self.per_minute / 60
        now = self._clock()
        self._level = min(max(1.0, rate), self._level + (now - self._at) * rate)
        self._at = now
        return max(0.0, -self._level / rate)

    def take(self, amount: float) -> None:
        """Count a request (or, negative, what it did not use after all)."""
        self._level -= amount


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait by `Retry-After` (seconds or a date) or `retry-after-ms`; None = not said."""
    low = {name.lower(): value for name, value in headers.items()}
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            return max(0.0, float(low[name]) * unit)
        except (KeyError, ValueError):
            continue
    try:
        date = parsedate_to_datetime(low["retry-after"])
    except (KeyError, ValueError):
        return None
    return max(0.0, date.timestamp() - (time.time() if now is None else now))


def header_limit(headers: Mapping[str, str], what: str) -> float | None:
    """The limit of `what` ("requests" or "tokens") a minute, if the headers name one."""
    value = _find(headers, f"ratelimit-limit-{what}", f"ratelimit-{what}-limit")
    try:
        limit = float(value) if value is not None else 0.0
    except ValueError:
        return None
    return limit if limit > 0 else None


def header_pause(headers: Mapping[str, str], what: str, now: float | None = None) -> float:
    """Seconds until `what` is available again, if the headers say that none remains; else 0."""
    remaining = _find(headers, f"ratelimit-remaining-{what}", f"ratelimit-{what}-remaining")
    reset = _find(headers, f"ratelimit-reset-{what}", f"ratelimit-{what}-reset")
    if remaining is None or reset is None or remaining.strip() not in ("0", "0.0"):
        return 0.0
    return _seconds(reset, time.time() if now is None else now)


def _find(headers: Mapping[str, str], *endings: str) -> str | None:
    for name, value in headers.items():
        if name.lower().endswith(endings):
            return value
    return None


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")


def _seconds(text: str, now: float) -> float:
    """`6ms`, `1m2.5s`, `12` or `2025-01-31T12:00:00Z` in seconds from now; 0 if unreadable."""
    text = text.strip()
    if _DURATION.sub("", text) == "":
        return sum(float(n) * _UNITS[unit] for n, unit in _DURATION.findall(text))
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() - now)
    except ValueError:
        return 0.0
