"""Neighbors of every sample by cosine similarity: found exactly, through an index, or read."""

from __future__ import annotations

from ds2_fast.knn.finding import (
    MethodName,
    check_choice,
    choose_method,
    find_neighbors,
    need_of,
)
from ds2_fast.knn.graph import GraphInfo, Neighbors
from ds2_fast.knn.need import Need
from ds2_fast.knn.reading import load_graph, map_embeddings
from ds2_fast.knn.recall import Recall

__all__ = [
    "GraphInfo",
    "MethodName",
    "Need",
    "Neighbors",
    "Recall",
    "check_choice",
    "choose_method",
    "find_neighbors",
    "load_graph",
    "map_embeddings",
    "need_of",
]
