"""Pools: reading them, their scores and embeddings, and writing the chosen rows."""

from ds2_fast.pool.conversation import Turn
from ds2_fast.pool.detection import SCHEMAS
from ds2_fast.pool.pool import Pool
from ds2_fast.pool.reading import read_pool
from ds2_fast.pool.schemas import Schema

__all__ = ["SCHEMAS", "Pool", "Schema", "Turn", "read_pool"]
