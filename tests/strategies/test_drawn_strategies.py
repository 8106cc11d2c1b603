"""Strategies that draw: QuRating, DSIR, dataset quantization, the tree."""

from __future__ import annotations

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from ds2_fast import _core
from ds2_fast.errors import PoolError
from ds2_fast.strategies import Candidates
from ds2_fast.strategies.qurating import QuRating
from strategy_pool import made_embeddings, made_pool, select_by


def frame_of(scores):
    return pl.DataFrame({
        "text": [f"text {row}" for row in range(len(scores))],
        "score": scores,
        "kind": ["a" if row % 4 else "b" for row in range(len(scores))],
    })  # fmt: skip


def first_drawn(scores, seeds):
    ranked = np.argsort([-score for score in scores], kind="stable")
    candidates = Candidates(ranked.astype(np.uint32), np.array(scores, np.float64)[ranked])
    return Counter(
        int(QuRating().choose(SimpleNamespace(seed=seed), candidates, 1).rows[0])
        for seed in range(seeds)
    )


def test_qurating_draws_in_proportion_to_the_exponential():
    # Scores 1 and 3 have mean 2 and standard deviation 1: -1 and 1. At tau = 2 the second comes
    # first with probability e^(1/2) / (e^(-1/2) + e^(1/2)) = 1 / (1 + e^-1) = 0.731.
    expected = 1 / (1 + math.exp(-1))
    deviation = math.sqrt(expected * (1 - expected) / 2000)
    assert abs(first_drawn([1, 3], 2000)[1] / 2000 - expected) < 4 * deviation


def test_qurating_of_equal_scores_is_uniform():
    # Each is first in a third of 2,100 draws: 700, with a standard deviation of 21.6.
    first = first_drawn([2, 2, 2], 2100)
    assert all(abs(first[row] - 700) < 4 * 21.6 for row in range(3))


def test_qurating_is_greedy_at_a_low_temperature_and_takes_scores_as_they_are_when_told():
    frame = frame_of([0, 5, 2, 4, 1, 3])
    assert select_by("qurating", 3, {"tau": 1e-3}, frame=frame).indices.tolist() == [1, 3, 5]
    # Without normalizing, a temperature in the units of the score: the same draw twice as far.
    plain = select_by("qurating", 6, {"tau": 2.0, "normalize": False}, frame=frame, seed=3)
    doubled = frame.with_columns(pl.col("score") * 2)
    again = select_by("qurating", 6, {"tau": 4.0, "normalize": False}, frame=doubled, seed=3)
    assert plain.indices.tolist() == again.indices.tolist()


def test_qurating_by_group_keeps_shares():
    # 8 samples: 2 of b, 6 of a; of 4 seats 1 and 3.
    frame = frame_of([5, 0, 0, 0, 5, 0, 0, 0])
    options = {"by_group": True, "tau": 1e-3}
    chosen = select_by("qurating", 4, options, frame=frame, pool_options={"group_col": "kind"})
    assert Counter(frame["kind"][chosen.indices.tolist()]) == {"a": 3, "b": 1}
    with pytest.raises(PoolError, match="the group of every sample is needed") as caught:
        select_by("qurating", 4, options, frame=frame)
    assert "--group-col" in caught.value.hint


def test_dsir_finds_what_reads_like_the_target(tmp_path):
    frame = made_pool()
    wanted = frame.filter(kind="sea").select("prompt", "completion")
    wanted.write_ndjson(tmp_path / "wanted.jsonl")
    options = {"target": str(tmp_path / "wanted.jsonl")}
    chosen = select_by("dsir", 30, options, frame=frame, embeddings=None)
    assert frame["kind"][chosen.indices.tolist()].to_list().count("sea") == 30


def test_dsir_against_its_twin(tmp_path):
    frame = made_pool()
    (tmp_path / "wanted.jsonl").write_text('{"text": "sea1 sea2 sea3"}\n{"text": "sea4"}\n')
    options = {"target": str(tmp_path / "wanted.jsonl")}
    chosen = select_by("dsir", 30, options, frame=frame, embeddings=None)
    joined = frame.select(pl.concat_str("prompt", "completion", separator="\n")).to_series()
    target = ["sea1 sea2 sea3", "sea4"]
    weights = _core.weigh_importance(joined.to_list(), target, 10_000, 1e-8, None, None)
    assert chosen.scores["ds2_strategy_score"].to_list() == weights.tolist()
    # Whatever the order of the candidates: what is drawn for a row depends on the seed and the row.
    twin = _core.draw_tempered(np.arange(240, dtype=np.uint32), weights, 1.0, 30, 42)
    assert chosen.indices.tolist() == twin.tolist()


def test_dsir_needs_a_target(tmp_path):
    with pytest.raises(
        PoolError, match="`dsir` needs samples like those that are wanted"
    ) as caught:
        select_by("dsir", 3)
    assert "--target" in caught.value.hint
    with pytest.raises(PoolError):
        select_by("dsir", 3, {"target": str(tmp_path / "none.jsonl")})


def test_dq_draws_the_same_share_of_every_bin():
    rows = made_embeddings()
    bins = _core.divide_bins(rows, np.arange(240, dtype=np.uint32), 10, 2.0, False, None, None)
    chosen = select_by("dq", 30).indices.tolist()
    assert [len(set(chosen) & set(each.tolist())) for each in bins] == [3] * 10
    # 25 of 240 are 2.5 of each bin of 24: the first five have the half more.
    chosen = select_by("dq", 25).indices.tolist()
    assert [len(set(chosen) & set(each.tolist())) for each in bins] == [3] * 5 + [2] * 5


def test_dq_by_hand():
    # Unit rows at 0, 90 and 180 degrees, and one at 45: sums of similarities to all four are
    # 1 + 0 - 1 + .71, 0 + 1 + 0 + .71, -1 + 0 + 1 - .71 and .71 + .71 - .71 + 1, so that the first
    # bin of two begins with the row at 90 degrees; then, less the similarity to it, 0.71, 1.71 - 1
    # for the one at 45 (also .71 - 0 at 0 degrees): 1.71 - .71 = 1.0 wins. The rest are the second.
    half = math.sqrt(0.5)
    rows = np.array([[1, 0], [0, 1], [-1, 0], [half, half]], np.float32)
    bins = _core.divide_bins(rows, np.arange(4, dtype=np.uint32), 2, 1.0, False, None, None)
    assert [each.tolist() for each in bins] == [[1, 3], [0, 2]]
    frame = frame_of([1, 1, 1, 1])
    for seed in range(5):
        chosen = select_by(
            "dq", 2, {"bins": 2, "penalty": 1.0}, frame=frame, embeddings=rows, seed=seed
        )
        assert chosen.indices[0] in (1, 3)
        assert chosen.indices[1] in (0, 2)


def test_tree_takes_the_best_of_every_leaf_in_turn():
    # Two clouds of four. The best of each by score: 1 (9) and 5 (7); then 2 (8) and 7 (5); then
    # 4 (4), for its second is better than 3 (2) of the first; then 6 (3) and 0 (1).
    angles = np.radians([0, 1, 2, 3, 120, 121, 122, 180])
    rows = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    leaves = _core.grow_tree(rows, 2, 4, 10, 42, False, None, None)
    assert len(set(leaves[:4])) == len(set(leaves[4:])) == 1
    frame = frame_of([1, 9, 8, 2, 4, 7, 3, 5])
    options = {"branching": 2, "leaf": 4}
    for n in (5, 8):
        chosen = select_by("column+tree", n, options, frame=frame, embeddings=rows)
        assert chosen.indices.tolist() == [1, 5, 2, 7, 4, 3, 6, 0][:n]


def test_tree_against_its_slow_twin():
    rows, scores = made_embeddings(), made_pool()["score"].to_numpy()
    leaves = _core.grow_tree(rows, 3, 20, 10, 42, False, None, None)
    ranked = sorted(range(240), key=lambda row: (-scores[row], row))
    queues = {leaf: [row for row in ranked if leaves[row] == leaf] for leaf in set(leaves)}
    expected = []
    while any(queues.values()):
        heads = [queue.pop(0) for queue in queues.values() if queue]
        expected += sorted(heads, key=ranked.index)
    chosen = select_by("column+tree", 100, {"branching": 3, "leaf": 20})
    assert chosen.indices.tolist() == expected[:100]
