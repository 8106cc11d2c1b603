"""Tags of samples, as columns have them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ds2_fast.errors import PoolError

if TYPE_CHECKING:
    import polars as pl


def read_tags(column: pl.Series) -> list[frozenset[str]]:
    """Read the distinct tags of every sample; null and empty ones are left out.

    Args:
        column: lists of text, lists of structs with the field `tag` (as InsTagger gives them), or
            text: a JSON list of either, or tags with commas between.

    Returns:
        N sets, without the blanks around each tag.

    Raises:
        PoolError: the column holds anything else, with the row.
    """
    found = []
    for row, value in enumerate(column.to_list()):
        tags = _tags(value)
        if tags is None:
            raise PoolError(
                f"row {row} of column `{column.name}` is `{str(value)[:40]}`, not tags",
                "give lists of text, a JSON list as text, or text with commas",
            )
        found.append(frozenset(tag.strip() for tag in tags if tag.strip()))
    return found


def _tags(value: Any) -> list[str] | None:  # noqa: ANN401
    """The tags of one value; None if it holds anything else."""
    if value is None:
        return []
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return value.split(",")
        try:
            value = json.loads(value)
        except ValueError:
            return None
    if not isinstance(value, list):
        return None
    found = [each.get("tag") if isinstance(each, dict) else each for each in value]
    tags = [tag for tag in found if isinstance(tag, str)]
    return tags if len(tags) + found.count(None) == len(found) else None
