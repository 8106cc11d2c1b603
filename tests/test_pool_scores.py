"""Ratings of a pool to classes: every form of column, every scale, every refusal."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from ds2_fast.errors import PoolError
from ds2_fast.pool import SCORE_COLUMNS, find_score_columns, read_pool, read_scores, score_ratings


def pool_of(**columns):
    rows = len(next(iter(columns.values())))
    return read_pool(pl.DataFrame({"text": ["t"] * rows, **columns}))


@pytest.mark.parametrize(
    "values",
    [
        [1, 5, None, 3],
        [1.0, 5.0, None, 3.0],
        [1.0, 5.0, float("nan"), 3.0],
        ["1", " 5.0", "", "3"],
        [{"rarity": 9, "overall": 1}, {"overall": 5}, {"overall": None}, {"overall": 3}],
        [[9, 9, 9, 1], [9, 9, 9, 5], None, [9, 9, 9, 3]],
        ["[9, 9, 9, 1]", "[9, 9, 9, 5]", None, "[9, 9, 9, 3]"],
        pl.Series([1, 5, None, 3], dtype=pl.UInt8),
        pl.Series([[9, 9, 9, 1], [9, 9, 9, 5], None, [9, 9, 9, 3]], dtype=pl.Array(pl.Int8, 4)),
    ],
    ids=["int", "float", "nan", "text", "struct", "lists", "JSON lists", "uint8", "array"],
)
def test_every_form_of_column(values):
    scores = read_scores(pool_of(mine=values), "mine")
    assert scores.values.dtype == np.int8
    assert scores.values.tolist() == [0, 4, -1, 2]
    assert scores.num_classes == 5
    assert scores.labels == ("1", "2", "3", "4", "5")
    assert scores.raw.to_list() == [1, 5, None, 3]
    assert (scores.column, scores.scale) == ("mine", "1-5")
    assert scores.verdict == (
        "scores from `mine`: scale 1-5, 5 classes, from the lowest to the highest rating, 3 of 4 "
        "samples rated"
    )


def test_numbers_beside_text_of_numbers():
    pool = read_pool([{"text": "t", "mine": each} for each in (1, "2", None, 3.0)])
    assert read_scores(pool, "mine").values.tolist() == [0, 1, -1, 2]


def test_what_is_said_aloud():
    assert read_scores(pool_of(score=[1.0, float("nan"), 2.0])).notices == (
        "NaN in `score` counts as unrated: 1 sample",
    )
    assert read_scores(pool_of(mine=[{"Overall": 1}, {"Overall": 2}]), "mine").notices == (
        "`mine` counts by its field `Overall`",
    )


class TestScale:
    def test_named_ends(self):
        scores = read_scores(pool_of(score=[1, 2, None]), scale="0-5")
        assert scores.values.tolist() == [1, 2, -1]
        assert (scores.num_classes, scores.labels[0]) == (6, "0")
        assert scores.verdict == (
            "scores from `score`, found by its name: scale 0-5, 6 classes, 2 of 3 samples rated"
        )

    def test_one_to_ten_is_compressed_as_published(self):
        scores = read_scores(pool_of(score=[*range(1, 11), None]), scale="1-10")
        assert scores.values.tolist() == [0, 0, 0, 0, 1, 2, 3, 4, 5, 5, -1]
        assert scores.num_classes == 6
        assert scores.labels == ("<=4", "5", "6", "7", "8", ">=9")

    @pytest.mark.parametrize(
        ("values", "scale", "classes"),
        [
            ([1, 8], "1-10", 6),
            ([3, 10], "1-10", 6),
            ([1, 7], "1-7", 7),
            ([0, 10], "0-10", 11),
            ([0, 3], "0-3", 4),
            ([2, 4], "2-4", 3),
            ([-1, 1], "-1-1", 3),
        ],
    )
    def test_auto(self, values, scale, classes):
        scores = read_scores(pool_of(score=values))
        assert (scores.scale, scores.num_classes) == (scale, classes)

    def test_auto_of_the_published_columns(self):
        assert read_scores(pool_of(bin_score=[1, 3])).scale == "0-5"
        assert read_scores(pool_of(gpt_scores=[1, 9])).scale == "1-10"

    def test_observed_overrides_the_compression(self):
        assert read_scores(pool_of(score=[1, 10]), scale="observed").num_classes == 10

    def test_the_mark_of_an_answer_that_could_not_be_read(self):
        lists = [[8, 2, 9, 9], [0, 0, 0, 0], [3, 3, 3, 4]]
        scores = read_scores(pool_of(gpt_scores=lists))
        assert scores.values.tolist() == [5, -1, 0]
        assert scores.notices == (
            "`gpt_scores` counts by the last of its 4 ratings, the overall one",
            "[0, 0, 0, 0] in `gpt_scores`, the mark of an answer that could not be read, counts "
            "as unrated: 1 sample",
        )
        # On a scale that has a zero it is a rating.
        lists = [[5, 2, 4, 5], [0, 0, 0, 0]]
        assert read_scores(pool_of(gpt_scores=lists)).values.tolist() == [5, 0]


class TestFinding:
    def test_the_only_known_name(self):
        assert read_scores(pool_of(other=[1, 2], quality_score=[3, 4])).column == "quality_score"

    def test_a_field_of_the_statistics(self):
        pool = pool_of(__dj__stats__=[{"llm_quality_score": 1, "n": 7}, {"llm_quality_score": 2}])
        assert find_score_columns(pool) == ["__dj__stats__.llm_quality_score"]
        assert read_scores(pool).values.tolist() == [0, 1]

    def test_a_field_of_a_struct(self):
        assert read_scores(pool_of(meta=[{"q": 1}, {"q": 2}]), "meta.q").column == "meta.q"

    def test_names_without_whole_numbers_do_not_count(self):
        pool = pool_of(score=[1, 2], ifd_ppl=[0.1, 0.2], rating=["good", "bad"])
        assert find_score_columns(pool) == ["score"]
        assert read_scores(pool).column == "score"

    def test_every_known_name(self):
        for name in SCORE_COLUMNS:
            assert read_scores(pool_of(**{name: [1, 2]})).column == name

    def test_the_id_is_no_score(self):
        assert find_score_columns(read_pool([{"text": "t", "id": 1}], id_col="id")) == []


@pytest.mark.parametrize(
    ("columns", "said", "message", "hint"),
    [
        ({"score": [1, 2], "rating": [1, 2]}, {},
         "the pool has several columns of scores: `score`, `rating`",
         "name one, for example `--score-col score`"),
        ({"mine": [1, 2], "share": [0.5, 0.1], "long": list("ab")}, {},
         "the pool has no column of ratings with a known name",
         "name it with `--score-col`; these hold few whole numbers: `mine`"),
        ({"share": [0.5, 0.1]}, {},
         "the pool has no column of ratings with a known name",
         "name it with `--score-col`, or let `ds2-fast select` have it rated: `--model`"),
        ({"mine": [1, 2]}, {"column": "mien"}, "the pool has no column `mien` (`--score-col`)",
         "did you mean `mine`? the columns are `text`, `mine`"),
        ({"m": [{"a": 1}, {"a": 2}]}, {"column": "m.b"}, "column `m` has no field `b`",
         "the fields are `a`"),
        ({"m": [{"a": 1}, {"a": 2}]}, {"column": "m"},
         "column `m` is a struct without a field `overall`",
         "name a field, for example `--score-col m.a`"),
        ({"score": [1.0, 2.0, 0.5]}, {}, "row 2 of column `score` is 0.5, which is no whole number",
         "put the ratings into whole numbers first, for example into five bins"),
        ({"score": [1.0, float("inf")]}, {},
         "row 1 of column `score` is inf, which is no whole number",
         "put the ratings into whole numbers first, for example into five bins"),
        ({"score": ["1", "N/A"]}, {}, "row 1 of column `score` is `N/A`, which is no rating",
         "leave the cell empty where there is no rating, or name another column with "
         "`--score-col`"),
        ({"score": [True, False]}, {}, "column `score` holds Boolean, not ratings",
         "name another column with `--score-col`"),
        ({"score": [None, None]}, {}, "column `score` holds no rating",
         "name another with `--score-col`"),
        ({"score": [[1, 2, 3], [1, 2, 3]]}, {},
         "row 0 of column `score` is a list of 3, not of 4 ratings (rarity, complexity, "
         "informativeness, overall)", "name another column with `--score-col`"),
        ({"score": ["[1, 2, 3, 4]", '["x"]']}, {},
         'row 1 of column `score` is `["x"]`, which is no rating',
         "leave the cell empty where there is no rating, or name another column with "
         "`--score-col`"),
        ({"score": [1, 2, 11]}, {"scale": "1-10"},
         "row 2 of column `score` is 11, outside the scale 1-10",
         "name the right scale with `--scale`, or `--scale observed`"),
        ({"score": [1, 2]}, {"scale": "five"}, "`five` is no scale",
         "name `auto`, `observed`, `1-10`, or `LO-HI` as in `0-5`"),
        ({"score": [1, 2]}, {"scale": "5-0"}, "the scale `5-0` runs backwards",
         "name the lower end first: `0-5`"),
        ({"score": [2, 2]}, {}, "column `score` has one class only: 2",
         "curation needs ratings that differ; name the scale with `--scale LO-HI`"),
        ({"score": [0, 100]}, {},
         "column `score` runs from 0 to 100: 101 classes, and at most 16 are possible",
         "put the ratings into fewer bins first"),
        ({"score": [0, 10**15]}, {},
         "column `score` runs from 0 to 1000000000000000: 1,000,000,000,000,001 classes, and at "
         "most 16 are possible", "put the ratings into fewer bins first"),
    ],
)  # fmt: skip
def test_errors(columns, said, message, hint):
    with pytest.raises(PoolError) as caught:
        read_scores(pool_of(**columns), **said)
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_ratings_from_elsewhere():
    scores = score_ratings(pl.Series([1, 7, None, 10]), "rating", "1-10")
    assert scores.values.tolist() == [0, 3, -1, 5]
    assert scores.verdict == "scores from `rating`: scale 1-10, 6 classes, 3 of 4 samples rated"


def test_json_lines_of_rating_lists(tmp_path):
    path = tmp_path / "pool.jsonl"
    rows = [{"text": "t", "gpt_scores": each} for each in ([1, 2, 3, 4], [1.0, 2, 3, 9], None)]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert read_scores(read_pool(path)).values.tolist() == [0, 5, -1]


def test_the_released_ratings(data_dir):
    pool = read_pool(data_dir / "alpaca52k_rated.parquet")
    scores = read_scores(pool, "rating_gpt4o_mini")
    assert (scores.scale, scores.num_classes) == ("0-5", 6)
    raw = pool.frame["rating_gpt4o_mini"].to_numpy()
    assert np.array_equal(scores.values, raw)
