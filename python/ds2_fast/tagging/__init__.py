"""Intention tags: ask a language model what the user of every sample wants.

It is the engine of `ds2_fast.rating` with another prompt and another kind of answer: the same pace,
patience, journal and cap on the cost.
"""

from __future__ import annotations

from ds2_fast.tagging.answer import parse_tags
from ds2_fast.tagging.asking import plan_tags, tag_queries
from ds2_fast.tagging.result import Tags

__all__ = ["Tags", "parse_tags", "plan_tags", "tag_queries"]
