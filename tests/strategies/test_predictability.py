"""Perplexity, instruction-following difficulty and Superfiltering, from columns."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ds2_fast.errors import PoolError
from ds2_fast.strategies import superfiltering
from strategy_pool import made_embeddings, made_pool, select_by

TEXTS = [f"text {row}" for row in range(5)]


def choose(name, n, frame, **options):
    return select_by(name, n, options, frame=pl.DataFrame({"text": TEXTS, **frame}), score_col=None)


def scores(chosen):
    return chosen.scores["ds2_strategy_score"].to_list()


def test_perplexity_by_hand():
    ppl = {"ppl": [2.0, 9.0, 4.0, None, 30.0]}
    assert choose("perplexity", 4, ppl).indices.tolist() == [4, 1, 2, 0]
    assert choose("perplexity", 4, ppl, order="low").indices.tolist() == [0, 2, 1, 4]
    # The median of 2, 4, 9 and 30 is 6.5: 2.5, 2.5, 4.5 and 23.5 away, ties by row.
    assert choose("perplexity", 4, ppl, order="mid").indices.tolist() == [1, 2, 0, 4]
    named = {"base_ppl": [2.0, 9.0, 4.0, 1.0, 30.0]}
    assert choose("perplexity", 1, named, ppl_col="base_ppl", order="low").indices.tolist() == [3]


def test_perplexities_are_exponentials_of_losses():
    chosen = choose("perplexity", 2, {"loss_conditioned": [0.0, 1.0, 2.0, None, 800.0]})
    assert chosen.indices.tolist() == [4, 2]
    assert scores(chosen)[:3] == pytest.approx([1, np.e, np.e**2])
    assert np.isfinite(scores(chosen)[4])


def test_both_definitions_of_ifd_by_hand():
    # Losses 1 / 2, 3 / 3, 3 / 4, 2 / 1 and 1 / 0. As ratios of losses .5, 1, .75 pass; as ratios
    # of perplexities e^-1 = .368, 1, e^-1 = .368, e, e: those below 1 pass.
    frame = {"loss_conditioned": [1.0, 3, 3, 2, 1], "loss_direct": [2.0, 3, 4, 1, 0]}
    by_loss = choose("ifd", 5, frame)
    assert by_loss.indices.tolist() == [1, 2, 0]
    assert scores(by_loss) == [0.5, 1.0, 0.75, None, None]
    by_ppl = choose("ifd", 5, frame, ratio="ppl")
    assert by_ppl.indices.tolist() == [0, 2]
    assert scores(by_ppl)[0] == pytest.approx(np.exp(-1))
    assert by_ppl.report["selection"]["why_fewer"] == "only 2 samples can be chosen"


def test_ifd_from_perplexities_by_hand():
    # 4 / 8 = .5, 6 / 6 = 1, 9 / 10 = .9, 3 / 2 = 1.5, nothing.
    frame = {"ppl_A_condition": [4.0, 6, 9, 3, None], "ppl_A_direct": [8.0, 6, 10, 2, 5]}
    found = choose("ifd", 5, frame, ratio="ppl")
    assert found.indices.tolist() == [2, 0]
    assert scores(found)[:4] == [pytest.approx(0.5), None, pytest.approx(0.9), None]
    # As a ratio of losses: ln 4 / ln 8 = 2/3, 1, ln 9 / ln 10 = .954, ln 3 / ln 2 = 1.58.
    found = choose("ifd", 5, frame)
    assert found.indices.tolist() == [1, 2, 0]
    assert scores(found)[0] == pytest.approx(2 / 3)
    named = {"given": frame["ppl_A_condition"], "alone": frame["ppl_A_direct"]}
    options = {"conditioned_col": "given", "direct_col": "alone"}
    again = choose("ifd", 5, named, measure="ppl", **options)
    assert again.indices.tolist() == found.indices.tolist()
    with pytest.raises(PoolError, match="do not tell whether") as caught:
        choose("ifd", 5, named, **options)
    assert "--measure ppl" in caught.value.hint
    with pytest.raises(PoolError, match=r"row 4 of column .* a perplexity is above 0"):
        choose("ifd", 2, {"ppl_A_condition": [1.0, 1, 1, 1, -2], "ppl_A_direct": [2.0] * 5})


@pytest.mark.parametrize("name", ["perplexity", "ifd", "superfiltering"])
def test_missing_losses_are_told_with_column_and_model(name):
    with pytest.raises(PoolError, match=f"`{name}` needs the") as caught:
        choose(name, 2, {})
    assert "-col`" in caught.value.hint
    assert "--causal-lm FOLDER" in caught.value.hint


@pytest.mark.parametrize("edges", [superfiltering.EDGES, 38 * 39])
def test_superfiltering_against_its_slow_twin(edges, monkeypatch):
    # With fewer edges, the pairs come from the neighbor graph; 38 neighbors are still all.
    monkeypatch.setattr(superfiltering, "EDGES", edges)
    frame, rows = made_pool(), made_embeddings().astype(np.float64)
    difficulty = np.exp((frame["loss_conditioned"] - frame["loss_direct"]).to_numpy())
    ranked = [row for row in np.argsort(-difficulty, kind="stable").tolist() if difficulty[row] < 1]
    best = ranked[:39]  # 3.9 times 10
    units = (rows / np.linalg.norm(rows, axis=1, keepdims=True))[best]
    similar = 1 / (1 + np.linalg.norm(units[:, np.newaxis] - units, axis=2))
    covered, expected = np.zeros(39), []
    for _ in range(10):
        gains = np.maximum(similar - covered, 0).sum(axis=1).round(5)
        gains[expected] = -1
        expected.append(int(gains.argmax()))
        covered = np.maximum(covered, similar[expected[-1]])
    chosen = select_by("superfiltering", 10, {"factor": 3.9})
    assert chosen.indices.tolist() == [best[place] for place in expected]
    # No more to choose from than wanted: the hardest.
    alone = select_by("superfiltering", 10, {"factor": 1.0}).indices.tolist()
    assert alone == ranked[:10]
