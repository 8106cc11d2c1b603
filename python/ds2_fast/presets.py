"""The three presets: what a run does where the user says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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
    """

    curation: Curation
    k: int
    longtail: Literal["paper", "reference"]
    selection: PresetName


PRESETS: dict[PresetName, Preset] = {
    "default": Preset("bayes", 10, "paper", "default"),
    "paper": Preset("paper", 10, "paper", "paper"),
    "reference": Preset("reference", 10, "reference", "reference"),
}

GRAPH_WIDTH = 50
"""Neighbors kept in the graph at least: the evidence is tuned over up to 50 of them."""

MOST_NEIGHBORS = 255
"""Neighbors that can be counted at most: the core counts them in bytes."""
