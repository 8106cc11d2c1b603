"""What a journal answers of a pool already, and what is left to ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ds2_fast.rating.jobs import Asking, Jobs
from ds2_fast.rating.journal import Loaded, Record
from ds2_fast.rating.money import Price

# Reasons without an answer: nothing was bought and nothing is known, so a later run simply tries
# again.
_UNANSWERED = frozenset({"transport", "deadline"})


@dataclass
class Stored:
    """The part of a run that needs no request.

    Attributes:
        loaded: the journal.
        results: record by key, of this pool's samples.
        todo: indices of the jobs left to ask, in order.
    """

    loaded: Loaded
    results: dict[str, Record] = field(default_factory=dict)
    todo: list[int] = field(default_factory=list)

    @property
    def proven(self) -> bool:
        """Whether there are ratings from this model, prompt and endpoint: the set-up works."""
        return any(record.ratings is not None for record in self.results.values())

    def spent(self, price: Price | None) -> float:
        """Dollars of all answers in the journal; those stored without a price at today's."""
        unpriced = price.cost(*self.loaded.unpriced) if price else 0.0
        return self.loaded.cost + unpriced

    def usage(self, jobs: Jobs) -> Iterator[tuple[int, tuple[int, int, int]]]:
        """(job, tokens) of each stored answer that was asked for at full length."""
        for job, key in enumerate(jobs.keys):
            record = self.results.get(key)
            if record is not None and record.usage[0] > 0 and not record.half:
                yield job, record.usage


def find_stored(
    jobs: Jobs, loaded: Loaded, *, retry_null: bool = False, need_chances: bool = False
) -> Stored:
    """Split the jobs of a pool into answered ones and those left to ask.

    A null is kept, unless `retry_null`, if the model gave an answer; where no answer came (broken
    connection, deadline) it is asked again.

    Args:
        jobs: the requests of the pool.
        loaded: the journal.
        retry_null: ask again for every null.
        need_chances: ask again where the provider was not asked for probabilities, or gave none.

    Returns:
        The split.
    """
    stored = Stored(loaded)
    for job, key in enumerate(jobs.keys):
        record = loaded.records.get(key)
        if record is not None and _keep(record, jobs.asking, retry_null, need_chances):
            stored.results[key] = record
        else:
            stored.todo.append(job)
    return stored


def _keep(record: Record, asking: Asking, retry_null: bool, need_chances: bool) -> bool:
    if record.ratings is not None:
        if need_chances and record.chances is None:
            return False
        # A file can be edited: what the parser could not have returned are asked for again.
        return asking.kind.holds(record.ratings, asking.prompt)
    return record.final and not retry_null and record.why not in _UNANSWERED
