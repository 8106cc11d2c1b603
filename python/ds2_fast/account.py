"""What each step of the selection removed or moved: as JSON, and in one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ds2_fast.quotas import Groups
    from ds2_fast.safeguards import Chosen, Safeguards

_LISTED = 12


def make_account(chosen: Chosen, safeguards: Safeguards, groups: Groups | None) -> dict[str, Any]:
    """Write down what each step removed or moved, JSON-able.

    `outliers`: the rows set aside. `duplicates`: how many samples were dropped as near duplicates,
    the rows among them that lost a place among the first n with the row that stands for each, and
    how many samples may have near duplicates that the graph does not show. `groups`: for each group
    how many samples the pool has, how many could be chosen, for how many seats were reserved (null
    without quotas), how many were chosen. `kcenter`: how many candidates there were, how many were
    chosen, and how far the farthest and the last were from all chosen before. What was not asked
    for is null.

    Args:
        chosen: the chosen samples, and what became of the others.
        safeguards: what was asked for.
        groups: the group of every sample, if the pool has groups.
    """
    return {
        "outliers": chosen.ranking.trimmed.tolist(),
        "duplicates": _duplicates(chosen, safeguards),
        "groups": None if groups is None else _groups(chosen, groups),
        "kcenter": _kcenter(chosen, safeguards),
    }


def _duplicates(chosen: Chosen, safeguards: Safeguards) -> dict[str, Any] | None:
    distinct = chosen.distinct
    if distinct is None:
        return None
    # Those ranked before the last of the first n gave up a place.
    place = np.full(len(chosen.ranking.bucket), len(chosen.ranking.order), dtype=np.int64)
    place[chosen.ranking.order] = np.arange(len(chosen.ranking.order))
    last = place[chosen.plain].max(initial=-1)
    above = place[distinct.dropped] < last
    pairs = zip(distinct.dropped[above], distinct.stands_for[above], strict=True)
    return {
        "threshold": safeguards.dedup,
        "dropped": len(distinct.dropped),
        "replaced": [{"row": int(row), "stands_for": int(other)} for row, other in pairs],
        "saturated": distinct.saturated,
    }


def _groups(chosen: Chosen, groups: Groups) -> dict[str, Any]:
    count = len(groups.names)
    pool = np.bincount(groups.codes, minlength=count)
    eligible = np.bincount(groups.codes[chosen.order], minlength=count)
    selected = np.bincount(groups.codes[chosen.order[: chosen.n]], minlength=count)
    wanted = [None] * count if chosen.seats is None else chosen.seats.wanted.tolist()
    return {
        "given_back": 0 if chosen.seats is None else chosen.seats.given_back,
        "shares": [
            {
                "group": name,
                "pool": int(pool[code]),
                "eligible": int(eligible[code]),
                "reserved": wanted[code],
                "selected": int(selected[code]),
            }
            for code, name in enumerate(groups.names)
        ],
    }


def _kcenter(chosen: Chosen, safeguards: Safeguards) -> dict[str, Any] | None:
    if safeguards.fill != "kcenter":
        return None
    distances = [] if chosen.centers is None else chosen.centers.distances.tolist()
    return {
        "candidates": len(chosen.candidates),
        "chosen": len(distances),
        "first_distance": max(distances, default=None),
        "last_distance": distances[-1] if distances else None,
    }


def account_lines(account: dict[str, Any]) -> list[str]:
    """Say what was asked for beyond the ranking, and what came of it.

    Args:
        account: as `make_account` made it.
    """
    lines = []
    if account["duplicates"]:
        lines += _duplicate_lines(account["duplicates"])
    if account["groups"]:
        lines += _group_lines(account["groups"])
    if account["kcenter"]:
        lines.append(_kcenter_line(account["kcenter"]))
    return lines


def _duplicate_lines(found: dict[str, Any]) -> list[str]:
    lines = [
        f"near duplicates (similarity {found['threshold']:g} or more): {found['dropped']:,} in the "
        f"pool, {len(found['replaced']):,} of them in the places of the selection, which went to "
        "the next in rank"
    ]
    if found["saturated"]:
        lines.append(
            f"care: all neighbors of {found['saturated']:,} samples are that near, so the graph "
            "may not show all of their near duplicates"
        )
    return lines


def _group_lines(found: dict[str, Any]) -> list[str]:
    shares = found["shares"]
    chosen = sum(share["selected"] for share in shares)
    if not chosen:
        return []
    pool = sum(share["pool"] for share in shares)
    largest = sorted(shares, key=lambda share: -share["selected"])
    told = [
        f"{share['group']} {share['selected'] / chosen:.1%} (pool {share['pool'] / pool:.1%})"
        for share in largest[:_LISTED]
    ]
    more = [f"and {len(shares) - _LISTED:,} more"] if len(shares) > _LISTED else []
    lines = [f"groups of the selection: {', '.join(told + more)}"]
    if found["given_back"]:
        short = [
            f"{share['group']} ({share['eligible']:,} samples for {share['reserved']:,} seats)"
            for share in shares
            if share["reserved"] is not None and share["reserved"] > share["eligible"]
        ]
        why = ", ".join(short[:_LISTED]) or "the groups that are not in the mix"
        lines.append(
            f"care: {found['given_back']:,} seats went to the best-ranked of all groups, as there "
            f"are too few samples in {why}"
        )
    return lines


def _kcenter_line(found: dict[str, Any]) -> str:
    if not found["chosen"]:
        return "k-center: no bucket was cut, so there was nothing to choose"
    return (
        f"k-center: chose {found['chosen']:,} of the {found['candidates']:,} samples in the bucket "
        f"at the cut; the last is at distance {found['last_distance']:.2f} from all chosen before"
    )
