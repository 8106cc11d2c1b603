"""The opening line of a run in the journal: all it takes to know later what was asked, and how.

    {"v":1,"run":{"t":seconds,"pid":n,"ds2_fast":version,"model":...,"endpoint":...,
                  "endpoint_id":...,"prompt":{...},"prompt_hash":...,"params":{...},"max_bytes":n,
                  "repeats":n,"limit":n|null,"price":[in,out,cached]|null,"rows":n,"to_rate":n}}

An answer belongs to the last run opened before it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast.rating.jobs import Asking
from ds2_fast.rating.journal import VERSION, Journal
from ds2_fast.rating.money import Price
from ds2_fast.rating.plan import RatingPlan
from ds2_fast.rating.prompt import Prompt

if TYPE_CHECKING:
    from ds2_fast.rating.run import Setup


@dataclass(frozen=True)
class Header:
    """How a run asked.

    Attributes:
        asking: all that shapes its requests.
        endpoint: where it asked, as it may be shown.
        repeats: how often each sample.
        limit: how many rows of the pool; None = all.
        price: dollars per token; None = unknown.
        started: seconds since the epoch.
        entry: the `run` object as it is written.
    """

    asking: Asking
    endpoint: str
    repeats: int
    limit: int | None
    price: Price | None
    started: float
    entry: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """Eight hex digits for what decides a rating besides the sample."""
        asking = self.asking
        shape = [asking.model, asking.endpoint, asking.prompt.digest, dict(asking.params)]
        text = json.dumps([*shape, asking.max_bytes, asking.prompt.classes], sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def reopen(journal: Journal, header: Header) -> None:
    """Open a run of before once more: the answers that follow belong to it.

    Raises:
        OSError: if the journal cannot be written.
    """
    now = {"t": round(time.time(), 3), "pid": os.getpid(), "to_rate": 0}
    journal.append({"run": {**header.entry, **now}})


def write_header(journal: Journal, setup: Setup, plan: RatingPlan, price: Price | None) -> Header:
    """Open a run in the journal.

    Args:
        journal: the open journal.
        setup: what is asked.
        plan: how much of it.
        price: what a token costs in this run.

    Raises:
        OSError: if the journal cannot be written.
    """
    asking = setup.asking
    entry = {
        "t": round(time.time(), 3),
        "pid": os.getpid(),
        "ds2_fast": metadata.version("ds2-fast"),
        "model": asking.model,
        "endpoint": setup.endpoint.shown,
        "endpoint_id": asking.endpoint,
        "prompt": dataclasses.asdict(asking.prompt),
        "prompt_hash": asking.prompt.digest,
        "params": dict(asking.params),
        "max_bytes": asking.max_bytes,
        "repeats": setup.repeats,
        "limit": setup.limit,
        "price": None if price is None else [price.input, price.output, price.cached],
        "rows": plan.rows,
        "to_rate": plan.to_rate,
    }
    journal.append({"run": entry})
    return read_header(entry)


def read_header(entry: Mapping[str, Any]) -> Header:
    """Read the `run` object of an opening line.

    Raises:
        KeyError, TypeError, ValueError: if it is damaged, or older than what it takes.
    """
    table = dict(entry["prompt"])
    for name in ("criteria", "scale"):
        table[name] = tuple(table[name])
    table["classes"] = tuple(tuple(pair) for pair in table["classes"])
    asking = Asking(
        entry["model"], entry["endpoint_id"], Prompt(**table), entry["params"], entry["max_bytes"]
    )
    price = entry["price"]
    return Header(
        asking,
        entry["endpoint"],
        entry["repeats"],
        entry["limit"],
        None if price is None else Price(price[0], price[1], price[2], "the journal"),
        entry["t"],
        entry,
    )


def read_entries(path: Path) -> Iterator[tuple[Header | None, dict[str, Any]]]:
    """Every answer in a journal, with the run it belongs to; damaged lines are left out.

    Args:
        path: the journal.

    Yields:
        The header, None before the first readable one, and the record as it is written.

    Raises:
        OSError: if it cannot be read.
    """
    header: Header | None = None
    with path.open("rb") as file:
        for line in file:
            try:
                entry = json.loads(line)
                if entry["v"] != VERSION:
                    continue
                if "run" in entry:
                    header = None
                    header = read_header(entry["run"])
                elif "k" in entry:
                    yield header, entry
            except (ValueError, KeyError, TypeError, AttributeError):
                continue


def find_headers(path: Path) -> dict[str, Header]:
    """The runs of a journal by their id, in the order they were first opened; the last one counts.

    Raises:
        OSError: if it cannot be read.
    """
    found: dict[str, Header] = {}
    with path.open("rb") as file:
        for line in file:
            if b'"run":' not in line:
                continue
            try:
                header = read_header(json.loads(line)["run"])
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            found[header.id] = header
    return found
