"""The numbers behind the plots, against slow twins."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ds2_fast.figures.cut import find_cut
from ds2_fast.figures.examples import NEIGHBORS, SHOWN, pick_examples
from ds2_fast.figures.flow import count_flow
from ds2_fast.figures.length import compare_lengths
from ds2_fast.figures.map import SHOWN as SHOWN_ON_MAP
from ds2_fast.figures.map import SHOWN_SELECTED, show_map
from ds2_fast.figures.rarity import BINS, spread_rarity
from ds2_fast.figures.shares import MOST_GROUPS, share_groups, share_lengths
from ds2_fast.pool import read_pool
from ds2_fast.projection import FITTED, project_rows


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def test_the_flow_counts_every_rated_sample_once(rng):
    scores = rng.integers(-1, 5, 500).astype(np.int8)
    curated = np.where(scores < 0, -1, np.clip(scores + rng.integers(-1, 2, 500), 0, 4))
    found = count_flow(scores, curated.astype(np.int8), 5)
    slow = [
        [int(sum((scores == i) & (curated == j))) for j in range(5)] for i in range(5)
    ]  # fmt: skip
    assert found["counts"] == slow
    assert found["raised"] == sum(slow[i][j] for i in range(5) for j in range(i + 1, 5))
    assert found["lowered"] == sum(slow[i][j] for i in range(5) for j in range(i))


def test_the_cut_is_in_the_lowest_bucket_of_the_selection(rng):
    bucket = rng.integers(0, 6, 200) / 4
    bucket[:20] = np.nan
    rarity = rng.random(200)
    order = np.lexsort((-rarity, -np.nan_to_num(bucket, nan=-1)))[:180]
    rank = np.zeros(200, dtype=np.int64)
    rank[order] = np.arange(1, 181)
    selected = (rank > 0) & (rank <= 70)
    found = find_cut(bucket, rank, selected, rarity)
    assert [each["bucket"] for each in found["buckets"]] == sorted(set(bucket[20:]), reverse=True)
    assert sum(each["samples"] for each in found["buckets"]) == 180
    assert sum(each["selected"] for each in found["buckets"]) == 70
    tie = found["tie"]
    assert tie["bucket"] == bucket[order[69]]
    assert (tie["last_in"], tie["first_out"]) == (rarity[order[69]], rarity[order[70]])
    assert tie["samples"] == np.sum(bucket == tie["bucket"])
    assert find_cut(bucket, rank, selected & False, rarity)["tie"] is None


def test_rarity_counts_are_complete(rng):
    rarity = rng.random(1000)
    selected, aside = rng.random(1000) < 0.1, rarity > 0.99
    found = spread_rarity(rarity, selected, aside)
    assert len(found["edges"]) == BINS + 1
    assert [sum(found[name]) for name in ("pool", "selected", "aside")] == [
        1000, selected.sum(), aside.sum(),
    ]  # fmt: skip
    assert found["aside_from"] == rarity[aside].min()
    assert spread_rarity(rarity, selected, aside & False)["aside_from"] is None
    assert sum(spread_rarity(np.zeros(3), np.ones(3, bool), np.zeros(3, bool))["pool"]) == 3


def test_the_control_is_as_large_as_the_selection_and_rated(rng):
    lengths = rng.integers(1, 1000, 300)
    scores = rng.integers(-1, 4, 300).astype(np.int8)
    selected = (scores == 3) & (lengths > 500)
    found = compare_lengths(lengths, scores, selected, num_classes=4, seed=5)
    assert found["control"]["samples"] == found["selected"]["samples"] == selected.sum()
    assert found["pool"]["samples"] == np.sum(scores >= 0)
    assert found["selected"]["quarters"] == np.percentile(lengths[selected], (25, 50, 75)).tolist()
    assert found["selected"]["spearman"] is None, "all scores are equal"
    assert [part["samples"] for part in found["selected"]["classes"]] == [0, 0, 0, selected.sum()]
    assert found == compare_lengths(lengths, scores, selected, num_classes=4, seed=5)
    assert compare_lengths(lengths, scores, selected & False, num_classes=4, seed=5) == {
        "pool": found["pool"], "selected": None, "control": None,
    }  # fmt: skip


def test_groups_are_found_by_name_and_by_option(rng):
    frame = pl.DataFrame(
        {
            "instruction": [f"say {i}" for i in range(60)],
            "output": [str(i) for i in range(60)],
            "source": ["web", "book", None] * 20,
            "lang": ["en"] * 60,
            "origin": [str(i) for i in range(60)],
            "topic": ["a", "b"] * 30,
        }
    )
    selected = np.arange(60) < 12
    found = share_groups(read_pool(frame, group_col="topic"), selected)
    assert [(part["column"], part["tells"]) for part in found] == [
        ("topic", "group"), ("source", "source"), ("origin", "source"),
    ]  # fmt: skip
    assert found[1]["groups"] == [
        {"group": "book", "samples": 20, "selected": 4},
        {"group": "web", "samples": 20, "selected": 4},
        {"group": "null", "samples": 20, "selected": 4},
    ]
    many = pl.DataFrame({"text": ["x"] * (MOST_GROUPS + 1), "source": range(MOST_GROUPS + 1)})
    assert share_groups(read_pool(many), np.zeros(len(many), bool)) == []


def test_parts_by_length_hold_everything_and_split_no_length(rng):
    lengths = rng.integers(1, 12, 500)
    selected = rng.random(500) < 0.3
    found = share_lengths(lengths, selected)
    assert sum(part["samples"] for part in found) == 500
    for part in found:
        inside = (lengths >= part["from"]) & (lengths <= part["to"])
        assert part["samples"] == inside.sum()
        assert part["selected"] == (inside & selected).sum()
    assert share_lengths(np.full(7, 3), np.ones(7, bool)) == [
        {"from": 3, "to": 3, "samples": 7, "selected": 7}
    ]


def test_the_map_is_of_the_principal_components(rng):
    rows = rng.standard_normal((800, 24)) * np.geomspace(8, 0.5, 24)
    found = project_rows(rows.astype(np.float32), seed=3)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    centered = rows - rows.mean(axis=0)
    _, sizes, right = np.linalg.svd(centered, full_matrices=False)
    for axis in range(2):
        exact = centered @ right[axis]
        assert found.places.dtype == np.float32
        slope = np.sign(exact @ found.places[:, axis])
        assert np.allclose(found.places[:, axis], slope * exact, atol=2e-3)
    assert found.explained == pytest.approx((sizes[:2] ** 2).sum() / (sizes**2).sum(), rel=1e-3)


def test_the_map_is_the_same_each_time_and_laid_out_block_by_block(rng):
    rows = rng.standard_normal((FITTED + 1500, 6)).astype(np.float16)
    rows[7] = 0
    told = []
    found = project_rows(rows, seed=3, progress=lambda *place: told.append(place))
    assert np.array_equal(found.places, project_rows(rows, seed=3).places)
    assert not np.array_equal(found.places, project_rows(rows, seed=4).places)
    assert told[-1] == (len(rows), len(rows))
    # Rows that were not among those drawn lie in the same two directions.
    unit = (
        rows.astype(float) / np.maximum(np.linalg.norm(rows.astype(float), axis=1), 1e-9)[:, None]
    )
    known = np.column_stack([unit, np.ones(len(rows))])
    _, left, *_ = np.linalg.lstsq(known, found.places.astype(float))
    assert (left < 1e-6).all()


@pytest.mark.parametrize("rows", [np.ones((5, 3)), np.zeros((4, 3)), np.ones((1, 1))])
def test_a_map_without_directions_is_flat(rows):
    found = project_rows(rows.astype(np.float32), seed=0)
    assert not found.places.any()
    assert found.explained is None


def test_the_map_shows_no_more_than_it_says_and_the_same_each_time(rng):
    rows = SHOWN_ON_MAP + 4000
    places = rng.standard_normal((rows, 2)).astype(np.float32)
    sheet = pl.DataFrame(
        {
            "ds2_score": rng.integers(0, 5, rows),
            "ds2_score_curated": rng.integers(0, 5, rows),
            "ds2_selected": rng.random(rows) < 0.5,
            "projection_x": places[:, 0],
            "projection_y": places[:, 1],
        }
    )
    found = show_map(sheet, explained=0.25, seed=3)
    assert found["drawn"] == SHOWN_ON_MAP
    assert SHOWN_ON_MAP < len(found["rows"]) <= SHOWN_ON_MAP + SHOWN_SELECTED
    assert found["rows"] == sorted(set(found["rows"]))
    assert np.allclose(np.column_stack([found["x"], found["y"]]), places[found["rows"]], atol=5e-5)
    assert found["score"] == sheet["ds2_score"][found["rows"]].to_list()
    assert found["explained"] == 0.25
    assert found == show_map(sheet, explained=0.25, seed=3)
    assert found["rows"] != show_map(sheet, explained=0.25, seed=4)["rows"]


def test_examples_follow_their_rules(rng):
    scores = rng.integers(0, 5, 400).astype(np.int8)
    curated = np.where(rng.random(400) < 0.2, (scores + 1) % 5, scores).astype(np.int8)
    rank = np.zeros(400, dtype=np.int64)
    ranked = rng.permutation(400)[:300]
    rank[ranked] = np.arange(1, 301)
    selected = (rank > 0) & (rank <= 90)
    graph = rng.integers(0, 400, (400, 7)).astype(np.uint32)
    found = pick_examples(scores, curated, rank, selected, graph, seed=1)
    assert len(found["corrected"]) == len(found["selected"]) == len(found["missed"]) == SHOWN
    for example in found["corrected"]:
        assert scores[example["row"]] != curated[example["row"]]
        assert example["neighbors"] == graph[example["row"], :NEIGHBORS].tolist()
    ranks = rank[found["selected"]]
    assert (ranks[0], ranks[-1]) == (1, 90)
    assert np.ptp(np.diff(ranks)) <= 1, "evenly"
    assert rank[found["missed"]].tolist() == list(range(91, 111))
    none = pick_examples(scores, scores, rank, selected & False, graph, seed=1)
    assert none == {"corrected": [], "selected": [], "missed": []}
