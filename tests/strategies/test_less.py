"""LESS: influence on the subtask that gains most."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ds2_fast.errors import PoolError
from strategy_pool import select_by

FRAME = pl.DataFrame({"text": [f"text {row}" for row in range(4)]})


@pytest.fixture
def files(tmp_path):
    def save(name, rows):
        np.save(tmp_path / f"{name}.npy", np.array(rows, np.float32))
        return str(tmp_path / f"{name}.npy")

    return save


def choose(n, options, **others):
    return select_by("less", n, options, frame=FRAME, score_col=None, **others)


def test_by_hand(files, tmp_path):
    # Unit rows of the pool: (1, 0), (.6, .8), (0, 1), (-1, 0). Subtask x: (1, 0) and (0, 1), mean
    # (.5, .5); subtask y: (-1, 0). At the first checkpoint x gives .5, .7, .5, -.5 and y gives
    # -1, -.6, 0, 1. At the second all of the pool are (0, 1), and the target (0, 1), (0, 1) and
    # (1, 0): x gives 1 and y 0 to each.
    train = [files("a0", [[2, 0], [3, 4], [0, 0.5], [-1, 0]]), files("a1", [[0, 9]] * 4)]
    target = [files("b0", [[5, 0], [0, 2], [-3, 0]]), files("b1", [[0, 1], [0, 1], [1, 0]])]
    (tmp_path / "subtasks.txt").write_text("x\nx\ny\n")
    options = {
        "train_features": tuple(train),
        "target_features": tuple(target),
        "subtasks": str(tmp_path / "subtasks.txt"),
    }
    # Weights 3 and 1 are .75 and .25: x gives .625, .775, .625, -.125 and y -.75, -.45, 0, .75.
    chosen = choose(4, {**options, "weights": "3,1"})
    expected = [0.625, 0.775, 0.625, 0.75]
    assert chosen.scores["ds2_strategy_score"].to_numpy() == pytest.approx(expected, abs=1e-7)
    assert chosen.indices.tolist() == [1, 3, 0, 2]
    # Alike: x gives .75, .85, .75, .25 and y -.5, -.3, 0, .5.
    chosen = choose(4, options)
    expected = [0.75, 0.85, 0.75, 0.5]
    assert chosen.scores["ds2_strategy_score"].to_numpy() == pytest.approx(expected, abs=1e-7)


def test_one_subtask_where_none_are_named(files):
    # The mean of (1, 0) and (0, 1) is (.5, .5).
    options = {
        "train_features": (files("a", [[1, 0], [1, 1], [0, 0], [-1, 0]]),),
        "target_features": (files("b", [[1, 0], [0, 1]]),),
    }
    found = choose(4, options).scores["ds2_strategy_score"].to_numpy()
    assert found == pytest.approx([0.5, np.sqrt(0.5), 0, -0.5], abs=1e-7)


def test_what_is_missing_or_does_not_fit_is_told(files, tmp_path):
    pool, target = files("a", np.eye(4)), files("b", np.eye(4)[:2])
    whole = {"train_features": (pool,), "target_features": (target,)}
    cases = [
        ({}, "those of the pool are not named", "--train-features"),
        ({"train_features": (pool,)}, "those of the target are not named", "--target-features"),
        ({**whole, "train_features": (pool, pool)}, "2 files of the pool's gradients and 1", "one"),
        ({**whole, "train_features": (target,)}, "has 2 rows, and the pool 4", "each sample"),
        ({**whole, "target_features": (files("c", np.eye(3)),)}, "4 columns, .* 3", "projection"),
        ({**whole, "weights": "1,x"}, "numbers of at least 0", "--weights"),
        ({**whole, "weights": "1,2"}, "has 2 weights", "give one for each"),
        ({**whole, "subtasks": str(tmp_path / "none.txt")}, "cannot read", "text file"),
        ({**whole, "subtasks": pool + ".txt"}, "has 1 lines for 2 target rows", "one line"),
        ({**whole, "train_features": (files("d", [[np.nan] * 4] * 4),)}, "row 0 of", "zero"),
        ({**whole, "train_features": (files("e", [1, 2, 3, 4]),)}, "has the shape", "one row"),
    ]
    (tmp_path / "a.npy.txt").write_text("x\n")
    for options, said, hint in cases:
        with pytest.raises(PoolError, match=said) as caught:
            choose(2, options)
        assert hint in caught.value.hint
