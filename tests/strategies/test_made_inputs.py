"""What the pool lacks is made: token losses by a language model, the place of a target."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from ds2_fast.embedding import load_embedder
from ds2_fast.losses import measure_losses
from strategy_pool import select_by
from tiny_bert import make_model
from tiny_causal import make_folder

FRAME = pl.DataFrame(
    {
        "prompt": ["why is the sky", "the cat", "why", "is the dog red ?", "the", "red dog"],
        "completion": [
            "the sky is blue .", "is red .", "the cat is blue", "the dog is red .", "cat is .",
            "dog is dog",
        ],
    }
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("causal") / "bigram")


@pytest.fixture(scope="module")
def losses(folder):
    return measure_losses(FRAME["prompt"].to_list(), FRAME["completion"].to_list(), folder)


def choose(name, folder, run_dir=None, **options):
    given = {"causal_lm": str(folder), **options}
    return select_by(name, 3, given, frame=FRAME, score_col=None, run_dir=run_dir)


def test_perplexity_is_measured(folder, losses):
    chosen = choose("perplexity", folder)
    found = chosen.scores["ds2_strategy_score"].to_numpy()
    assert found == pytest.approx(np.exp(losses.conditioned))
    assert chosen.indices.tolist() == np.argsort(-losses.conditioned)[:3].tolist()


def test_difficulty_is_measured_once_in_a_run(folder, losses, tmp_path):
    chosen = choose("ifd", folder, tmp_path)
    ratio = losses.conditioned / losses.direct
    found = chosen.scores["ds2_strategy_score"].to_numpy()
    assert found == pytest.approx(np.where(ratio <= 1, ratio, np.nan), nan_ok=True)
    written = (tmp_path / "losses.parquet").stat().st_mtime_ns
    again = choose("ifd", folder, tmp_path, ratio="ppl")
    kept = again.scores["ds2_strategy_score"].to_numpy()
    ratio = np.exp(losses.conditioned - losses.direct)
    assert kept == pytest.approx(np.where(ratio < 1, ratio, np.nan), nan_ok=True)
    assert (tmp_path / "losses.parquet").stat().st_mtime_ns == written


def test_a_target_is_embedded_with_the_model_of_the_pool(tmp_path):
    model = make_model(tmp_path / "tiny")
    rows = FRAME[[1, 4]].to_dicts()
    (tmp_path / "wanted.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"target": str(tmp_path / "wanted.jsonl")}
    chosen = select_by(
        "target", 2, options, frame=FRAME, embedder=str(model), offline=True, score_col=None
    )
    # The two are rows 1 and 4 of the pool themselves.
    assert chosen.indices.tolist() == [1, 4]
    texts = [f"{row['prompt']}\n{row['completion']}" for row in FRAME.iter_rows(named=True)]
    units = load_embedder(model, offline=True).embed(texts).astype(np.float64)
    expected = (units @ units[[1, 4]].T).max(axis=1)
    # Embeddings of the pool are kept as float16.
    assert chosen.scores["ds2_strategy_score"].to_numpy() == pytest.approx(expected, abs=1e-3)
