"""The engine: asks for the jobs of a run and writes one journal record for every paid answer.

A few workers pull jobs from one iterator, so that a large pool is never a large number of tasks.
Each request passes admission, goes through the transport under the engine's own deadline, and comes
back as an answer or as a `CallError`, whose class decides what follows (see `patience`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator

from ds2_fast.rating.admission import Admission, StoppedError, Ticket
from ds2_fast.rating.answer import FINAL
from ds2_fast.rating.endpoint import hide_sample
from ds2_fast.rating.jobs import Jobs
from ds2_fast.rating.journal import Journal, Record
from ds2_fast.rating.money import Spending
from ds2_fast.rating.patience import Sample, next_try
from ds2_fast.rating.recorder import Recorder
from ds2_fast.rating.render import BYTES_PER_TOKEN
from ds2_fast.rating.rules import Rules, Stop, Tally
from ds2_fast.rating.transport import Answer, CallError, Failure, Transport

DOWN_AFTER = 50
HOPELESS_AFTER = 20
TICK_SECONDS = 1.0
# An answer is some thirty tokens; only the tokens-per-minute bucket asks.
_ANSWER_TOKENS = 32


class Engine:
    """Rates jobs through a transport; one object, one run, inside one event loop.

    Args:
        jobs: the requests of the pool.
        journal: where answers go first.
        spending: what they cost, and the cap.
        rules: the limits of patience.
        ceiling: most requests in flight.
        rpm: requests a minute, None = unknown.
        tpm: tokens a minute, None = unknown.
        clock: seconds, monotonic; the event loop's own.
    """

    def __init__(
        self,
        jobs: Jobs,
        journal: Journal,
        spending: Spending,
        rules: Rules,
        *,
        ceiling: int,
        rpm: float | None = None,
        tpm: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._jobs = jobs
        self._kind = jobs.asking.kind
        self._spending = spending
        self.rules = rules
        self._ceiling = ceiling
        self._recorder = Recorder(journal, spending, rules.keep_raw)
        self._stopped = asyncio.Event()
        self._proven = False
        self._in_a_row = 0
        self._last_answer = self._clock()
        self._last_failure = ("", "")  # the provider's words, and the sample they are about
        self.admission = Admission(
            spending,
            ceiling=ceiling,
            rpm=rpm,
            tpm=tpm,
            on_budget=lambda: self.stop(Stop.BUDGET),
            clock=clock,
        )
        self.tally = Tally()
        self.results: dict[str, Record] = {}
        self.stop_reason: Stop | None = None
        self.stop_message = ""
        self.stop_hint = ""

    async def run(self, todo: list[int], transport: Transport, *, proven: bool) -> None:
        """Rate the jobs `todo`; returns when all are done, or the run has stopped and drained.

        The first job goes out alone unless `proven`: a wrong key, model or address costs one
        request.

        Args:
            todo: indices of jobs.
            transport: one request, one answer.
            proven: whether ratings of this very kind are stored already.

        Raises:
            Exception: whatever the transport raised that is no failure of a provider.
        """
        self._proven = proven
        ticker = asyncio.create_task(self._tick())
        queue = iter(todo)
        try:
            if not proven:
                await self._work(iter([next(queue)] if todo else []), transport)
            crew = [self._work(queue, transport) for _ in range(min(self._ceiling, len(todo)))]
            for outcome in await asyncio.gather(*crew, return_exceptions=True):
                if isinstance(outcome, BaseException):
                    raise outcome
        finally:
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker
            self._recorder.beat(self.admission.in_flight)

    def stop(self, reason: Stop, message: str = "", hint: str = "") -> None:
        """Send nothing more and let what is in flight come back; the first reason is kept."""
        if self.stop_reason is None:
            self.stop_reason, self.stop_message, self.stop_hint = reason, message, hint
            self.admission.close()
            self._stopped.set()

    async def _work(self, queue: Iterator[int], transport: Transport) -> None:
        for job in queue:
            try:
                await self._rate(job, transport)
            except StoppedError:
                return
            except BaseException:
                self.stop(Stop.BUG)
                raise

    async def _rate(self, job: int, transport: Transport) -> None:
        jobs = self._jobs
        sample = Sample(job, jobs.user(job), self.rules.max_tokens, jobs.token_bound(job))
        delay: float | None = 0.0
        while delay is not None:
            await self._sleep(delay)
            worst = self._spending.worst(sample.token_bound, sample.max_tokens or 0)
            guess = int(sample.token_bound / BYTES_PER_TOKEN) + _ANSWER_TOKENS
            ticket = await self.admission.enter(guess, worst)
            if self._stopped.is_set():  # between admission and this task's turn
                self.admission.leave(ticket, answered=False)
                raise StoppedError
            sent = self._clock()
            try:
                answer = await self._ask(sample, transport)
            except CallError as error:
                delay = self._failed(sample, ticket, error)
            else:
                again = self._answered(sample, ticket, answer, self._clock() - sent)
                delay = 0.0 if again else None

    async def _ask(self, sample: Sample, transport: Transport) -> Answer:
        """Make one request; whatever keeps the answer away becomes a `CallError`."""
        again = self._kind.again if sample.reasks else ""
        messages = self._jobs.asking.messages(sample.user + again)
        params = dict(self._jobs.asking.params)
        if sample.max_tokens is not None:
            params["max_tokens"] = sample.max_tokens
        self.tally.requests += 1
        sample.requests += 1
        try:
            async with asyncio.timeout(self.rules.timeout):
                return await transport(messages, params)
        except TimeoutError:
            late = f"no answer within {self.rules.timeout:g} s"
            raise CallError(Failure.DEADLINE, late, billed=True) from None
        except OSError as error:
            broken = error.strerror or type(error).__name__
            raise CallError(Failure.TRANSPORT, broken, billed=True) from None

    async def _sleep(self, seconds: float) -> None:
        """Sleep until the run stops: a stop must wake the sleepers, or the run hangs."""
        if self._stopped.is_set():
            raise StoppedError
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), seconds)
                raise StoppedError

    def _answered(self, sample: Sample, ticket: Ticket, answer: Answer, seconds: float) -> bool:
        """Write an answer down, then count it. Returns whether the sample is asked again."""
        usage, cost = self._spending.book(answer, sample.token_bound, sample.max_tokens or 0)
        prompt = self._jobs.asking.prompt
        ratings, why = self._kind.read(answer, prompt)
        again = why is not None and why not in FINAL and sample.reasks < self.rules.reask
        chances = self._kind.chances(answer, prompt) if ratings is not None else None
        record = Record(ratings, why, not again, sample.half, answer.model, usage, chances)
        key = self._jobs.keys[sample.job]
        self._recorder.answer(key, sample, record, answer, cost=cost, seconds=seconds)
        self._in_a_row = 0
        self._last_answer = self._clock()
        self.admission.learn(answer.headers, ticket, usage[0] + usage[1])
        self.admission.leave(ticket)
        if self._disk_failed():
            return False
        self.tally.answers += 1
        self.tally.fingerprints[answer.fingerprint] += 1
        if not again:
            self._finish(sample, record)
            return False
        sample.reasks += 1
        sample.token_bound += len(self._kind.again)
        if why == "length" and sample.max_tokens is not None:
            sample.max_tokens *= 2
        return True

    def _failed(self, sample: Sample, ticket: Ticket, error: CallError) -> float | None:
        """Count a request without an answer. Returns seconds to the next try, None = no more."""
        kind = error.kind
        self.tally.failures[kind.value] += 1
        self._last_failure = (error.message, sample.user)
        if error.billed:
            self._spending.possible += ticket.worst
        refused = kind is Failure.CAPACITY
        self.admission.leave(ticket, answered=False, refused=refused, retry_after=error.retry_after)
        if kind is Failure.FATAL:
            self.stop(Stop.FATAL, self._said(), error.hint)
            return None
        self._in_a_row = self._in_a_row + 1 if kind in (Failure.TRANSPORT, Failure.DEADLINE) else 0
        if self._in_a_row == DOWN_AFTER:
            self.stop(Stop.DOWN, f"{DOWN_AFTER} requests in a row failed, the last: {self._said()}")
        shortened = sample.half
        delay = next_try(sample, error)
        if sample.half and not shortened:
            sample.user = self._jobs.user(sample.job, share=0.5)
        if delay is None:
            record = Record(None, kind.value, True, sample.half, "", (0, 0, 0))
            self._recorder.failure(self._jobs.keys[sample.job], sample, record, self._said())
            if not self._disk_failed():
                self._finish(sample, record)
        return delay

    def _finish(self, sample: Sample, record: Record) -> None:
        self.results[self._jobs.keys[sample.job]] = record
        if record.ratings is not None:
            self.tally.rated += 1
            return
        self.tally.null += 1
        self.tally.reasons[record.why or ""] += 1
        unheard = self.tally.rated == 0 and not self._proven
        if unheard and self.tally.null == HOPELESS_AFTER:
            reasons = ", ".join(f"{why} {count}" for why, count in self.tally.reasons.most_common())
            failure = f"; the last failure: {self._said()}" if self._said() else ""
            self.stop(
                Stop.HOPELESS,
                f"none of the first {HOPELESS_AFTER} samples could be {self._kind.done} "
                f"({reasons}){failure}",
            )

    def _said(self) -> str:
        """The provider's words on the last failure, without what they repeat of the sample."""
        return hide_sample(*self._last_failure)

    def _disk_failed(self) -> bool:
        """Whether the journal could not be written: then nothing more may be bought."""
        if self._recorder.error:
            self.stop(Stop.DISK, self._recorder.error)
        return bool(self._recorder.error)

    async def _tick(self) -> None:
        """Each second: heartbeat, flush, and a look at the clock."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._recorder.beat(self.admission.in_flight)
            await asyncio.to_thread(self._recorder.sync)
            self._disk_failed()
            if self._clock() - self._last_answer > self.rules.give_up:
                self.stop(
                    Stop.GIVE_UP,
                    f"no answer for {self.rules.give_up:g} s, the last failure: "
                    f"{self._said() or 'none'}",
                )
