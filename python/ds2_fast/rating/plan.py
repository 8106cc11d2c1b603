"""What a run would ask and cost, before anything is asked: no network, no key, no litellm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ds2_fast.rating.endpoint import Endpoint
from ds2_fast.rating.jobs import BEYOND_LIMIT, EMPTY, Jobs
from ds2_fast.rating.money import Price
from ds2_fast.rating.stored import Stored
from ds2_fast.rating.tokens import TokenRate, estimate_rate

_CALIBRATION_ANSWERS = 20
_SOLID = 1e-3


@dataclass(frozen=True)
class RatingPlan:
    """What a run would ask. Token and cost figures are estimates.

    Attributes:
        model: the model to be asked.
        endpoint: where.
        prompt: name of the prompt.
        repeats: how often each sample is asked.
        rows: rows to be rated (within the limit).
        duplicates: rows that repeat another row's request; asked once.
        empty: rows without text; never asked.
        truncated: rows too long to go out whole.
        stored: requests whose answer is in the journal already.
        to_rate: requests left: one for each distinct sample and repeat.
        input_tokens: estimate of all input tokens to be bought: by the real usage of stored answers
            if there are 20 or more, else counted on up to 2,000 samples.
        output_tokens: estimate of all output tokens.
        price: dollars per token; None = unknown.
        cost: estimate of the dollars still to be spent; None if the price is unknown.
        spent: dollars spent according to the journal.
        basis: what the estimate is from, in words.
        error: half width of the 95 % interval of the input tokens, as a share; None = not known.
        task: what is done to a sample: `rate`, or that of another kind of answer.
    """

    model: str
    endpoint: str
    prompt: str
    repeats: int
    rows: int
    duplicates: int
    empty: int
    truncated: int
    stored: int
    to_rate: int
    input_tokens: int
    output_tokens: int
    price: Price | None
    cost: float | None
    spent: float
    basis: str
    error: float | None
    task: str = "rate"

    @property
    def batch_cost(self) -> float | None:
        """Dollars through the provider's batch files; None where no price of it is known."""
        if self.price is None or self.price.batch is None:
            return None
        return self.price.by_batch.cost(self.input_tokens, self.output_tokens)

    def minutes(self, rpm: float | None = None, tpm: float | None = None) -> float:
        """Minutes it takes at `rpm` requests and `tpm` tokens a minute; None = no limit."""
        requests = 0.0 if rpm is None else self.to_rate / rpm
        tokens = 0.0 if tpm is None else (self.input_tokens + self.output_tokens) / tpm
        return max(requests, tokens)

    def describe(self, rpm: float | None = None, tpm: float | None = None) -> str:
        """The plan in a few lines for people."""
        each = f" ({self.repeats} for each sample)" if self.repeats > 1 else ""
        what = [f"{self.rows:,} rows", f"{self.to_rate:,} to {self.task}{each}"]
        counts = (
            (self.duplicates, "duplicates"),
            (self.empty, "without text"),
            (self.stored, "stored"),
            (self.truncated, "to be shortened"),
        )
        what += [f"{count:,} {name}" for count, name in counts if count]
        sure = "" if not self.error or self.error < _SOLID else f", ± {self.error:.1%}"
        lines = [
            f"model    {self.model} at {self.endpoint}",
            f"prompt   {self.prompt}",
            f"samples  {', '.join(what)}",
            f"tokens   about {self.input_tokens:,} in, {self.output_tokens:,} out "
            f"(an estimate from {self.basis}{sure})",
            f"cost     {self._cost_line()}",
        ]
        if self.batch_cost is not None and self.task == "rate":
            lines.append(f"batch    about ${self.batch_cost:,.2f} by `ds2-fast rate batch-export`")
        pace = [f"{rpm:,.0f} requests a minute"] if rpm is not None else []
        pace += [f"{tpm:,.0f} tokens a minute"] if tpm is not None else []
        if pace:
            lines.append(f"time     {self.minutes(rpm, tpm):,.1f} minutes at {' and '.join(pace)}")
        return "\n".join(lines)

    def _cost_line(self) -> str:
        spent = f"; ${self.spent:,.2f} spent so far" if self.spent else ""
        if self.price is None or self.cost is None:
            return f"unknown: no price for this model; give --price-in and --price-out{spent}"
        per_million = (
            f"${self.price.input * 1e6:g} in, ${self.price.output * 1e6:g} out per million"
        )
        return f"about ${self.cost:,.2f} ({per_million}; {self.price.source}){spent}"


def make_plan(jobs: Jobs, stored: Stored, endpoint: Endpoint, price: Price | None) -> RatingPlan:
    """Count and estimate.

    Args:
        jobs: the requests of the pool.
        stored: what the journal answers already.
        endpoint: where requests would go.
        price: dollars per token, or None.

    Returns:
        The plan.
    """
    asked = jobs.job_of_row
    known = [(jobs.sizes[job], usage) for job, usage in stored.usage(jobs)]
    rate = measured_rate(known) or estimate_rate(jobs, stored.todo)
    tokens_in = round(
        sum(jobs.sizes[job] for job in stored.todo) * rate.per_byte + len(stored.todo) * rate.frame
    )
    tokens_out = round(rate.output * len(stored.todo))
    return RatingPlan(
        model=jobs.asking.model,
        endpoint=endpoint.shown,
        prompt=jobs.asking.prompt.name,
        repeats=jobs.repeats,
        rows=int((asked != BEYOND_LIMIT).sum()),
        duplicates=int((asked >= 0).sum()) - jobs.samples,
        empty=int((asked == EMPTY).sum()),
        truncated=int(jobs.truncated.sum()),
        stored=len(jobs) - len(stored.todo),
        to_rate=len(stored.todo),
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        price=price,
        cost=None if price is None else price.cost(tokens_in, tokens_out),
        spent=stored.spent(price),
        basis=rate.basis,
        error=rate.error,
        task=jobs.asking.kind.task,
    )


def measured_rate(known: Sequence[tuple[int, tuple[int, int, int]]]) -> TokenRate | None:
    """The rate of stored answers.

    Args:
        known: (bytes of the request, tokens) of each.

    Returns:
        The rate; None below 20 answers.
    """
    if len(known) < _CALIBRATION_ANSWERS:
        return None
    sizes = sum(size for size, _ in known)
    per_byte = sum(usage[0] for _, usage in known) / sizes
    output = sum(usage[1] for _, usage in known) / len(known)
    return TokenRate(per_byte, 0.0, output, None, f"{len(known):,} stored answers")
