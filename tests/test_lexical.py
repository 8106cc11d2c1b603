"""The lexical space against a twin in plain numpy, and its joining with another space."""

from __future__ import annotations

import re
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ds2_fast.knn import find_neighbors
from ds2_fast.lexical import embed_lexical, fit_lexical, hybrid

TOKEN = re.compile(r"[a-z]+|[0-9]+|[^\sa-z0-9]")  # of lower-cased ASCII
TOPICS = (
    "how do I bake bread with flour water yeast and salt in the oven",
    "write a python function that sorts a list of numbers and returns it",
    "the war ended in 1945 after six years , said the history teacher",
    "translate this sentence into french : the weather is nice today !",
)


def topical(n: int, seed: int = 0) -> tuple[list[str], NDArray[np.int64]]:
    """Texts of eight words drawn from one of four topics, and the topics."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(len(TOPICS), size=n)
    return [" ".join(rng.choice(TOPICS[topic].split(), 8)) for topic in topics], topics


def unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 1e-9, lengths, np.inf)


def plain_weights(texts: list[str]) -> NDArray[np.float64]:
    """Unit TF-IDF rows of terms in two texts or more, straight from the formula."""
    tokens = [TOKEN.findall(text.lower()) for text in texts]
    terms = sorted({token for text in tokens for token in text})
    if not terms:
        return np.zeros((len(texts), 1))
    tf = np.array([[text.count(term) for term in terms] for text in tokens], dtype=float)
    df = (tf > 0).sum(0)
    idf = 1 + np.log((1 + len(texts)) / (1 + df))
    weights = np.where(tf > 0, 1 + np.log(np.maximum(tf, 1)), 0) * idf
    return unit(weights * (df >= 2))


def plain_embed(texts: list[str], dim: int) -> NDArray[np.float64]:
    weights = plain_weights(texts)
    directions = np.linalg.svd(weights, full_matrices=False)[2][:dim]
    return unit(weights @ directions.T)


def assert_same_similarities(
    found: NDArray[np.float32], expected: NDArray[np.float64], tolerance: float
) -> None:
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, rtol=0, atol=tolerance)


words = st.sampled_from(["sun", "Moon", "star", "x1", "42", "day?", "night", "a-b", "TIDE", "_"])
pools = st.lists(st.lists(words, max_size=8).map(" ".join), min_size=1, max_size=25)


@given(texts=pools)
def test_a_space_of_full_rank_is_that_of_plain_numpy(texts: list[str]) -> None:
    assert_same_similarities(embed_lexical(texts, dim=24), plain_embed(texts, 24), 2e-6)


def test_a_truncated_space_is_that_of_plain_numpy() -> None:
    texts, _ = topical(150)
    terms = int(plain_weights(texts).any(0).sum())
    # With up to 24 directions to spare, the decomposition looks at all there are and is exact.
    for dim in (terms + 10, terms - 10, terms - 24):
        assert_same_similarities(embed_lexical(texts, dim=dim), plain_embed(texts, dim), 1e-5)
    values = np.linalg.svd(plain_weights(texts), compute_uv=False)
    fit = fit_lexical(texts, dim=terms - 24)
    np.testing.assert_allclose(fit.singular_values, values[: terms - 24], rtol=1e-5)
    assert (fit.sampled, fit.terms) == (150, terms)
    # With fewer, those before the gap in the spectrum (four topics) are found all the same.
    np.testing.assert_allclose(fit_lexical(texts, dim=4).singular_values, values[:4], rtol=1e-5)


def test_neighbors_share_the_topic() -> None:
    texts, topics = topical(400)
    neighbors = find_neighbors(embed_lexical(texts, dim=8), k=5)
    assert (topics[neighbors.indices] == topics[:, None]).mean() > 0.97


def test_rows_have_unit_length_and_the_right_type() -> None:
    rows = embed_lexical(topical(50)[0], dim=5)
    assert (rows.dtype, rows.shape, rows.flags.c_contiguous) == (np.float32, (50, 5), True)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


def test_the_bytes_depend_on_the_seed_but_not_on_the_threads() -> None:
    texts, _ = topical(2000)
    one = fit_lexical(texts, dim=9, threads=1)
    for threads in (2, 3, None):
        assert fit_lexical(texts, dim=9, threads=threads).rows.tobytes() == one.rows.tobytes()
    assert fit_lexical(texts, dim=9, seed=2**64 - 1).rows.tobytes() != one.rows.tobytes()


def test_texts_without_a_shared_word_are_zero_rows_and_named() -> None:
    texts = ["", "sun and moon", "\0", "moon and star", "unheard", "\n\t", "😀"]
    fit = fit_lexical(texts, dim=3)
    assert fit.unknown.tolist() == [0, 2, 4, 5, 6]
    assert fit.unknown.dtype == np.uint32
    assert (~fit.rows.any(axis=1)).nonzero()[0].tolist() == [0, 2, 4, 5, 6]


@pytest.mark.parametrize("texts", [[], ["one"], ["one", "two"], [""] * 7])
def test_pools_without_anything_shared(texts: list[str]) -> None:
    fit = fit_lexical(texts, dim=4)
    assert fit.rows.shape == (len(texts), 4)
    assert not fit.rows.any()
    assert (fit.terms, len(fit.unknown), len(fit.singular_values)) == (0, len(texts), 0)


@pytest.mark.parametrize("text", ["the same", "x", "😀", "東京都", "nul\0inside", "y " * 500_000])
def test_equal_texts_are_one_point(text: str) -> None:
    fit = fit_lexical([text] * 30, dim=4)
    np.testing.assert_allclose(fit.singular_values, [30**0.5], rtol=1e-6)
    assert len(np.unique(fit.rows, axis=0)) == 1


def test_scripts_without_spaces_find_their_like() -> None:
    texts = ["我喜欢北京的秋天", "北京的秋天很美", "สวัสดีครับ", "สวัสดีค่ะ", "한국어 문장", "한국어는"]
    rows = embed_lexical(texts, dim=6)
    similar = rows @ rows.T > 0.9
    assert similar.tolist() == np.kron(np.eye(3, dtype=bool), np.ones((2, 2), dtype=bool)).tolist()


def test_any_sequence_of_strings_is_taken() -> None:
    texts, _ = topical(20)
    expected = embed_lexical(texts, dim=3).tobytes()
    assert embed_lexical(tuple(texts), dim=3).tobytes() == expected


def test_misuse_is_named() -> None:
    with pytest.raises(TypeError, match="expected a sequence of str, got str"):
        embed_lexical("one text")
    with pytest.raises(TypeError, match="texts: expected str in row 1, got int"):
        embed_lexical(["a", 1])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="texts: expected str in row 0, got NoneType"):
        embed_lexical([None])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="texts: row 2 has a lone surrogate"):
        embed_lexical(["a", "b", "\ud800"])
    with pytest.raises(ValueError, match="dim must be at least 1, got -3"):
        embed_lexical(["a"], dim=-3)
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        embed_lexical(["a"], threads=0)


def test_progress_counts_rows_and_may_stop() -> None:
    texts, _ = topical(20_000)
    seen: list[tuple[int, int]] = []
    embed_lexical(texts, dim=4, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[0] == (0, 20_000)
    assert seen[-1] == (20_000, 20_000)
    assert len(set(seen)) > 6

    def stop(done: int, _total: int) -> None:
        if done > 5000:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        embed_lexical(texts, dim=4, progress=stop)


def test_other_threads_run_meanwhile() -> None:
    texts, _ = topical(40_000)
    ticks, done = [0], threading.Event()

    def count() -> None:
        while not done.is_set():
            ticks[0] += 1
            done.wait(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    embed_lexical(texts, dim=64)
    done.set()
    thread.join()
    assert ticks[0] > 5


matrices = st.tuples(st.integers(0, 30), st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(
        *(
            hnp.arrays(dtype, (shape[0], columns), elements=st.integers(-4, 4).map(float))
            for dtype, columns in ((np.float16, shape[1]), (np.float32, shape[2]))
        )
    )
)


@given(parts=matrices, weight=st.floats(0.01, 100))
def test_a_joined_row_is_the_concatenation_of_unit_rows(parts: Any, weight: float) -> None:
    x, y = parts
    joined = hybrid(x, y, weight)
    expected = unit(np.hstack([unit(x.astype(float)), weight * unit(y.astype(float))]))
    assert joined.dtype == np.float32
    np.testing.assert_allclose(joined, expected, rtol=0, atol=1e-7)


def test_joined_similarities_are_weighted_means() -> None:
    rng = np.random.default_rng(1)
    x, y = (unit(rng.normal(size=(40, d))).astype(np.float32) for d in (7, 3))
    joined = hybrid(x, y, 0.5)
    expected = (x @ x.T + 0.25 * (y @ y.T)) / 1.25
    np.testing.assert_allclose(joined @ joined.T, expected, atol=1e-6)


def test_joining_writes_block_by_block_into_a_map(tmp_path: Any) -> None:
    rng = np.random.default_rng(2)
    n = 10_000
    x, y = rng.normal(size=(n, 5)).astype(np.float16), rng.normal(size=(n, 4)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    out = np.lib.format.open_memmap(tmp_path / "out.npy", mode="w+", dtype=np.float32, shape=(n, 9))
    seen: list[tuple[int, int]] = []
    written = hybrid(
        np.load(tmp_path / "x.npy", mmap_mode="r"),
        y,
        out=out,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert written is out
    assert np.array_equal(out, hybrid(x, y))
    assert seen == [(4096, n), (8192, n), (n, n)]


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "message"),
    [
        ((3, 2), (4, 2), {}, ValueError, "as many rows, got 3 and 4"),
        ((3,), (3, 2), {}, ValueError, r"embeddings: expected \(N, d\)"),
        ((3, 2), (3, 0), {}, ValueError, r"lexical: expected \(N, d\) with d >= 1"),
        ((3, 2), (3, 2), {"weight": 0.0}, ValueError, "weight must be a finite number above 0"),
        ((3, 2), (3, 2), {"weight": float("nan")}, ValueError, "weight must be .* got nan"),
        ((3, 2), (3, 2), {"out": np.empty((3, 5), "f4")}, ValueError, r"float32 \(3, 4\), got"),
        ((3, 2), (3, 2), {"out": np.empty((3, 4))}, TypeError, r"got float64 \(3, 4\)"),
    ],
)
def test_parts_that_do_not_fit_are_named(
    x: tuple[int, ...], y: tuple[int, ...], options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        hybrid(np.ones(x, np.float32), np.ones(y, np.float32), **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_that_is_not_finite_is_named(value: float) -> None:
    x, y = np.ones((5000, 2), np.float32), np.ones((5000, 2), np.float32)
    y[4321, 1] = value
    with pytest.raises(ValueError, match="lexical: row 4321 is not finite"):
        hybrid(x, y)


@pytest.mark.data
def test_neighbors_predict_ratings_better_than_chance(data_dir: Any) -> None:
    import polars as pl

    pool = pl.read_parquet(data_dir / "alpaca52k_rated.parquet")[:12_000]
    texts = ["\n".join(filter(None, row)) for row in pool["instruction", "input", "output"].rows()]
    ratings = pool["rating_gpt4o_mini"].to_numpy().astype(float)
    fit = fit_lexical(texts)
    neighbors = find_neighbors(fit.rows, k=10, allow_zero=True)
    predicted = ratings[neighbors.indices].mean(axis=1)

    def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
        _, group, count = np.unique(values, return_inverse=True, return_counts=True)
        return (np.cumsum(count) - (count - 1) / 2)[group]

    rho = np.corrcoef(ranks(predicted), ranks(ratings))[0, 1]
    # .58 when this was written, 12,000 of the 52,002 samples; a random order gives 0 +- .01.
    assert rho > 0.55
    assert len(fit.unknown) == 0
