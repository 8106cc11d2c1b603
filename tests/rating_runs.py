"""What tests of whole rating runs share: a pool, a run through either transport, patience."""

from __future__ import annotations

import time

from ds2_fast.rating import rate

MODEL = "openai/rater"
USED = {"transport": "litellm"}


def pool(count: int, start: int = 0) -> list[list[tuple[str, str]]]:
    return [
        [("user", f"Question {i}?"), ("assistant", f"Answer {i}. " * 5)]
        for i in range(start, start + count)
    ]


def run(server, journal, samples, **options):
    options = {"max_null": 1.0, **USED, **options}
    return rate(samples, MODEL, api_base=server.base, journal_path=journal, **options)


def statuses(ratings):
    return ratings.frame["status"].to_list()


def no_more_than(seconds):
    """Fail a run that hangs on after it should have stopped."""
    start = time.monotonic()
    return lambda: time.monotonic() - start < seconds
