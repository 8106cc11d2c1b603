"""What the engine tells the journal."""

from __future__ import annotations

import time
from array import array
from typing import Any

from ds2_fast.rating.journal import Journal, Record
from ds2_fast.rating.money import Spending
from ds2_fast.rating.patience import Sample
from ds2_fast.rating.transport import Answer

_RAW_CAP = 16 * 1024


class Recorder:
    """Writes records and heartbeats, and remembers the first error of the disk.

    Args:
        journal: the open journal.
        spending: the money of the run, for what a heartbeat says is owed.
        keep_raw: store the text of answers.

    Attributes:
        error: why the journal could not be written; empty while it can.
    """

    def __init__(self, journal: Journal, spending: Spending, keep_raw: bool) -> None:
        self._journal = journal
        self._spending = spending
        self._keep_raw = keep_raw
        self._possible_before = spending.possible
        self._last_beat = (0, 0.0)
        self.error = ""

    def answer(
        self, key: str, sample: Sample, record: Record, answer: Answer, *,
        cost: float | None, seconds: float,
    ) -> None:  # fmt: skip
        """Record a paid answer."""
        rest = {"c": cost, "ms": round(seconds * 1000), "fp": answer.fingerprint}
        self._record(key, sample, record, answer.text, rest)

    def failure(self, key: str, sample: Sample, record: Record, message: str) -> None:
        """Record that a sample is given up without an answer."""
        self._record(key, sample, record, message, {"c": 0.0, "ms": 0, "fp": ""})

    def beat(self, in_flight: int) -> None:
        """Record what is asked and not yet answered, if that has changed: a kill leaves it so."""
        owed = self._spending.reserved + self._spending.possible - self._possible_before
        if (in_flight, owed) != self._last_beat:
            self._last_beat = (in_flight, owed)
            self._append({"hb": round(time.time(), 3), "inflight": in_flight, "usd": owed})

    def sync(self) -> None:
        """Flush to the disk."""
        try:
            self._journal.sync()
        except OSError as error:
            self._failed(error)

    def _record(
        self, key: str, sample: Sample, record: Record, raw: str, rest: dict[str, Any]
    ) -> None:
        entry: dict[str, Any] = {
            "k": key,
            "t": round(time.time(), 3),
            "r": record.ratings,
            "why": record.why,
            "raw": raw[:_RAW_CAP] if self._keep_raw else None,
            "n": sample.requests,
            "u": record.usage,
            "m": record.model,
            **rest,
        }
        if record.chances is not None:
            entry["p"] = [round(chance, 6) for chance in array("f", record.chances)]
        if not record.final:
            entry["more"] = 1
        if record.half:
            entry["half"] = 1
        sample.requests = 0
        self._append(entry)

    def _append(self, entry: dict[str, Any]) -> None:
        try:
            self._journal.append(entry)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        self.error = self.error or (error.strerror or str(error)).lower()
