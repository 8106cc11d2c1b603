"""The trust check in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ds2_fast.verdict import ASSUMED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ds2_fast.trust import Trust


def tell_trust(trust: Trust) -> tuple[str, ...]:
    """Say what neighbors know, what was done with it, what speaks against it, what would help.

    Args:
        trust: the finished check.

    Returns:
        Lines without a period.
    """
    return (
        *_tell_information(trust),
        *_tell_agreement(trust),
        *_tell_diagonal(trust),
        *_tell_curation(trust),
        # Why nothing was changed has just been said.
        *(f"care: {reason}" for reason in trust.reasons if reason != trust.switched_off),
        *(f"to move up: {advice}" for advice in trust.advice),
    )


def _tell_information(trust: Trust) -> Iterator[str]:
    if math.isnan(trust.neighbor_information):
        return
    yield (
        f"neighbors know {trust.neighbor_information:.3f} nats about a rating; about the same "
        f"ratings shuffled {trust.information_shuffled:.3f} at most (p = {trust.p_value:.2f})"
    )


def _tell_agreement(trust: Trust) -> Iterator[str]:
    for part, text in (
        (trust.bins[0], "closest 1 % of pairs"),
        (trust.bins[-1], "farthest half of pairs"),
    ):
        if part.pairs:
            yield (f"the {text} agree on {part.agreement:.0%} of scores, chance {part.chance:.0%}")


def _tell_diagonal(trust: Trust) -> Iterator[str]:
    low, high = trust.noise_share_bound
    # 0..1 says that nothing is known: no disagreement, or too few samples.
    if math.isnan(trust.diagonal) or (low, high) == (0.0, 1.0):
        return
    figures = (
        f"the diagonal of T is {trust.diagonal_close:.2f} among the closest fifth, "
        f"{trust.diagonal:.2f} among all"
    )
    if high < 1:
        yield f"{figures}: at most {low:.0%} to {high:.0%} of the disagreement is rater noise"
    else:
        yield f"{figures}: no clear rise, so all of the disagreement can be rater noise"


def _tell_curation(trust: Trust) -> Iterator[str]:
    if trust.noise_share is not None:
        option = " (`--noise-share`)" if trust.noise_share_origin == ASSUMED else ""
        yield (
            f"{trust.noise_share:.0%} of the disagreement is taken for rater noise: "
            f"{trust.noise_share_origin}{option}"
        )
    if trust.switched_off is not None:
        yield f"no score was changed: {trust.switched_off}"
    else:
        yield f"{trust.share_changed:.1%} of the scores were changed"
