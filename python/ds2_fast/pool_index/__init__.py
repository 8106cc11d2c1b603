"""Querying the pool of a run, and adding samples to it without running again."""

from __future__ import annotations

from ds2_fast.pool_index.index import PoolIndex
from ds2_fast.pool_index.matches import Match, Matches

__all__ = ["Match", "Matches", "PoolIndex"]
