"""RDS+: what is nearest to each query in turn."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ds2_fast.errors import PoolError
from ds2_fast.strategies.nearness import BLOCK, compare_rows
from ds2_fast.strategies.target import highest
from strategy_pool import made_embeddings, select_by

ANGLES = np.radians([0, 20, 40, 60, 80, 100])
ROWS = np.column_stack([np.cos(ANGLES), np.sin(ANGLES)]).astype(np.float32)
FRAME = pl.DataFrame({"text": [f"text {row}" for row in range(6)], "score": [1] * 6})


@pytest.fixture
def queries(tmp_path):
    angles = np.radians([35, 61])
    file = tmp_path / "wanted.npy"
    np.save(file, 7 * np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32))
    return str(file)


def choose(n, file, **options):
    given = {"target_embeddings": file, **options}
    return select_by("target", n, given, frame=FRAME, embeddings=ROWS)


def test_round_robin_by_hand(queries):
    # From 35 degrees: 2 (5 away), 1 (15), 3 (25), 0 (35), 4 (45), 5. From 61: 3 (1), 4 (19), 2
    # (21), 5 (39), 1 (41), 0. In turn: 2, 3, 1, 4, then 3 and 2 are taken, then 0, 5.
    assert choose(6, queries).indices.tolist() == [2, 3, 1, 4, 0, 5]
    assert choose(3, queries).indices.tolist() == [2, 3, 1]


def test_best_by_hand(queries):
    # Least distances: 35, 15, 5, 1, 19, 39.
    chosen = choose(6, queries, per_query=False)
    assert chosen.indices.tolist() == [3, 2, 1, 4, 0, 5]
    expected = np.cos(np.radians([35, 15, 5, 1, 19, 39]))
    assert chosen.scores["ds2_strategy_score"].to_numpy() == pytest.approx(expected, abs=1e-6)


def test_against_its_slow_twin(tmp_path):
    rows = made_embeddings().astype(np.float64)
    wanted = np.random.default_rng(3).standard_normal((70, 12))
    np.save(tmp_path / "wanted.npy", wanted)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    near = (wanted / np.linalg.norm(wanted, axis=1, keepdims=True)) @ units.T
    # The order of the candidates breaks ties of rows that are in the pool twice.
    ranked = np.lexsort((np.arange(240), -near.max(axis=0).astype(np.float32)))
    expected = []
    turns = [ranked[np.argsort(-each[ranked].round(6), kind="stable")] for each in near]
    for rank in range(240):
        for turn in turns:
            if turn[rank] not in expected:
                expected.append(int(turn[rank]))
    options = {"target_embeddings": str(tmp_path / "wanted.npy")}
    assert set(select_by("target", 60, options).indices.tolist()) == set(expected[:60])
    assert select_by("target", 60, options).indices.tolist() == expected[:60]


@given(
    arrays.arrays(np.float32, st.integers(1, 50), elements=st.integers(0, 5).map(float)),
    st.data(),
)
def test_the_highest_come_first_and_ties_by_place(values, data):
    n = data.draw(st.integers(1, len(values)))
    assert highest(values, n).tolist() == np.argsort(-values, kind="stable")[:n].tolist()


def test_similarities_do_not_depend_on_threads_or_blocks():
    random = np.random.default_rng(1)
    rows = random.standard_normal((2 * BLOCK + 3, 8)).astype(np.float16)
    rows[5] = 0
    queries = np.eye(8, dtype=np.float32)[:3]
    found = compare_rows(rows, queries, 1)
    assert found.tobytes() == compare_rows(rows, queries, 4).tobytes()
    assert found.shape == (3, len(rows))
    assert (found[:, 5] == 0).all()
    wide = rows.astype(np.float64)
    length = np.linalg.norm(wide, axis=1)
    length[5] = 1
    assert found == pytest.approx((wide / length[:, np.newaxis])[:, :3].T, abs=1e-6)


def test_missing_or_unfit_targets_are_told(tmp_path, queries):
    with pytest.raises(PoolError, match="`target` needs samples like those") as caught:
        select_by("target", 2)
    assert "--target" in caught.value.hint
    (tmp_path / "wanted.jsonl").write_text('{"text": "a"}\n')
    file = str(tmp_path / "wanted.jsonl")
    with pytest.raises(PoolError, match="embeddings were given") as caught:
        select_by("target", 2, {"target": file})
    assert "--target-embeddings" in caught.value.hint
    with pytest.raises(PoolError, match="the space of the pool is `lexical`") as caught:
        select_by("target", 2, {"target": file}, frame=FRAME, space="lexical")
    assert "--space embedding" in caught.value.hint
    with pytest.raises(PoolError, match="named twice"):
        select_by("target", 2, {"target": file, "target_embeddings": queries})
    with pytest.raises(PoolError, match=r"has the shape \(2, 2\), .* 12 wide"):
        select_by("target", 2, {"target_embeddings": queries})
    np.save(tmp_path / "zeros.npy", np.zeros((2, 2), np.float32))
    with pytest.raises(PoolError, match=r"row 0 of .*zeros"):
        choose(2, str(tmp_path / "zeros.npy"))
