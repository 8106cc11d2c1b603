"""A small pool that has what every strategy looks at, and what it finds in it."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

import ds2_fast

TOPICS = ("sea", "bread", "number", "engine", "poem", "river")
ROWS = 240


def made_pool() -> pl.DataFrame:
    """240 samples on six topics, with ratings, tags, losses, rewards and groups."""
    random = np.random.default_rng(5)
    topics = [TOPICS[row % 6] for row in range(ROWS)]
    words = [
        " ".join(f"{topic}{word}" for word in random.integers(0, 9, 3 + row % 5))
        for row, topic in enumerate(topics)
    ]
    direct = random.uniform(1, 4, ROWS)
    return pl.DataFrame({
        "id": [f"s{row}" for row in range(ROWS)],
        "prompt": [f"tell of the {topic}" for topic in topics],
        "completion": words,
        "score": random.integers(0, 6, ROWS),
        "kind": topics,
        "tags": [
            [TOPICS[tag] for tag in random.permutation(6)[: 1 + row % 3]] for row in range(ROWS)
        ],
        "reward": random.normal(1, 1, ROWS),
        "answer_reward": random.normal(0, 1, ROWS),
        "loss_direct": direct,
        "loss_conditioned": direct * random.uniform(0.4, 1.2, ROWS),
    })  # fmt: skip


def made_embeddings() -> np.ndarray:
    """A cloud for each topic, float32 `(240, 12)`; ten rows are repeated."""
    random = np.random.default_rng(6)
    rows = (
        random.standard_normal((ROWS, 12))
        + 3 * random.standard_normal((6, 12))[np.arange(ROWS) % 6]
    )
    rows[200:210] = rows[:10]
    return rows.astype(np.float32)


def made_options(folder) -> dict[str, dict]:
    """Write the files that strategies are given into a folder; the options of each by name."""
    random = np.random.default_rng(7)
    for name, rows in (("train", ROWS), ("target", 8)):
        np.save(folder / f"{name}.npy", random.standard_normal((rows, 20)).astype(np.float32))
    np.save(folder / "wanted.npy", made_embeddings()[[3, 40, 77]])
    (folder / "wanted.jsonl").write_text(
        "".join(json.dumps({"prompt": "tell of the sea", "completion": t}) + "\n" for t in "ab")
    )
    (folder / "ids.txt").write_text("".join(f"s{row}\n" for row in range(0, ROWS, 2)))
    return {
        "ids": {"keep_ids": str(folder / "ids.txt")},
        "alpagasus": {"threshold": 3},
        "deita": {"threshold": 0.99},
        "less": {
            "train_features": (str(folder / "train.npy"),),
            "target_features": (str(folder / "target.npy"),),
        },
        "target": {"target_embeddings": str(folder / "wanted.npy")},
        "dsir": {"target": str(folder / "wanted.jsonl")},
        "mods": {"reward_col": "reward", "necessity_col": "answer_reward"},
        "superfiltering": {"factor": 2.0},
        "tree": {"branching": 3, "leaf": 20},
        "semdedup": {"cluster_size": 40, "eps": 0.02},
        "zip": {"k1": 60, "k2": 20, "k3": 10},
    }


def select_by(strategy, n, options=None, *, frame=None, **others):
    """Select from the made pool, or another frame."""
    given = {"score_col": "score", **others}
    if frame is None:
        frame = made_pool()
        given = {"embeddings": made_embeddings(), **given}
    return ds2_fast.select(frame, n, strategy=strategy, strategy_options=options, **given)
