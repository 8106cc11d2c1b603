"""What a strategy is: a filter, a scorer or a set rule, or several of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ds2_fast.strategies.inputs import Inputs

Role = Literal["filter", "scorer", "rule"]
BELOW = "score below the cut"
"""Why a candidate was left that a set rule did not look at."""
AT = "score at the cut, behind equal ones"
"""The same, of a candidate whose score is that of the last one chosen."""


@dataclass(frozen=True)
class Candidates:
    """The samples a set rule chooses from.

    Attributes:
        rows: uint32 `(m,)`, best score first, ties as the scorer breaks them, then by row.
        scores: float64 `(m,)`, their scores, finite, descending; high = wanted.
    """

    rows: NDArray[np.uint32]
    scores: NDArray[np.float64]

    def __len__(self) -> int:
        """Count them."""
        return len(self.rows)


@dataclass(frozen=True)
class Picked:
    """What a set rule chose.

    Attributes:
        rows: uint32, distinct rows of the candidates, best first, at most n.
        left: why a candidate was not chosen, in a few words: the reason in the score sheet.
        why_fewer: why there are fewer than n, in one clause; empty if there are n.
        seen: how many candidates were looked at, from the best down; the others were left because
            their score is below the cut. None = all.
    """

    rows: NDArray[np.uint32]
    left: str = "not chosen"
    why_fewer: str = ""
    seen: int | None = None


class Strategy:
    """One way to select, or a part of one.

    A subclass is a frozen dataclass in a module of its own. Its docstring opens with one line for
    the table of strategies and goes on with formula, inputs and differences from its source; its
    fields are its options, made with `option`. It overrides one or more of

    - `keep` (a filter): which samples may be chosen at all,
    - `score` (a scorer): how much each sample is wanted, with `break_ties` among equals,
    - `choose` (a set rule): which n of the candidates are taken.

    What is not overridden is: keep all; all alike; the best first. In `a+b`, the scorer is that of
    `a`, the set rule that of `b`; parts that are filters only may stand anywhere.

    Attributes:
        name: by which `--strategy` knows it.
        source: where it was published.
        needs: what of a pool it looks at, in words.
        nested: whether the first m of n are what it would choose for m.
        random: whether the choice depends on the seed.
        among: of a set rule that does not weigh scores: among how many times n of the best scored
            it chooses, if another part has scored them; None for a rule that weighs them.
    """

    name: ClassVar[str]
    source: ClassVar[str] = ""
    needs: ClassVar[str] = "nothing but the samples"
    nested: ClassVar[bool] = True
    random: ClassVar[bool] = False
    among: float | None = None

    def keep(self, inputs: Inputs) -> NDArray[np.bool_]:
        """Say which samples may be chosen, bool `(N,)`."""
        return np.ones(len(inputs), dtype=np.bool_)

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Score the samples, float64 `(N,)`: high = wanted, NaN = cannot be chosen."""
        return np.zeros(len(inputs))

    def break_ties(self, inputs: Inputs) -> NDArray[np.float64] | None:
        """Say who comes first among equal scores, float64 `(N,)`, high first; None = by row."""
        return None

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Choose `n` of the candidates, of which there are as many at least."""
        return Picked(candidates.rows[:n], BELOW)

    @classmethod
    def roles(cls) -> tuple[Role, ...]:
        """Which parts it brings; none of them is the plain order of the rows."""
        methods: dict[Role, str] = {"filter": "keep", "scorer": "score", "rule": "choose"}
        return tuple(
            role
            for role, method in methods.items()
            if getattr(cls, method) is not getattr(Strategy, method)
        )


def among() -> Any:  # noqa: ANN401
    """Make the field `among` of a set rule that does not weigh scores."""
    return option(
        5.0, "After a scorer: how many times n of the best scored it chooses among.", least=1
    )


def option(
    default: Any,  # noqa: ANN401
    text: str,
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    choices: Sequence[str] | None = None,
    file: bool = False,
) -> Any:  # noqa: ANN401
    """Make a field of a strategy that is also an option of the command line.

    The field `tags_col` is the option `--tags-col`; its type is that of the annotation: `float`,
    `int`, `str`, `bool`, one of these or None, or a tuple of text (an option that can be repeated).

    Args:
        default: its default.
        text: what it is, with its unit, for help; one sentence.
        least: the lowest value.
        most: the highest value.
        above: a value it must exceed.
        choices: the values there are.
        file: whether it names a file.
    """
    limits = {"text": text, "least": least, "most": most, "above": above, "choices": choices}
    return field(default=default, metadata={**limits, "file": file})
