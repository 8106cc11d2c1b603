"""How well a language model predicts responses: from columns, or measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.strategies.strategy import Strategy, option

if TYPE_CHECKING:
    from ds2_fast.losses import Losses
    from ds2_fast.strategies.inputs import Inputs

Measure = Literal["loss", "ppl"]

CONDITIONED: dict[Measure, tuple[str, ...]] = {
    "loss": ("loss_conditioned", "loss_A_condition"),
    "ppl": ("ppl_A_condition", "ppl_conditioned"),
}
"""Known names of columns: of the response given its prompt."""

DIRECT: dict[Measure, tuple[str, ...]] = {
    "loss": ("loss_direct", "loss_A_direct"),
    "ppl": ("ppl_A_direct", "ppl_direct"),
}
"""Known names of columns: of the response alone."""

HIGHEST = float(np.log(np.finfo(np.float64).max))


@dataclass(frozen=True)
class OfLosses(Strategy):
    """A strategy on the losses of responses, given their prompts and alone; has their options."""

    conditioned_col: str | None = option(
        None, "Column of the response given its prompt.  [default: a known name]"
    )
    direct_col: str | None = option(None, "Column of the response alone.  [default: a known name]")
    measure: Literal["loss", "ppl"] | None = option(
        None, "What the columns hold.  [default: told by their names]", choices=("loss", "ppl")
    )
    causal_lm: str | None = option(
        None, "Folder of an ONNX causal language model that measures them.", file=True
    )

    def losses(self, inputs: Inputs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the losses of responses, given their prompts and alone, in nats a token.

        Args:
            inputs: the pool.

        Returns:
            Two float64 `(N,)`, NaN where there is none.

        Raises:
            PoolError: there are neither columns nor a model, or a perplexity is not above 0.
        """
        if self.causal_lm is None:
            for kind in CONDITIONED if self.measure is None else (self.measure,):
                first = self.conditioned_col or inputs.known_column(CONDITIONED[kind])
                second = self.direct_col or inputs.known_column(DIRECT[kind])
                if first is not None and second is not None:
                    holds = self.measure or _told(first, second)
                    return (
                        as_losses(inputs, first, holds, "--conditioned-col"),
                        as_losses(inputs, second, holds, "--direct-col"),
                    )
        losses = measured_losses(
            inputs,
            self.causal_lm,
            f"`{self.name}` needs the loss of every response, given its prompt and alone",
            "name columns of losses or perplexities with `--conditioned-col` and `--direct-col`",
        )
        return losses.conditioned, losses.direct


def measured_losses(inputs: Inputs, causal_lm: str | None, needed: str, hint: str) -> Losses:
    """Measure the token losses of all responses, given their prompts and alone; kept in the run.

    Args:
        inputs: the pool.
        causal_lm: folder or ONNX file of a causal language model.
        needed: what is needed, the start of the error where no model is named.
        hint: what else would supply it.

    Raises:
        PoolError: no model is named, or the pool is not split into turns.
        ModelError: the model cannot be opened or run.
    """
    if causal_lm is None:
        raise PoolError(
            f"{needed}, and no column of a known name has it",
            f"{hint}, or an ONNX model that measures it with `--causal-lm FOLDER`",
        )
    from ds2_fast.measuring import open_language_model, pool_losses

    model = open_language_model(causal_lm, threads=inputs.threads, offline=inputs.offline)
    return pool_losses(inputs.line, inputs.pool, model).value


def as_losses(inputs: Inputs, name: str, measure: Measure, option: str) -> NDArray[np.float64]:
    """Read a column of losses, or of perplexities as their logarithm, in nats a token."""
    values = inputs.column(name, option)
    if measure == "loss":
        return values
    wrong = values <= 0
    if wrong.any():
        row = int(np.argmax(wrong))
        raise PoolError(
            f"row {row} of column `{name}` is {values[row]:g}, and a perplexity is above 0",
            f"mend the row, name another column with `{option}`, or say `--measure loss`",
        )
    return np.log(values)


def perplexities(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponentiate losses; what is too large for a float64 is its largest value."""
    found: NDArray[np.float64] = np.exp(np.minimum(losses, HIGHEST))
    return found


def _told(*names: str) -> Measure:
    """Tell what columns hold by their names."""
    words: dict[Measure, tuple[str, ...]] = {"loss": ("loss", "nll"), "ppl": ("ppl", "perplex")}
    fits = [
        kind
        for kind, parts in words.items()
        if all(any(part in name.lower() for part in parts) for name in names)
    ]
    if len(fits) == 1:
        return fits[0]
    raise PoolError(
        f"the names `{'`, `'.join(names)}` do not tell whether they hold losses or perplexities",
        "say `--measure loss` or `--measure ppl`",
    )
