"""How well a language model predicts responses: from columns, or measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError

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


def pair_of_losses(
    inputs: Inputs,
    strategy: str,
    *,
    conditioned: str | None,
    direct: str | None,
    measure: Measure | None,
    causal_lm: str | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the losses of responses, given their prompts and alone, in nats a token.

    Args:
        inputs: the pool.
        strategy: that needs them, for errors.
        conditioned: column of the response given its prompt; None for a known name.
        direct: column of the response alone; None for a known name.
        measure: what the columns hold; None to tell by their names.
        causal_lm: folder of a language model that measures them; None to take columns.

    Returns:
        Two float64 `(N,)`, NaN where there is none.

    Raises:
        PoolError: there are neither columns nor a model, or a perplexity is not above 0.
    """
    if causal_lm is None:
        for kind in CONDITIONED if measure is None else (measure,):
            first = conditioned or inputs.known_column(CONDITIONED[kind])
            second = direct or inputs.known_column(DIRECT[kind])
            if first is not None and second is not None:
                holds = measure or _told(first, second)
                return (
                    as_losses(inputs, first, holds, "--conditioned-col"),
                    as_losses(inputs, second, holds, "--direct-col"),
                )
    losses = measured_losses(
        inputs,
        causal_lm,
        f"`{strategy}` needs the loss of every response, given its prompt and alone",
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
