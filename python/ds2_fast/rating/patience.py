"""How often a sample is tried again, and after how long: one rule for each class of failure.

| class | rule |
|---|---|
| capacity | again after `Retry-After` or jitter, without end: it says nothing about the sample |
| transport | up to 6 tries |
| deadline | up to 3 tries, at once; each may have been billed |
| context length | once more at half the length |
| rejected, filtered | never |
| fatal | the run stops |
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from ds2_fast.rating.transport import CallError, Failure

TRANSPORT_TRIES = 6
DEADLINE_TRIES = 3
_FIRST_JITTER = 0.25
LONGEST_JITTER = 20.0
_SPREAD = 0.25


@dataclass(slots=True)
class Sample:
    """One sample on its way.

    Attributes:
        job: index of its job.
        user: the user message as it is sent.
        max_tokens: longest answer; None leaves it to the model.
        token_bound: input tokens at most.
        half: it goes out at half its length.
        reasks: how often an unreadable answer was asked again.
        refused, broken, late: failures of class capacity, transport, deadline.
        requests: requests since its last record in the journal.
    """

    job: int
    user: str
    max_tokens: int | None
    token_bound: int
    half: bool = False
    reasks: int = 0
    refused: int = 0
    broken: int = 0
    late: int = 0
    requests: int = 0


def next_try(sample: Sample, error: CallError) -> float | None:
    """Count a failure against a sample.

    Args:
        sample: the sample; its counters change.
        error: what happened.

    Returns:
        Seconds to wait before the next try, or None if the sample is given up.
    """
    match error.kind:
        case Failure.CAPACITY:
            sample.refused += 1
            return _delay(error, sample.refused)
        case Failure.TRANSPORT:
            sample.broken += 1
            return _delay(error, sample.broken) if sample.broken < TRANSPORT_TRIES else None
        case Failure.DEADLINE:
            sample.late += 1
            return 0.0 if sample.late < DEADLINE_TRIES else None
        case Failure.CONTEXT if not sample.half:
            sample.half = True
            return 0.0
    return None


def _delay(error: CallError, tries: int) -> float:
    """`Retry-After` with a little spread, else full jitter `U(0, min(20, 0.25 * 2^n))`."""
    if error.retry_after is not None:
        return error.retry_after * (1 + _SPREAD * random.random())
    ceiling = min(LONGEST_JITTER, _FIRST_JITTER * 2.0 ** min(tries, 10))
    return random.random() * ceiling
