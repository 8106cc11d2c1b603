"""Asking a server for the log-probabilities of a pool's texts, at its pace."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ds2_fast.errors import ModelError
from ds2_fast.losses.echo import DIALECTS, Dialect, Echo, find_border, weigh
from ds2_fast.losses.exchange import Exchange
from ds2_fast.losses.keeping import Keep
from ds2_fast.losses.result import EMPTY, REFUSED, make_losses
from ds2_fast.rating.admission import Admission, StoppedError
from ds2_fast.rating.endpoint import hide_sample
from ds2_fast.rating.money import Spending
from ds2_fast.rating.patience import Sample, next_try
from ds2_fast.rating.rules import Stop
from ds2_fast.rating.transport import CallError, Failure
from ds2_fast.rating.transport_direct import Post

DOWN_AFTER = 50
"""Requests that may fail in a row before the server is held to be down."""

_PROBE = "The sky is blue today."
_CHARACTERS_PER_TOKEN = 4
_OF_TEXT = (Failure.REJECTED, Failure.CONTEXT, Failure.FILTERED)
_HINT = (
    "chat APIs cannot tell them; serve the model with text completions that echo the prompt "
    "(`/v1/completions` of vLLM or llama-cpp-python), or name an ONNX model with `--causal-lm`"
)


@dataclass(frozen=True)
class Limits:
    """How a server is asked.

    Attributes:
        concurrency: most requests in flight.
        rpm: requests a minute; None = as the server says, if it does.
        timeout: seconds a request may take.
        give_up: seconds without any answer before the run stops.
    """

    concurrency: int = 64
    rpm: float | None = None
    timeout: float = 120.0
    give_up: float = 600.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name, value in vars(self).items():
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be positive, got {value}")


class Asking:
    """One run over the samples of a pool, inside one event loop.

    A few workers pull samples from one iterator. Each request passes the admission of ratings,
    which finds the pace the server takes, and is tried again by the rules of ratings (`patience`).

    Args:
        model: name of the model as the server knows it.
        shown: what messages call the server.
        max_tokens: tokens counted of prompt and response.
        exchanges: the samples.
        keep: is given each row and its losses; may raise to stop the run.
        limits: how the server is asked.

    Attributes:
        done: samples that are through.
        lost: samples that got no answer.
        stop_reason: why the run ended before its last sample; None if it did not.
        said: the server's last words on a failure.
        hint: what mends it.
    """

    def __init__(
        self,
        model: str,
        shown: str,
        max_tokens: int,
        exchanges: Sequence[Exchange],
        *,
        keep: Keep,
        limits: Limits,
    ) -> None:
        self._model = model
        self._shown = shown
        self._max_tokens = max_tokens
        self._exchanges = exchanges
        self._keep = keep
        self._limits = limits
        self._admission = Admission(Spending(), ceiling=limits.concurrency, rpm=limits.rpm)
        self._stopped = asyncio.Event()
        self._in_a_row = 0
        self._last_answer = time.monotonic()
        self.done = self.lost = 0
        self.stop_reason: Stop | None = None
        self.said = self.hint = ""

    async def run(self, rows: Sequence[int], post: Post) -> None:
        """Measure rows; returns when all are through, or the run has stopped and drained.

        Raises:
            ModelError: the server does not tell log-probabilities of a prompt.
            Exception: whatever `keep` raised.
        """
        dialect = await self._find_dialect(post)
        queue = iter(rows)
        crew = [
            self._work(queue, post, dialect)
            for _ in range(min(self._limits.concurrency, len(rows)))
        ]
        for outcome in await asyncio.gather(*crew, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    def stop(self, reason: Stop) -> None:
        """Begin no sample; but for an interruption, also send nothing more."""
        if self.stop_reason is None:
            self.stop_reason = reason
            if reason is not Stop.INTERRUPTED:
                self._admission.close()
            self._stopped.set()

    async def _find_dialect(self, post: Post) -> Dialect:
        """Ask for the log-probabilities of one sentence in every way there is."""
        said = ""
        for dialect in DIALECTS:
            try:
                await self._send(post, dialect, _PROBE)
            except CallError as error:
                said = error.message
                if error.kind is Failure.FATAL and error.hint and not said.startswith("404"):
                    raise ModelError(f"{self._shown} refuses: {said}", error.hint) from None
            else:
                return dialect
        raise ModelError(
            f"cannot get the log-probabilities of a prompt from {self._shown}: {said}", _HINT
        )

    async def _work(self, queue: Iterator[int], post: Post, dialect: Dialect) -> None:
        for row in queue:
            if self.stop_reason is not None:
                return
            try:
                found = await self._measure(self._exchanges[row], post, dialect)
                self._keep(row, make_losses([found]))
            except StoppedError:
                return
            except CallError:
                self.lost += 1
            except BaseException:
                self.stop(Stop.BUG)
                raise
            self.done += 1

    async def _measure(
        self, exchange: Exchange, post: Post, dialect: Dialect
    ) -> tuple[float, float, int, str]:
        """Measure one sample, with two requests or three."""
        if not exchange.response:
            return math.nan, math.nan, 0, EMPTY
        try:
            conditioned = await self._echo(post, dialect, exchange.before, exchange.response)
            direct = await self._echo(post, dialect, exchange.alone, exchange.response)
        except CallError as error:
            if error.kind in _OF_TEXT:
                return math.nan, math.nan, 0, REFUSED
            raise
        return weigh(conditioned, direct, self._max_tokens)

    async def _echo(
        self, post: Post, dialect: Dialect, before: str, response: str
    ) -> tuple[Echo, int]:
        """The tokens of both texts, and how many of them are before the response."""
        text = before + response
        echo = await self._ask(post, dialect, text)
        found = find_border(echo, text, len(before))
        if found is None:
            # No text needs a request; a special token at the head is never counted anyway.
            found = len((await self._ask(post, dialect, before)).tokens) if before else 0
        return echo, found

    async def _ask(self, post: Post, dialect: Dialect, text: str) -> Echo:
        """Ask for one text, again and again by the class of failure."""
        sample = Sample(0, text, None, 0, half=True)  # no text is sent at half its length
        while True:
            try:
                return await self._send(post, dialect, text)
            except CallError as error:
                self._failed(error, text)
                delay = next_try(sample, error)
                if delay is None:
                    raise
            await self._sleep(delay)

    async def _send(self, post: Post, dialect: Dialect, text: str) -> Echo:
        """Make one request; whatever keeps the answer away becomes a `CallError`."""
        ticket = await self._admission.enter(len(text) // _CHARACTERS_PER_TOKEN, 0.0)
        try:
            async with asyncio.timeout(self._limits.timeout):
                body, headers = await post(dialect.request(self._model, text))
            echo = _read(dialect, body)
        except (CallError, OSError) as failure:
            error = _as_call_error(failure, self._limits.timeout)
            self._admission.leave(
                ticket,
                answered=False,
                refused=error.kind is Failure.CAPACITY,
                retry_after=error.retry_after,
            )
            raise error from None
        self._admission.learn(headers, ticket, len(echo.tokens))
        self._admission.leave(ticket)
        self._in_a_row = 0
        self._last_answer = time.monotonic()
        return echo

    def _failed(self, error: CallError, text: str) -> None:
        """Count a request without an answer; too many end the run."""
        self.said = hide_sample(error.message, text)
        broken = error.kind in (Failure.TRANSPORT, Failure.DEADLINE)
        self._in_a_row = self._in_a_row + 1 if broken else 0
        if error.kind is Failure.FATAL:
            self.hint = error.hint
            self.stop(Stop.FATAL)
        elif self._in_a_row >= DOWN_AFTER:
            self.stop(Stop.DOWN)
        elif time.monotonic() - self._last_answer > self._limits.give_up:
            self.stop(Stop.GIVE_UP)

    async def _sleep(self, seconds: float) -> None:
        """Sleep until the run stops."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), seconds)
                raise StoppedError


def _read(dialect: Dialect, body: bytes) -> Echo:
    echo = dialect.read(body)
    if echo is None:
        missing = "its answer does not hold a log-probability for each token of the prompt"
        raise CallError(Failure.TRANSPORT, missing, billed=True)
    return echo


def _as_call_error(failure: CallError | OSError, timeout: float) -> CallError:
    if isinstance(failure, CallError):
        return failure
    if isinstance(failure, TimeoutError):
        return CallError(Failure.DEADLINE, f"no answer within {timeout:g} s", billed=True)
    return CallError(Failure.TRANSPORT, failure.strerror or type(failure).__name__, billed=True)
