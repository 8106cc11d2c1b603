"""What a run may do, how it may end, and what it has done so far."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field


class Stop(enum.Enum):
    """Why a run ended before its last sample."""

    INTERRUPTED = "interrupted"
    BUDGET = "budget"
    FATAL = "fatal"
    DOWN = "down"
    GIVE_UP = "give up"
    HOPELESS = "hopeless"
    DISK = "disk"
    BUG = "bug"


@dataclass(frozen=True)
class Rules:
    """What the engine may do.

    Attributes:
        timeout: seconds a request may take, from sending to the last byte.
        reask: how often an unreadable answer is asked again.
        give_up: seconds without any answer after which the run stops.
        max_tokens: longest answer, in tokens; None leaves it to the model.
        keep_raw: store the text of answers.
    """

    timeout: float
    reask: int
    give_up: float
    max_tokens: int | None
    keep_raw: bool


@dataclass
class Tally:
    """What happened so far; the progress line reads it from another thread."""

    requests: int = 0
    answers: int = 0
    rated: int = 0
    null: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    fingerprints: Counter[str] = field(default_factory=Counter)
