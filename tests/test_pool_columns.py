"""JSON values to typed columns: no value is changed, none is lost."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_fast.pool import read_pool
from ds2_fast.pool.columns import type_columns

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
keys = st.sampled_from(["", "a", "b", "é"])
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)
alike = st.one_of(
    st.lists(st.none() | st.text()),
    st.lists(st.none() | st.integers()),
    st.lists(st.none() | st.lists(st.none() | st.text(), max_size=3)),
    st.lists(st.none() | st.lists(st.dictionaries(keys, st.none() | st.text(), max_size=3))),
    st.lists(st.none() | st.dictionaries(keys, st.lists(st.floats(allow_nan=False)), min_size=1)),
    st.lists(anything, max_size=8),
)


def same(found, value):
    """Whether a value came through; an object may have got nulls for the keys it lacks."""
    if isinstance(value, dict) and isinstance(found, dict):
        return all(same(found[key], value.get(key)) for key in found) and set(value) <= set(found)
    if isinstance(value, list) and isinstance(found, list):
        return len(value) == len(found) and all(map(same, found, value))
    if isinstance(value, bool) or isinstance(found, bool):
        return found is value
    return found == value


@given(alike)
def test_values_come_through(values):
    frame, encoded = type_columns({"x": values})
    found = frame["x"].to_list()
    if encoded:
        found = [None if text is None else json.loads(text) for text in found]
    assert len(found) == len(values)
    assert all(map(same, found, values))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["a", None], pl.String),
        ([1, None], pl.Int64),
        ([1, 2.5], pl.Float64),
        ([True, None], pl.Boolean),
        ([None, None], pl.Null),
        ([[1], [], None], pl.List(pl.Int64)),
        ([[], None], pl.List(pl.Null)),
        ([{"a": 1}, None, {"b": "x"}], pl.Struct({"a": pl.Int64, "b": pl.String})),
        ([[{"r": "u", "c": None}], [{"r": "u", "c": "x"}]],
         pl.List(pl.Struct({"r": pl.String, "c": pl.String}))),
    ],
)  # fmt: skip
def test_values_of_one_type_are_typed(values, dtype):
    frame, encoded = type_columns({"x": values})
    assert frame.schema["x"] == dtype
    assert not encoded


@pytest.mark.parametrize(
    "values",
    [
        ["1", 1],
        [True, 1],
        [[1], "x"],
        [[1, "x"]],
        [{"a": 1}, {"a": "x"}],
        [2**64],
        [2**53 + 1, 0.5],
        [{}],
        [{str(key): 1} for key in range(300)],
    ],
)
def test_values_of_several_types_are_json_text(values):
    frame, encoded = type_columns({"x": values})
    assert encoded == {"x"}
    assert [json.loads(text) for text in frame["x"]] == values


def test_half_of_a_surrogate_pair(tmp_path):
    path = tmp_path / "pool.jsonl"
    path.write_text('{"text": "fine \\ud83d\\ude00"}\n{"text": "cut \\ud83d"}\n')
    pool = read_pool(path)
    assert pool.texts() == ["fine 😀", "cut \ufffd"]
    assert pool.raw[1] == '{"text": "cut \\ud83d"}'
    assert pool.notices == (
        "1 sample with half of a surrogate pair (first: row 1), read as U+FFFD; the rows "
        "themselves are kept as written",
    )
