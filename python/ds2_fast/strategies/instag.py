"""InsTag: samples of many tags, and of tags that the others lack."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.strategies.strategy import Candidates, Picked, Strategy, option
from ds2_fast.strategies.tags import read_tags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ds2_fast.strategies.inputs import Inputs

COLUMNS = ("tags", "instag_tags", "instags", "ins_tags")


@dataclass(frozen=True)
class InsTag(Strategy):
    """The samples of most tags that bring unseen ones, pass after pass (InsTag).

    The score is the number of distinct tags. The set rule walks down the ranking and takes a sample
    if one of its tags is on none taken in this pass; at the end of a pass it forgets what it has
    seen, and walks over those that are left, until there are n. A sample without tags is never
    taken. Without a column, the tags are those that `ds2-fast tag` left in the run directory. Tags
    are compared as they are written, without the blanks around them.
    """

    name = "instag"
    source = "Lu et al., ICLR 2024, arXiv 2308.07074"
    needs = "tags (a column, or of `ds2-fast tag`)"

    tags_col: str | None = option(
        None,
        "Column of tags: lists, or text with commas or a JSON list.  [default: a known name, or "
        "what `ds2-fast tag` left]",
    )

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Count the tags; a sample without has no score."""
        counts = np.array([len(tags) for tags in self._tags(inputs)], dtype=np.float64)
        return np.where(counts > 0, counts, np.nan)

    def choose(self, inputs: Inputs, candidates: Candidates, n: int) -> Picked:
        """Take what brings an unseen tag, in passes."""
        tags = self._tags(inputs)
        places = cover([tags[row] for row in candidates.rows.tolist()], n)
        return Picked(
            candidates.rows[places],
            "brings no tag that is unseen, or comes too late",
            "the other candidates have no tags",
        )

    def _tags(self, inputs: Inputs) -> list[frozenset[str]]:
        name = self.tags_col or inputs.known_column(COLUMNS)
        if name is not None:
            return read_tags(inputs.values(name, "--tags-col"))
        tags = inputs.tags
        if tags is None:
            raise PoolError(
                "`instag` needs the tags of every sample, and no column of tags is known",
                "name the column with `--tags-col`, or have a model tag the pool: "
                "`ds2-fast tag POOL --model PROVIDER/NAME`",
            )
        return read_tags(tags)


def cover(tags: Sequence[frozenset[str]], n: int) -> list[int]:
    """Choose sets in passes; in each, those that bring a tag which no other chosen in it has.

    Args:
        tags: the sets, best first.
        n: how many to choose.

    Returns:
        Their places, in the order of choice: n, or fewer if all others are empty.

    A pass ends early when no set that is left can bring a tag: O(n + sets looked at) sets, and a
    copy of a list of places for each pass.

    Example:
        >>> cover([frozenset("ab"), frozenset("a"), frozenset("b"), frozenset()], 4)
        [0, 1, 2]
    """
    left = [place for place, each in enumerate(tags) if each]
    holders = Counter(tag for place in left for tag in tags[place])
    chosen: list[int] = []
    while left and len(chosen) < n:
        seen: set[str] = set()
        # Tags of this pass that are on a set which is left: a pass can go on while one is unseen.
        unseen = len(holders)
        passed, place = [], 0
        while place < len(left) and unseen and len(chosen) < n:
            row = left[place]
            place += 1
            fresh = tags[row] - seen
            if not fresh:
                passed.append(row)
                continue
            chosen.append(row)
            seen |= fresh
            unseen -= len(fresh)
            for tag in tags[row]:
                holders[tag] -= 1
        holders = +holders
        left = passed + left[place:]
    return chosen
