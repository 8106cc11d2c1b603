"""Perplexity: how surprising the response is to a language model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast.strategies.column import ORDERS, oriented
from ds2_fast.strategies.predictability import measured_losses, perplexities
from ds2_fast.strategies.strategy import Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs

COLUMNS = ("ppl", "perplexity", "ppl_A_condition", "ppl_conditioned")
LOSSES = ("loss_conditioned", "loss_A_condition")


@dataclass(frozen=True)
class Perplexity(Strategy):
    """The samples whose response a language model finds most surprising (perplexity).

    The score is the perplexity of the response given its prompt, `exp` of the mean loss of its
    tokens in nats, of a base model that was not tuned on the pool. The baseline of DS2 takes the
    highest; `mid` ranks by closeness to the median.
    """

    name = "perplexity"
    source = "baseline of Pang et al., ICLR 2025, arXiv 2410.10877"
    needs = "perplexities (a column, or a causal language model)"

    order: Literal["high", "low", "mid"] = option(
        "high", "Which values come first.", choices=ORDERS
    )
    ppl_col: str | None = option(None, "Column of perplexities.  [default: a known name]")
    causal_lm: str | None = option(
        None, "Folder of an ONNX causal language model that measures them.", file=True
    )

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the perplexities, turned so that high = wanted."""
        return oriented(self._perplexities(inputs), self.order)

    def _perplexities(self, inputs: Inputs) -> NDArray[np.float64]:
        if self.causal_lm is None:
            name = self.ppl_col or inputs.known_column(COLUMNS)
            if name is not None:
                return inputs.column(name, "--ppl-col")
            name = inputs.known_column(LOSSES)
            if name is not None:
                return perplexities(inputs.column(name, "--ppl-col"))
        losses = measured_losses(
            inputs,
            self.causal_lm,
            "`perplexity` needs the perplexity of every response",
            "name a column of it with `--ppl-col`",
        )
        return perplexities(losses.conditioned)
