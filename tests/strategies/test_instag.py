"""InsTag: complexity first, and unseen tags, pass after pass."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_fast.errors import PoolError
from ds2_fast.strategies.instag import cover
from ds2_fast.strategies.tags import read_tags
from strategy_pool import select_by

TAGS = [["a"], ["a", "b", "c"], ["b", "d"], ["c", "a"], [], ["d"]]


def frame_of(tags):
    texts = [f"text {row}" for row in range(len(tags))]
    return pl.DataFrame({"text": texts, "score": [1] * len(tags), "tags": tags})


def test_by_hand():
    # By number of tags: 1 (abc), 2 (bd), 3 (ca), 0 (a), 5 (d); 4 has none. First pass: 1 brings
    # a, b, c; 2 brings d; 3, 0 and 5 bring nothing. Second pass: 3 brings c and a; 0 nothing; 5
    # brings d. Third: 0.
    frame = frame_of(TAGS)
    chosen = select_by("instag", 5, frame=frame)
    assert chosen.indices.tolist() == [1, 2, 3, 5, 0]
    assert chosen.report["selection"]["why_fewer"] == ""
    all_of_it = select_by("instag", 6, frame=frame)
    assert len(all_of_it.indices) == 5
    assert all_of_it.report["selection"]["why_fewer"] == "only 5 samples can be chosen"


def test_as_a_set_rule_it_follows_another_ranking():
    frame = frame_of(TAGS).with_columns(score=pl.Series([9, 1, 5, 4, 8, 7]))
    # 0 (a), 4 (none), 5 (d), 2 (b, d), 3 (c, a), 1: the first pass takes 0, 5, 2 and 3.
    chosen = select_by("column+instag", 6, frame=frame)
    assert chosen.indices.tolist() == [0, 5, 2, 3, 1]
    why = chosen.report["selection"]["why_fewer"]
    assert why == "the other candidates have no tags"


def plain_cover(tags, n):
    left, chosen = [place for place, each in enumerate(tags) if each], []
    while left and len(chosen) < n:
        seen = set()
        for place in list(left):
            if not tags[place] <= seen and len(chosen) < n:
                chosen.append(place)
                left.remove(place)
                seen |= tags[place]
    return chosen


@given(st.lists(st.frozensets(st.sampled_from("abcdefg"), max_size=4), max_size=40), st.data())
def test_against_the_slow_twin(tags, data):
    n = data.draw(st.integers(1, max(1, len(tags))))
    assert cover(tags, n) == plain_cover(tags, n)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(["x, y", "y", None, ""]),
        pl.Series(['["x", "y "]', '["y", "y"]', "[]", None]),
        pl.Series(['[{"tag": "x", "explanation": "why"}, {"tag": "y"}]', '[{"tag": "y"}]', "", ""]),
        pl.Series([["x", "y"], ["y"], [], None]),
        pl.Series([[{"tag": "x"}, {"tag": "y"}], [{"tag": "y"}], [], None]),
    ],
)
def test_tags_are_read_as_they_come(column):
    assert read_tags(column) == [{"x", "y"}, {"y"}, set(), set()]


@pytest.mark.parametrize("value", ["[1]", "[not json", '["a", 2]'])
def test_what_is_no_tag_is_refused(value):
    with pytest.raises(PoolError, match="row 1 of column `tags` is") as caught:
        select_by("instag", 1, frame=frame_of(["a", value, "b"]))
    assert "text with commas" in caught.value.hint


def test_missing_tags_are_told_with_the_column_option():
    with pytest.raises(PoolError, match="no column of tags is known") as caught:
        select_by("instag", 1, frame=frame_of(TAGS).rename({"tags": "labels"}))
    assert "--tags-col" in caught.value.hint
    named = frame_of(TAGS).rename({"tags": "labels"})
    assert select_by("instag", 2, {"tags_col": "labels"}, frame=named).indices.tolist() == [1, 2]
    with pytest.raises(PoolError, match="no column `label`"):
        select_by("instag", 2, {"tags_col": "label"}, frame=named)
