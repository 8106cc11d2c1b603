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

REFERENCE_WIDTH = 128
"""Neighbors that `reference` needs above `REFERENCE_LARGE` rows: its random samples are thin."""

REFERENCE_LARGE = 100_000


def graph_width(curation: str, k: int, rows: int) -> int:
    """Say how many neighbors the graph holds: enough for every stage, at most `rows - 1`."""
    wanted = REFERENCE_WIDTH if curation == "reference" and rows > REFERENCE_LARGE else GRAPH_WIDTH
    return min(max(wanted, k), rows - 1)
