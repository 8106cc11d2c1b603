"""Which space is taken: the one that knows more, whatever the order, the threads and the kills."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.errors import ModelError, PoolError
from ds2_fast.features import usual_space
from ds2_fast.knn import find_neighbors
from ds2_fast.presets import PRESETS
from ds2_fast.progress import Narrator
from ds2_fast.spaces import SpaceComparison, compare_spaces, sample_rated
from ds2_fast.transition import fit_transition
from synthetic import NUM_CLASSES, make_pool
from tiny_bert import make_model

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"


class Told(Narrator):
    def __init__(self):
        self.lines, self.warnings = [], []

    def done(self, name, text):
        self.lines.append((name, text))

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(autouse=True)
def _no_model_at_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("DS2_FAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))


@pytest.fixture(scope="module")
def made():
    """Rows that know the truth, the same blurred, and rows that know nothing."""
    pool = make_pool(3000, "adj")
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(pool.embeddings.shape).astype(np.float32)
    blurred = pool.embeddings + 0.3 * noise
    return pool, {"nothing": noise, "blurred": blurred, "true": pool.embeddings}


def test_the_space_that_knows_most_is_chosen_in_any_order(made):
    pool, spaces = made
    found = compare_spaces(spaces, pool.scores, NUM_CLASSES)
    known = {space.space: space.information for space in found.spaces}
    assert found.chosen == "true"
    assert known["true"] > known["blurred"] + 0.01 > known["nothing"]
    assert abs(known["nothing"]) < 0.01
    assert found.ahead == known["true"] - known["blurred"]
    turned = compare_spaces(dict(reversed(spaces.items())), pool.scores, NUM_CLASSES, threads=1)
    assert turned.chosen == found.chosen
    assert sorted(map(repr, turned.spaces)) == sorted(map(repr, found.spaces))


def test_the_figure_is_the_one_curation_tunes_by(made):
    pool, spaces = made
    found = compare_spaces({"true": spaces["true"]}, pool.scores, NUM_CLASSES)
    neighbors = find_neighbors(pool.embeddings, 50)
    fit = fit_transition(pool.scores, neighbors, num_classes=NUM_CLASSES)
    curated = ds2_fast.curate(pool.scores, neighbors, fit)
    assert found.spaces[0].information == curated.information
    assert (found.spaces[0].neighbor_k, found.spaces[0].beta) == (curated.neighbor_k, curated.beta)
    assert found.ahead == 0


def test_of_equals_the_first_is_taken_and_equal_ratings_tell_nothing(made):
    pool, spaces = made
    twice = {"a": spaces["true"], "b": spaces["true"]}
    assert compare_spaces(twice, pool.scores, NUM_CLASSES).chosen == "a"
    same = compare_spaces(twice, np.full(3000, 2, np.int8), NUM_CLASSES)
    assert (same.chosen, same.ahead) == ("a", 0)
    assert [space.information for space in same.spaces] == [0, 0]


def test_a_comparison_survives_json(made):
    pool, spaces = made
    found = compare_spaces(spaces, pool.scores, NUM_CLASSES)
    assert SpaceComparison.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize(
    ("spaces", "scores", "message"),
    [
        ({}, [0, 1, 0, 1], "no space"),
        ({"a": np.eye(4, dtype=np.float32)}, [0, 1, 1], "a: 4 rows for 3 scores"),
        ({"a": np.eye(4, dtype=np.float32)}, [0, 1, -1, -1], "got 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(spaces, scores, message):
    with pytest.raises(ValueError, match=message):
        compare_spaces(spaces, np.array(scores, np.int8), 2)


def test_the_sample_is_rated_even_and_within_its_size():
    scores = np.arange(100, dtype=np.int8) % 5 - 1
    sample = sample_rated(scores, 20)
    assert len(sample) == 20
    assert (scores[sample] >= 0).all()
    assert (np.diff(sample) >= 4).all()
    assert sample_rated(scores, 80).tolist() == np.flatnonzero(scores >= 0).tolist()
    with pytest.raises(ValueError, match="got 0"):
        sample_rated(scores, 0)


def test_auto_takes_given_rows_that_know_more_than_words(tmp_path):
    frame = pl.read_parquet(POOL)
    truth = frame["truth"].to_numpy()
    rng = np.random.default_rng(0)
    rows = np.eye(truth.max() + 1, 16)[truth] + 0.05 * rng.standard_normal((len(frame), 16))
    told = Told()
    result = ds2_fast.select(
        frame, 50, score_col="rating", embeddings=rows.astype(np.float32), space="auto",
        run_dir=tmp_path / "run", narrator=told,
    )  # fmt: skip
    features = result.report["features"]
    comparison = features["comparison"]
    assert features["space"] == {"embedding": "given"}.get(comparison["chosen"], "hybrid")
    known = {space["space"]: space["information"] for space in comparison["spaces"]}
    assert known[comparison["chosen"]] == max(known.values())
    assert known["embedding"] > known["lexical"]
    assert result.manifest["features"]["comparison"] == comparison
    said = [text for name, text in told.lines if name == "space"]
    assert len(said) == 1
    assert said[0].startswith(f"took {comparison['chosen']}, {comparison['ahead']:.4f} nats ahead")
    again = ds2_fast.select(
        frame, 50, score_col="rating", embeddings=rows.astype(np.float32), space="auto",
        run_dir=tmp_path / "again", threads=1,
    )  # fmt: skip
    assert again.report == result.report


def test_without_a_name_the_default_preset_compares_and_the_others_embed():
    nothing = (None, None, None)
    assert usual_space(PRESETS["default"], *nothing) == "auto"
    assert usual_space(PRESETS["paper"], *nothing) == "embedding"
    assert usual_space(PRESETS["default"], None, "rows.npy", None) is None
    assert usual_space(PRESETS["default"], None, None, "my-model") is None
    assert usual_space(PRESETS["default"], "lexical", None, None) == "lexical"
    frame = pl.read_parquet(POOL).head(300)
    with pytest.raises(ModelError, match="all-MiniLM-L6-v2"):
        ds2_fast.select(frame, 5, score_col="rating", offline=True)


def test_auto_does_not_fall_back_from_a_model_that_was_named(tmp_path):
    frame = pl.read_parquet(POOL).head(300)
    with pytest.raises(ModelError, match="no-such"):
        ds2_fast.select(
            frame, 5, score_col="rating", space="auto", embedder=str(tmp_path / "no-such")
        )


def test_auto_embeds_a_sample_first_and_the_pool_only_if_it_must(tmp_path, model, monkeypatch):
    monkeypatch.setattr("ds2_fast.auto_space.sample_rated", lambda scores: sample_rated(scores, 90))
    frame = pl.read_parquet(POOL).head(300)
    options = {"score_col": "rating", "embedder": str(model), "run_dir": tmp_path / "run"}
    result = ds2_fast.select(frame, 5, space="auto", **options)
    stages, features = result.manifest["stages"], result.report["features"]
    assert features["comparison"]["sampled"] == 90
    assert "sample embedding" in stages
    assert ("embedding" in stages) == (features["space"] != "lexical")
    named = ds2_fast.select(frame, 5, space=features["space"], **options)
    assert named.indices.tolist() == result.indices.tolist()


def test_auto_says_when_there_is_nothing_to_compare_by(model):
    frame = pl.read_parquet(POOL).head(50).with_columns(
        rating=pl.when(pl.int_range(pl.len()) < 2).then(pl.col("rating"))
    )  # fmt: skip
    told = Told()
    with pytest.raises(PoolError, match="too few samples are rated"):
        ds2_fast.select(
            frame, 5, score_col="rating", space="auto", embedder=str(model), narrator=told
        )
    assert any("2 samples are rated" in text for text in told.warnings)


def test_embed_has_no_scores_to_choose_by():
    with pytest.raises(PoolError, match="here none are read"):
        ds2_fast.embed(pl.read_parquet(POOL).head(50), space="auto")
