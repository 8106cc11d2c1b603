"""MoDS: good samples, seeds that cover them, and what is answered badly."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ds2_fast.errors import PoolError
from strategy_pool import made_embeddings, made_pool, select_by

ANGLES = np.radians([0, 10, 90, 100, 180, 200])
ROWS = np.column_stack([np.cos(ANGLES), np.sin(ANGLES)]).astype(np.float32)
FRAME = pl.DataFrame(
    {
        "text": [f"text {row}" for row in range(6)],
        "score": [1, 2, 3, 4, 5, 6],
        "reward": [0.5, 2.0, 0.0, 1.0, 1.5, -1.0],
        "answer": [-1.0, 0.5, -2.0, -0.5, -0.2, -3.0],
    }
)


def choose(n, **options):
    given = {"reward_col": "reward", **options}
    return select_by("mods", n, given, frame=FRAME, embeddings=ROWS)


def test_seeds_by_hand():
    # Rewards above 0: rows 1 (10 degrees), 4 (180), 3 (100) and 0 (0). The highest is 1; farthest
    # from it is 4 (170 away), then 3 (90 and 80), then 0.
    assert choose(4).indices.tolist() == [1, 4, 3, 0]
    chosen = choose(6)
    assert chosen.indices.tolist() == [1, 4, 3, 0]
    assert chosen.report["selection"]["why_fewer"] == "only 4 samples can be chosen"
    # Above 0.5: row 0 no longer passes.
    assert choose(4, threshold=0.5).indices.tolist() == [1, 4, 3]


def test_what_is_answered_badly_by_hand():
    # Two seeds: 1 and 4. Of the others of good quality 3 (-0.5) and 0 (-1) are answered badly, and
    # 3 is farther from the seeds. Rows 2 and 5 are answered badly too, but of no quality.
    assert choose(3, necessity_col="answer").indices.tolist() == [1, 4, 3]
    assert choose(4, necessity_col="answer", seed_samples=1).indices.tolist() == [1, 4, 3, 0]
    # Below -0.6 there is row 0 alone.
    found = choose(4, necessity_col="answer", necessity_threshold=-0.6)
    assert found.indices.tolist() == [1, 4, 0]
    assert "only 1 samples" in found.report["selection"]["why_fewer"]


def test_scores_are_rewards_where_no_column_is_named():
    frame = FRAME.with_columns(pl.col("reward").alias("score"))
    chosen = select_by("mods", 2, frame=frame, embeddings=ROWS)
    assert chosen.indices.tolist() == [1, 4]
    with pytest.raises(PoolError, match="no column `rewards`") as caught:
        choose(2, reward_col="rewards")
    assert "reward" in caught.value.hint


def test_against_its_slow_twin():
    frame, rows = made_pool(), made_embeddings().astype(np.float64)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    reward, answer = frame["reward"].to_numpy(), frame["answer_reward"].to_numpy()

    def extend(taken, allowed, n):
        for _ in range(n):
            left = [row for row in allowed if row not in taken]
            taken.append(min(left, key=lambda row: (units[taken] @ units[row]).max()))
        return taken

    good = [row for row in np.argsort(-reward, kind="stable").tolist() if reward[row] > 0]
    seeds = extend([good[0]], good, 9)
    expected = extend(seeds, [row for row in good if answer[row] < 0], 10)
    options = {"reward_col": "reward", "necessity_col": "answer_reward"}
    # Ten rows are twice in the pool: of two at the same distance the better ranked comes first.
    assert select_by("mods", 20, options).indices.tolist() == expected
