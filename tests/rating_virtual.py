"""Runs of the engine on a made clock: minutes of waiting pass in no time, the same each time.

The event loop's clock jumps to the next timer, so nothing ever waits and no processor is measured:
what is left is the engine's decisions against the provider's rules.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ds2_fast.rating.endpoint import open_endpoint
from ds2_fast.rating.engine import Engine
from ds2_fast.rating.jobs import Asking, Jobs, build_jobs
from ds2_fast.rating.journal import Journal, Record
from ds2_fast.rating.limits import retry_after
from ds2_fast.rating.money import Spending
from ds2_fast.rating.prompt import load_prompt
from ds2_fast.rating.rules import Rules
from ds2_fast.rating.transport import Answer, CallError, classify
from rating_provider import REFUSALS, Provider


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Never waits: it moves the clock by as much as it was asked to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.clock += max(0.0, timeout or 0.0)
        return super().select(0.001 if timeout is None else 0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a made clock, from 0 on."""

    def __init__(self) -> None:
        self._made = _Selector()
        super().__init__(self._made)

    def time(self) -> float:
        return self._made.clock


class VirtualProvider(Provider):
    """The provider on a made clock, called as a transport."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def __call__(self, messages: list[dict[str, str]], params: Mapping[str, Any]) -> Answer:
        entry, delay = self.receive(messages, dict(params), "")
        try:
            if entry.kind in ("hang", "slow"):
                await asyncio.sleep(3600)
            # A millisecond of wire each way, as nothing arrives the moment it is sent.
            await asyncio.sleep(delay + 0.002 * random.random())
        finally:
            self.in_flight -= 1
        if entry.kind in REFUSALS:
            status, message, type_, code = REFUSALS[entry.kind]
            headers = {} if entry.retry_after is None else {"retry-after": entry.retry_after}
            kind = classify(status, f"{type_} {code} {message}")
            raise CallError(kind, message, retry_after=retry_after(headers))
        entry.answered, entry.done = True, self.now()
        text, finish = self.text(entry)
        return Answer(text or "", finish, 100, 36, headers=self.headers)


@dataclass
class VirtualRun:
    """What a run came to."""

    jobs: Jobs
    results: Mapping[str, Record]
    seconds: float
    engine: Engine


def rate_virtually(
    provider: Provider,
    count: int,
    journal: Path,
    *,
    ceiling: int = 512,
    seed: int = 0,
    timeout: float = 120.0,
    reask: int = 1,
    give_up: float = 900.0,
    rpm: float | None = None,
) -> VirtualRun:
    """Rate `count` made samples on a made clock."""
    random.seed(seed)
    asking = Asking("m", open_endpoint(None).id, load_prompt("ds2-fast-v1"), {}, 10_000)
    jobs = build_jobs([[("user", f"Question {i}?")] for i in range(count)], asking)
    loop = VirtualLoop()
    with closing(Journal(journal)) as book:
        rules = Rules(timeout, reask, give_up, 128, False)
        engine = Engine(jobs, book, Spending(), rules, ceiling=ceiling, rpm=rpm, clock=loop.time)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(engine.run(list(range(count)), provider, proven=False))
    return VirtualRun(jobs, engine.results, loop.time(), engine)
