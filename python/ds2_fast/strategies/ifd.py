"""Instruction-following difficulty: how little a prompt helps to predict its response."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast.strategies.predictability import HIGHEST, OfLosses
from ds2_fast.strategies.strategy import option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Ifd(OfLosses):
    """The samples whose prompt helps a language model least with the response (IFD).

    `--ratio loss`, that of the script of Cherry LLM: mean token loss of the response given the
    prompt over that of the response alone; above 1 a sample is left out. `--ratio ppl`, that of
    Superfiltering: the same ratio of perplexities, exp of the losses; from 1 on it is left out. The
    highest come first. Cherry LLM measures with a model tuned on a few samples of the pool,
    Superfiltering with GPT-2 as it is.
    """

    name = "ifd"
    source = "Li et al., NAACL 2024, arXiv 2308.12032; Li et al., ACL 2024, arXiv 2402.00530"
    needs = "losses or perplexities, given and alone (columns, or a causal language model)"

    ratio: Literal["loss", "ppl"] = option("loss", "Of what the ratio is.", choices=("loss", "ppl"))

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the ratio, NaN where it is too high."""
        conditioned, direct = self.losses(inputs)
        return difficulty(conditioned, direct, self.ratio)


def difficulty(
    conditioned: NDArray[np.float64], direct: NDArray[np.float64], ratio: str
) -> NDArray[np.float64]:
    """Give the instruction-following difficulty, NaN where it is too high or not defined.

    Args:
        conditioned: float64 `(N,)`, mean token losses of responses given their prompts.
        direct: float64 `(N,)`, the same alone.
        ratio: `loss` divides them, and keeps what is at most 1; `ppl` divides their exponentials,
            and keeps what is below 1.

    Example:
        >>> conditioned, direct = np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
        >>> difficulty(conditioned, direct, "loss").tolist()
        [0.5, 1.0, nan]
        >>> difficulty(conditioned, direct, "ppl").round(2).tolist()
        [0.37, nan, nan]
    """
    if ratio == "ppl":
        found = np.exp(np.minimum(conditioned - direct, HIGHEST))
        return np.where(found < 1, found, np.nan)
    defined = direct > 0
    found = conditioned / np.where(defined, direct, 1.0)
    return np.where(defined & (found <= 1), found, np.nan)
