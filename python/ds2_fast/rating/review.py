"""A journal looked at again: what it holds, and its answers read once more."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ds2_fast.rating.answer import parse_rating
from ds2_fast.rating.header import Header, read_entries, reopen
from ds2_fast.rating.journal import Journal, load_journal

# Reasons that lie in the text of the answer; a better reader may find ratings there.
_OF_TEXT = frozenset(
    {"empty", "no_json", "bad_json", "missing_key", "not_a_number", "out_of_range", "ambiguous",
     "refusal"}
)  # fmt: skip


@dataclass
class RunStatus:
    """What one way of asking has brought so far.

    Attributes:
        header: how it asks.
        rated: samples (and repeats) with ratings.
        reasons: those without, by reason.
        chances: those with probabilities of tokens.
        requests: requests that were made.
        tokens: input, output, cached.
        cost: dollars; None if a price is unknown.
        first, last: when, in seconds since the epoch.
    """

    header: Header
    rated: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    chances: int = 0
    requests: int = 0
    tokens: tuple[int, int, int] = (0, 0, 0)
    cost: float | None = 0.0
    first: float = 0.0
    last: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "id": self.header.id,
            "model": self.header.asking.model,
            "endpoint": self.header.endpoint,
            "prompt": self.header.asking.prompt.name,
            "repeats": self.header.repeats,
            "rated": self.rated,
            "null": self.reasons.total(),
            "reasons": dict(self.reasons.most_common()),
            "with_probabilities": self.chances,
            "requests": self.requests,
            "tokens": dict(zip(("input", "output", "cached"), self.tokens, strict=True)),
            "cost": self.cost,
            "first": self.first,
            "last": self.last,
        }


def read_status(journal_path: Path) -> tuple[list[RunStatus], dict[str, Any]]:
    """Sum up a journal.

    Returns:
        One entry for each way of asking, in order, and what holds for all of it: `possible` dollars
        without an answer, `in_flight` requests at a kill, `unreadable` lines.

    Raises:
        OSError: if it cannot be read.
    """
    found: dict[str, RunStatus] = {}
    last: dict[str, tuple[str, str | None]] = {}
    for header, entry in read_entries(journal_path):
        if header is None:
            continue
        status = found.setdefault(header.id, RunStatus(header, first=entry["t"]))
        a, b, c = status.tokens
        used = entry["u"]
        status.tokens = (a + used[0], b + used[1], c + used[2])
        status.requests += entry["n"]
        cost = entry["c"]
        status.cost = None if cost is None or status.cost is None else status.cost + cost
        status.last = entry["t"]
        known = last.get(entry["k"])
        if entry["r"] is not None or known is None or known[1] is not None:
            last[entry["k"]] = (header.id, None if entry["r"] is not None else entry["why"])
            status.chances += bool(entry.get("p"))
    for run, why in last.values():
        if why is None:
            found[run].rated += 1
        else:
            found[run].reasons[why] += 1
    loaded = load_journal(journal_path)
    whole = {
        "possible": loaded.possible,
        "in_flight": loaded.in_flight,
        "unreadable": loaded.unreadable,
    }
    return list(found.values()), whole


def reparse(journal_path: Path) -> Counter[str]:
    """Read the stored texts of answers without ratings again; hold the journal's lock.

    What can be read now gets a record of its own, at no cost. Nothing is asked. Ratings are never
    touched, and an answer that was cut stays unread, whatever it holds.

    Args:
        journal_path: the journal.

    Returns:
        `rated`: answers that have ratings now; `unreadable`: those that still have none;
        `no text`: those stored without their text.

    Raises:
        OSError: if the journal cannot be read or written.
    """
    nulls: dict[str, tuple[Header, dict[str, Any]]] = {}
    for header, entry in read_entries(journal_path):
        if entry["r"] is not None:
            nulls.pop(entry["k"], None)
        elif header is not None and entry["why"] in _OF_TEXT:
            nulls[entry["k"]] = (header, entry)
    rated = {k for k, r in load_journal(journal_path).records.items() if r.ratings is not None}
    done: Counter[str] = Counter()
    current = ""
    with closing(Journal(journal_path)) as journal:
        for key, (header, entry) in nulls.items():
            if key in rated:
                continue
            if entry["raw"] is None:
                done["no text"] += 1
                continue
            ratings, _ = parse_rating(entry["raw"], header.asking.prompt)
            if ratings is None:
                done["unreadable"] += 1
                continue
            if header.id != current:
                current = header.id
                reopen(journal, header)
            free = {"r": ratings, "why": None, "n": 0, "u": [0, 0, 0], "c": 0.0}
            again = {name: value for name, value in entry.items() if name not in ("v", "more")}
            journal.append({**again, **free})
            done["rated"] += 1
    return done
