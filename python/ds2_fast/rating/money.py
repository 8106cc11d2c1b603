"""What a token costs, what was spent, and what may be spent yet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ds2_fast.rating.endpoint import Endpoint
from ds2_fast.rating.transport import Answer

_PER_MILLION = 1e-6
_PRICE_FILE = "model_prices_and_context_window_backup.json"


@dataclass(frozen=True)
class Price:
    """Dollars per token, and who says so.

    Attributes:
        input: per input token.
        output: per output token.
        cached: per input token read from the provider's cache.
        source: where the price comes from, in words.
        batch: per input and per output token through the provider's batch files; None = not said.
    """

    input: float
    output: float
    cached: float
    source: str
    batch: tuple[float, float] | None = None

    @property
    def by_batch(self) -> Price:
        """The price of batch files; this price where the list does not say."""
        if self.batch is None:
            return self
        return Price(*self.batch, self.batch[0], self.source)

    def cost(self, input_tokens: int, output_tokens: int, cached_tokens: int = 0) -> float:
        """Dollars: `(in - cached) p_in + cached p_cached + out p_out`."""
        cached = min(cached_tokens, input_tokens)
        fresh = input_tokens - cached
        return fresh * self.input + cached * self.cached + output_tokens * self.output


def find_price(
    model: str, endpoint: Endpoint, price_in: float | None, price_out: float | None
) -> Price | None:
    """Price of a model: as given, else free on the loopback, else from litellm's bundled list.

    The list is read as a file: litellm is not imported and nothing is fetched. A named endpoint of
    somebody else has no listed price, even under a listed name.

    Args:
        model: litellm name, `provider/model`.
        endpoint: where requests go.
        price_in: dollars per million input tokens.
        price_out: dollars per million output tokens.

    Returns:
        The price; None if nobody says (which is never taken for 0).

    Raises:
        ValueError: if only one of the prices is given, or one is negative or not finite.
    """
    if price_in is not None or price_out is not None:
        if price_in is None or price_out is None:
            raise ValueError("price_in and price_out must be given together")
        for name, value in (("price_in", price_in), ("price_out", price_out)):
            if not 0 <= value < float("inf"):
                raise ValueError(
                    f"{name} must be 0 or more dollars per million tokens, got {value}"
                )
        rates = (price_in * _PER_MILLION, price_out * _PER_MILLION, price_in * _PER_MILLION)
        return Price(*rates, "given")
    if endpoint.loopback:
        return Price(0.0, 0.0, 0.0, "this machine, free")
    if endpoint.api_base is not None and model.startswith(("openai/", "hosted_vllm/")):
        return None
    return _listed(model)


def _listed(model: str) -> Price | None:
    prices, version = _price_list()
    provider, _, rest = model.partition("/")
    entry = prices.get(model)
    if entry is None and rest and prices.get(rest, {}).get("litellm_provider") == provider:
        entry = prices[rest]
    if entry is None:
        return None
    rates = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if not all(isinstance(rate, int | float) for rate in rates):
        return None
    cached = entry.get("cache_read_input_token_cost")
    cached = float(cached) if isinstance(cached, int | float) else float(rates[0])
    batch = entry.get("input_cost_per_token_batches"), entry.get("output_cost_per_token_batches")
    return Price(
        float(rates[0]),
        float(rates[1]),
        cached,
        f"the price list of litellm {version}",
        (float(batch[0]), float(batch[1]))
        if all(isinstance(b, int | float) for b in batch)
        else None,
    )


@lru_cache(maxsize=1)
def _price_list() -> tuple[Mapping[str, Any], str]:
    """Litellm's bundled prices and its version; empty where the file is not where it used to be."""
    spec = find_spec("litellm")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or ():
        file = Path(folder) / _PRICE_FILE
        if file.is_file():
            return json.loads(file.read_text(encoding="utf-8")), metadata.version("litellm")
    return {}, ""


@dataclass
class Spending:
    """The money of a run, in dollars. A cap holds for the whole journal, over all its runs.

    Attributes:
        price: None if unknown; then nothing is counted but tokens.
        cap: `spent + possible + reserved + worst <= cap` for every request; None = no cap.
        spent: paid for answers, stored ones of earlier runs included.
        possible: may have been billed without an answer (deadline, broken connection, killed run).
        reserved: the most the requests in flight can cost.
        input_tokens, output_tokens, cached_tokens: of the answers of this run.
    """

    price: Price | None = None
    cap: float | None = None
    spent: float = 0.0
    possible: float = 0.0
    reserved: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0

    def worst(self, token_bound: int, max_tokens: int) -> float:
        """The most one request can cost: every byte a token, the answer as long as allowed."""
        return self.price.cost(token_bound, max_tokens) if self.price else 0.0

    def fits(self, worst: float) -> bool:
        """Whether a request of this worst case can be sent without a chance to pass the cap."""
        if self.cap is None:
            return True
        return self.spent + self.possible + self.reserved + worst <= self.cap

    def book(
        self, answer: Answer, token_bound: int, max_tokens: int
    ) -> tuple[tuple[int, int, int], float | None]:
        """Count an answer; where the provider tells no usage, at its upper bound.

        Returns:
            Tokens (input, output, cached) and dollars, None if the price is unknown.
        """
        tokens_in = token_bound if answer.input_tokens is None else answer.input_tokens
        tokens_out = max_tokens if answer.output_tokens is None else answer.output_tokens
        self.input_tokens += tokens_in
        self.output_tokens += tokens_out
        self.cached_tokens += answer.cached_tokens
        usage = (tokens_in, tokens_out, answer.cached_tokens)
        if self.price is None:
            return usage, None
        cost = self.price.cost(*usage)
        self.spent += cost
        return usage, cost
