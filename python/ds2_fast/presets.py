"""The three presets: what a run does where the user says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ds2_fast.errors import PoolError

Curation = Literal["bayes", "paper", "reference", "none"]
PresetName = Literal["default", "paper", "reference"]


@dataclass(frozen=True)
class Preset:
    """Defaults of one run.

    Args:
        curation: the curation mode.
        k: neighbors of the long-tail score, and of the consensus counts in `bayes`.
        longtail: definition of the long-tail score.
        selection: order of the dual sort.
        space: the space, where the user names neither one nor embeddings nor a model.
    """

    curation: Curation
    k: int
    longtail: Literal["paper", "reference"]
    selection: PresetName
    space: Literal["auto", "embedding"]


PRESETS: dict[PresetName, Preset] = {
    "default": Preset("bayes", 10, "paper", "default", "auto"),
    "paper": Preset("paper", 10, "paper", "paper", "embedding"),
    "reference": Preset("reference", 10, "reference", "reference", "embedding"),
}

GRAPH_WIDTH = 50
"""Neighbors kept in the graph at least: the evidence is tuned over up to 50 of them."""

MOST_NEIGHBORS = 255
"""Neighbors that can be counted at most: the core counts them in bytes."""

FEWEST_NEIGHBORS = 2
"""Neighbors that are counted at least: consensus is told from a sample and two others."""


def check_neighbors(asked: int | None) -> None:
    """Refuse a number of neighbors that no pool can do with.

    Raises:
        ValueError: if it is outside 2..255.
    """
    if asked is not None and not FEWEST_NEIGHBORS <= asked <= MOST_NEIGHBORS:
        raise ValueError(f"k must lie in {FEWEST_NEIGHBORS}..{MOST_NEIGHBORS}, got {asked}")


def neighbors_counted(asked: int | None, preset: Preset, rows: int) -> int:
    """Decide on k: what was asked for, else the preset's, held to the samples there are.

    Args:
        asked: what the user asked for; None if nothing.
        preset: the preset.
        rows: samples of the pool.

    Raises:
        PoolError: if there are too few samples for it, or for any.
    """
    if rows <= FEWEST_NEIGHBORS:
        raise PoolError(
            f"the pool has {rows} sample{'s'[: rows != 1]}, and each is compared with at least "
            f"{FEWEST_NEIGHBORS} others",
            "there is nothing to choose among so few; add samples",
        )
    if asked is None:
        return min(preset.k, rows - 1)
    if rows <= asked:
        raise PoolError(
            f"the pool has {rows} samples, and {asked} neighbors need at least {asked + 1}",
            f"lower `-k` to {rows - 1} or less, or leave it out",
        )
    return asked
