"""What a run would ask and cost, before anything is asked: no network, no key, no litellm."""

from __future__ import annotations

from dataclasses import dataclass

from ds2_fast.rating.endpoint import Endpoint
from ds2_fast.rating.jobs import BEYOND_LIMIT, EMPTY, Jobs
from ds2_fast.rating.money import Price
from ds2_fast.rating.render import BYTES_PER_TOKEN
from ds2_fast.rating.stored import Stored

# Four numbers and their names in JSON; models that indent or fence take a little more.
_OUTPUT_TOKENS = 40.0
_CALIBRATION_ANSWERS = 20


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
        input_tokens: estimate of all input tokens to be bought: bytes / 3.6, corrected by the real
            usage of stored answers if there are 20 or more.
        output_tokens: estimate of all output tokens.
        price: dollars per token; None = unknown.
        cost: estimate of the dollars still to be spent; None if the price is unknown.
        spent: dollars spent according to the journal.
        calibrated: whether stored answers corrected the estimate.
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
    calibrated: bool

    def minutes(self, rpm: float) -> float:
        """Minutes the requests take at `rpm` requests a minute."""
        return self.to_rate / rpm

    def describe(self, rpm: float | None = None) -> str:
        """The plan in a few lines for people."""
        each = f" ({self.repeats} for each sample)" if self.repeats > 1 else ""
        what = [f"{self.rows:,} rows", f"{self.to_rate:,} to rate{each}"]
        counts = (
            (self.duplicates, "duplicates"),
            (self.empty, "without text"),
            (self.stored, "stored"),
            (self.truncated, "to be shortened"),
        )
        what += [f"{count:,} {name}" for count, name in counts if count]
        basis = "stored answers" if self.calibrated else f"{BYTES_PER_TOKEN} bytes a token"
        lines = [
            f"model    {self.model} at {self.endpoint}",
            f"prompt   {self.prompt}",
            f"samples  {', '.join(what)}",
            f"tokens   about {self.input_tokens:,} in, {self.output_tokens:,} out "
            f"(an estimate from {basis})",
            f"cost     {self._cost_line()}",
        ]
        if rpm is not None:
            lines.append(f"time     {self.minutes(rpm):,.1f} minutes at {rpm:,g} requests a minute")
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
    real_in, real_out, factor = 0.0, _OUTPUT_TOKENS, 1.0
    known = [(jobs.sizes[job], usage) for job, usage in stored.usage(jobs)]
    calibrated = len(known) >= _CALIBRATION_ANSWERS
    if calibrated:
        real_in = sum(usage[0] for _, usage in known)
        factor = real_in / (sum(size for size, _ in known) / BYTES_PER_TOKEN)
        real_out = sum(usage[1] for _, usage in known) / len(known)
    tokens_in = round(sum(jobs.sizes[job] for job in stored.todo) / BYTES_PER_TOKEN * factor)
    tokens_out = round(real_out * len(stored.todo))
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
        calibrated=calibrated,
    )
