"""ZIP: the set whose compression is worst, in three stages a round."""

from __future__ import annotations

import zlib

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_fast.strategies.compression import Archive
from strategy_pool import made_pool, select_by


def ratio_of(texts):
    whole = "".join(f"{text}\n" for text in texts).encode()
    return len(whole) / len(zlib.compress(whole, 9))


def by_the_paper(texts, ranked, n, stages):
    """Algorithm 1, compressing everything anew each time."""
    (k1, k2, k3), chosen, left = stages, [], list(range(len(ranked)))
    known = [ratio_of([texts[row]]) for row in ranked]
    while len(chosen) < n:
        first = sorted(left, key=lambda place: (known[place], place))[:k1]
        for place in first:
            known[place] = ratio_of([texts[ranked[each]] for each in [*chosen, place]])
        second = sorted(first, key=lambda place: (known[place], place))[:k2]
        batch = []
        for _ in range(min(k3, len(second), n - len(chosen) - len(batch))):
            rest = sorted(set(second) - set(batch))
            ratios = [ratio_of([texts[ranked[each]] for each in [*batch, place]]) for place in rest]
            batch.append(rest[int(np.argmin(ratios))])
        chosen += batch
        left = [place for place in left if place not in batch]
    return [ranked[place] for place in chosen]


@pytest.mark.parametrize(("n", "k1", "k2", "k3"), [(40, 60, 20, 10), (17, 240, 5, 9), (9, 4, 3, 1)])
def test_against_the_paper_compressing_everything_anew(n, k1, k2, k3):
    frame = made_pool()
    texts = frame.select(pl.concat_str("prompt", "completion", separator="\n")).to_series()
    options = {"k1": k1, "k2": k2, "k3": k3}
    expected = by_the_paper(texts.to_list(), list(range(240)), n, (k1, k2, k3))
    chosen = select_by("zip", n, options, frame=frame, embeddings=None, score_col=None)
    assert chosen.indices.tolist() == expected


def test_after_a_scorer_ties_go_to_the_better_ranked():
    texts = ["the same text", "the same text", "another one ... 0123456789", "the same text"]
    frame = pl.DataFrame({"text": texts, "score": [1, 3, 2, 3]})
    # The two texts differ; of the three equal ones the best scored and first is row 1.
    chosen = select_by("column+zip", 4, frame=frame).indices.tolist()
    assert sorted(chosen[:2]) == [1, 2]
    assert chosen[2:] == [3, 0]


@given(st.lists(st.binary(max_size=4000), max_size=12), st.binary(max_size=2000))
def test_a_trial_is_the_compression_of_the_whole(bodies, body):
    archive = Archive()
    for each in bodies:
        archive.add(each)
    whole = b"".join([*bodies, body])
    assert archive.ratio_with(body) == len(whole) / len(zlib.compress(whole, 9))


def test_a_trial_is_the_compression_of_more_than_a_window():
    random = np.random.default_rng(2)
    bodies = [
        " ".join(f"word{word}" for word in random.integers(0, 300, 200)).encode()
        for _ in range(200)
    ]
    archive = Archive()
    for place, body in enumerate(bodies):
        if place % 20 == 19:
            whole = b"".join(bodies[: place + 1])
            assert archive.ratio_with(body) == len(whole) / len(zlib.compress(whole, 9))
        archive.add(body)
