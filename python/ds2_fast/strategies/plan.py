"""How the parts of a strategy become one: filters, then a scorer, then a set rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.strategies.inputs import Inputs
from ds2_fast.strategies.strategy import Candidates, Strategy

_MOST = 2


@dataclass(frozen=True)
class Plan:
    """A strategy, ready to run.

    Attributes:
        name: as it was asked for: `deita`, `ds2+mmr`, `semdedup+longest`.
        parts: all parts, in the order named.
        filters: parts that say which samples may be chosen.
        scorer: the part that scores.
        rule: the part that chooses.
        called: what files that lie elsewhere by now were called when the run was asked for, by
            their paths; what is written down of the plan keeps those names.
    """

    name: str
    parts: tuple[Strategy, ...]
    filters: tuple[Strategy, ...]
    scorer: Strategy
    rule: Strategy
    called: Mapping[str, str] = field(default_factory=dict)

    @property
    def nested(self) -> bool:
        """Whether the first m of n are what would be chosen for m."""
        return self.rule.nested and not self.narrows

    @property
    def narrows(self) -> bool:
        """Whether the set rule, which does not weigh scores, sees the best scored only."""
        return self.scorer is not self.rule and self.rule.among is not None

    @property
    def random(self) -> bool:
        """Whether the choice depends on the seed."""
        return any(part.random for part in self.parts)

    def files(self) -> list[str]:
        """The files, and folders, that options name."""
        named: list[str] = []
        for part in self.parts:
            if not is_dataclass(part):
                continue
            for each in fields(part):
                value = getattr(part, each.name) if each.metadata.get("file") else None
                named += [value] if isinstance(value, str) else list(value or ())
        return named

    def settings(self) -> dict[str, Any]:
        """The options that are set, each as `part.option`, JSON-able."""
        return {
            f"{part.name}.{name}": list(value) if isinstance(value, tuple) else value
            for part in self.parts
            for name, value in _options(part).items()
            if value is not None and value != ()
        }

    def to_dict(self) -> dict[str, Any]:
        """Name and options of every part, JSON-able."""
        return {
            "name": self.name,
            "parts": [
                {
                    "name": part.name,
                    "options": {
                        name: self._as_called(value) for name, value in _options(part).items()
                    },
                }
                for part in self.parts
            ],
        }

    def _as_called(self, value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, tuple):
            return tuple(self._as_called(each) for each in value)
        return self.called.get(value, value) if isinstance(value, str) else value


@dataclass(frozen=True)
class Outcome:
    """What a strategy made of a pool.

    Attributes:
        rows: uint32, the chosen rows, best first, distinct.
        scores: float64 `(N,)`, NaN where a sample has none.
        kept: bool `(N,)`, whether the filters let a sample through.
        order: uint32, the candidates, best first.
        left: why a candidate was not chosen.
        below: uint32, the candidates that were not looked at: their score is below the cut.
        why_fewer: why there are fewer than were asked for; empty if there are not.
    """

    rows: NDArray[np.uint32]
    scores: NDArray[np.float64]
    kept: NDArray[np.bool_]
    order: NDArray[np.uint32]
    left: str
    below: NDArray[np.uint32]
    why_fewer: str


def assemble(name: str, parts: Sequence[Strategy]) -> Plan:
    """Find scorer and set rule among the parts.

    Parts that are filters and nothing else may stand anywhere. Of the others, one is scorer and set
    rule as far as it is both; of two the first must be a scorer and the second a set rule.

    Args:
        name: as asked for.
        parts: at least one.

    Raises:
        PoolError: they do not make a whole.
    """
    whole = [part for part in parts if part.roles() != ("filter",)] or [Strategy()]
    hint = "name a scorer, then a set rule: `ds2+mmr`; `ds2-fast strategies` says which is which"
    if len(whole) > _MOST:
        raise PoolError(
            f"`{name}` has {len(whole)} parts besides filters, and a strategy has one scorer and "
            "one set rule",
            hint,
        )
    scorer, rule = whole[0], whole[-1]
    if len(whole) == _MOST:
        for part, role in ((scorer, "scorer"), (rule, "rule")):
            if role not in part.roles():
                word = "ranks nothing: it is no scorer" if role == "scorer" else "is no set rule"
                raise PoolError(f"`{part.name}` in `{name}` {word}", hint)
    used = [*(part for part in parts if part.roles() == ("filter",)), *whole]
    filters = tuple(part for part in used if "filter" in part.roles())
    return Plan(name, tuple(parts), filters, scorer, rule)


def run_plan(plan: Plan, inputs: Inputs, n: int) -> Outcome:
    """Let a strategy choose.

    Samples that a filter keeps out, or that have no score, are no candidates. Candidates are ranked
    by (score descending, ties as the scorer breaks them, row ascending); the set rule takes n of
    them, or all that it would, if they are fewer. A set rule that does not weigh scores is shown
    the best `among n` of another part's.

    Args:
        plan: the strategy.
        inputs: the pool.
        n: how many are wanted, at least 1.

    Raises:
        PoolError: something it needs is missing, or there is no candidate at all.
        ValueError: a part gave what it must not: infinite scores, rows twice.
    """
    kept = np.ones(len(inputs), dtype=np.bool_)
    for part in plan.filters:
        kept &= part.keep(inputs)
    scores = np.asarray(plan.scorer.score(inputs), dtype=np.float64)
    if scores.shape != (len(inputs),) or np.isinf(scores).any():
        raise ValueError(
            f"the strategy `{plan.scorer.name}` must give {len(inputs)} scores that are finite or "
            "NaN"
        )
    candidates = _rank(kept & ~np.isnan(scores), scores, plan.scorer.break_ties(inputs))
    if len(candidates) == 0:
        raise _without_candidates(plan, int(kept.sum()), len(inputs))
    wanted = min(n, len(candidates))
    seen = len(candidates)
    if plan.narrows and plan.rule.among is not None:
        seen = min(seen, math.ceil(plan.rule.among * wanted))
    shown = Candidates(candidates.rows[:seen], candidates.scores[:seen])
    picked = plan.rule.choose(inputs, shown, wanted)
    _check(plan.rule, picked.rows, candidates, wanted)
    why = picked.why_fewer or "the set rule took no more"
    if len(picked.rows) == wanted:
        why = f"only {wanted:,} samples can be chosen" if wanted < n else ""
    return Outcome(
        picked.rows.astype(np.uint32, copy=False),
        scores,
        kept,
        candidates.rows,
        picked.left,
        candidates.rows[seen if picked.seen is None else picked.seen :],
        why,
    )


def _without_candidates(plan: Plan, kept: int, rows: int) -> PoolError:
    """Say why there is nothing to choose from, and whose options to look at."""
    why, part = f"all {rows:,} samples are filtered out", plan.filters[-1:]
    if kept:
        besides = f" that are not filtered out, of {rows:,}" if kept < rows else ""
        why, part = (
            f"`{plan.scorer.name}` scores none of the {kept:,} samples{besides}",
            (plan.scorer,),
        )
    return PoolError(
        f"with the strategy `{plan.name}` no sample can be chosen: {why}",
        f"look at its options: `ds2-fast strategies {part[0].name}`",
    )


def _rank(
    eligible: NDArray[np.bool_], scores: NDArray[np.float64], ties: NDArray[np.float64] | None
) -> Candidates:
    rows = np.flatnonzero(eligible)
    keys = [-scores[rows]] if ties is None else [-ties[rows], -scores[rows]]
    rows = rows[np.lexsort(keys)]
    return Candidates(rows.astype(np.uint32), scores[rows])


def _check(rule: Strategy, rows: NDArray[np.uint32], candidates: Candidates, wanted: int) -> None:
    if (
        len(rows) > wanted
        or len(np.unique(rows)) < len(rows)
        or not np.isin(rows, candidates.rows).all()
    ):
        raise ValueError(
            f"the strategy `{rule.name}` must choose at most {wanted} distinct candidates"
        )


def _options(part: Strategy) -> dict[str, Any]:
    if not is_dataclass(part):
        return {}
    return {each.name: getattr(part, each.name) for each in fields(part)}
