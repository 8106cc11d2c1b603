"""Pools: reading them, their scores and embeddings, and writing the chosen rows."""

from ds2_fast.pool.audit_file import HandScores, read_hand_scores
from ds2_fast.pool.audit_sheet import write_audit_sheet
from ds2_fast.pool.conversation import Turn
from ds2_fast.pool.conversion import SHAPES, Converted, Shape, check_shape, convert_rows
from ds2_fast.pool.dataset_folder import check_folder, write_dataset
from ds2_fast.pool.detection import SCHEMAS
from ds2_fast.pool.embeddings import Embeddings, read_embeddings
from ds2_fast.pool.pool import Pool
from ds2_fast.pool.reading import read_pool
from ds2_fast.pool.responses import prompts_and_responses
from ds2_fast.pool.schemas import Schema
from ds2_fast.pool.scores import (
    SCORE_COLUMNS,
    Scores,
    find_score_columns,
    read_scores,
    score_ratings,
)
from ds2_fast.pool.subset import check_output, write_subset

__all__ = [
    "SCHEMAS",
    "SCORE_COLUMNS",
    "SHAPES",
    "Converted",
    "Embeddings",
    "HandScores",
    "Pool",
    "Schema",
    "Scores",
    "Shape",
    "Turn",
    "check_folder",
    "check_output",
    "check_shape",
    "convert_rows",
    "find_score_columns",
    "prompts_and_responses",
    "read_embeddings",
    "read_hand_scores",
    "read_pool",
    "read_scores",
    "score_ratings",
    "write_audit_sheet",
    "write_dataset",
    "write_subset",
]
