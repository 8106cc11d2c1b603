"""SemDeDup: in a cluster, what is like a sample before it goes."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ds2_fast import _core
from ds2_fast.strategies.semdedup import PAIRS, repeats
from strategy_pool import made_embeddings, select_by

# One cluster: 30, 32 and 34 degrees, 90, and 91.
ANGLES = np.radians([30, 32, 34, 90, 91])
ROWS = np.column_stack([np.cos(ANGLES), np.sin(ANGLES)]).astype(np.float32)
FRAME = pl.DataFrame({"text": [f"text {row}" for row in range(5)], "score": [1, 2, 3, 4, 5]})


def kept(**options):
    chosen = select_by("semdedup+all", 5, options, frame=FRAME, embeddings=ROWS)
    return chosen.indices.tolist()


def test_by_hand():
    # The sum of the unit rows points to 55.1 degrees. Least similar first: 91 (35.9 off), 90, 30
    # (25.1), 32, 34. Within 2.5 degrees of one before it (eps = 1 - cos 2.5 = 0.00095): 90 of 91,
    # 32 of 30, and 34 of 32, though 32 is dropped itself.
    assert kept(eps=0.00095) == [0, 4]
    # Most similar first: 34, 32, 30, 90, 91.
    assert kept(eps=0.00095, keep_which="easy") == [2, 3]
    # 1.5 degrees: only 90 goes. 5 degrees: all three of the first group are alike.
    assert kept(eps=1 - np.cos(np.radians(1.5))) == [0, 1, 2, 4]
    assert kept(eps=1 - np.cos(np.radians(5))) == [0, 4]


def test_it_filters_before_any_strategy():
    chosen = select_by("semdedup+column", 5, {"eps": 0.00095}, frame=FRAME, embeddings=ROWS)
    assert chosen.indices.tolist() == [4, 0]
    assert chosen.report["selection"]["filtered"] == 3
    assert chosen.report["selection"]["why_fewer"] == "only 2 samples can be chosen"


@pytest.mark.parametrize("which", ["hard", "easy"])
def test_against_its_slow_twin(which):
    rows = made_embeddings().astype(np.float64)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    leaves = _core.grow_tree(made_embeddings(), 10, 40, 10, 42, False, None, None)
    dropped = set()
    for leaf in set(leaves.tolist()):
        members = np.flatnonzero(leaves == leaf)
        center = units[members].sum(axis=0)
        sign = 1 if which == "hard" else -1
        order = sorted(members, key=lambda row: (round(sign * float(units[row] @ center), 6), row))
        for place, row in enumerate(order):
            if any(units[row] @ units[other] > 0.95 for other in order[:place]):
                dropped.add(int(row))
    options = {"eps": 0.05, "cluster_size": 40, "keep_which": which}
    chosen = select_by("semdedup+all", 240, options).indices.tolist()
    assert sorted(set(range(240)) - set(chosen)) == sorted(dropped)
    assert len(dropped) > 10


def test_who_stays_at_random_is_drawn_by_the_seed():
    rows = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)
    frame = pl.DataFrame({"text": [f"text {row}" for row in range(12)]})
    found = {
        tuple(
            select_by(
                "semdedup+all", 12, {"keep_which": "random"}, frame=frame, embeddings=rows,
                seed=seed, score_col=None,
            ).indices.tolist()
        )
        for seed in range(6)
    }  # fmt: skip
    assert all([row // 4 for row in each] == [0, 1, 2] for each in found)
    assert len(found) > 1


def test_pairs_in_many_parts_are_decided_like_a_few():
    random = np.random.default_rng(0)
    rows = np.repeat(random.standard_normal((2, 6)), [150, 50], axis=0)
    rows += 1e-4 * random.standard_normal(rows.shape)
    assert PAIRS < 150 * 149 // 2
    assert np.flatnonzero(~repeats(rows.astype(np.float32), 0.999)).tolist() == [0, 150]
    assert not repeats(np.zeros((3, 2), np.float32), 0.5).any()
