"""The methods to find neighbors with: which is taken, what it finds, and what it says of itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.knn import GraphInfo, Neighbors, choose_method, find_neighbors
from ds2_fast.knn.cosine import cosines, nearest
from ds2_fast.knn.hnsw import Hnsw, IndexFailedError, survives
from ds2_fast.knn.indexed import find_in
from ds2_fast.knn.recall import measure_recall, sample_rows, wilson
from ds2_fast.knn.request import Request


def clustered(rows: int, dim: int = 32, seed: int = 0) -> NDArray[np.float32]:
    """Rows around some centers, which are what an index is for."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(max(2, rows // 50), dim))
    return (centers[rng.integers(len(centers), size=rows)] + rng.normal(size=(rows, dim))).astype(
        np.float32
    )


def with_duplicates_and_zeros(rows: int) -> NDArray[np.float32]:
    values = clustered(rows).round(1)
    values[rows // 2 : rows // 2 + 60] = values[3]
    values[[5, 40, rows - 1]] = 0
    return values


def test_the_exact_method_says_so() -> None:
    found = find_neighbors(clustered(300), 7)
    info = found.info
    assert info is not None
    assert (info.method, info.asked, info.dtype) == ("exact", "exact", "float32")
    assert (info.recall.value, info.recall.low, info.recall.high) == (1, 1, 1)
    assert info.recall.rows is None
    assert info.notices == ()
    assert info.seconds > 0
    assert info.tell() == "exactly"


def test_auto_decides_and_says_why() -> None:
    rows = clustered(300)
    found = find_neighbors(rows, method="auto")
    assert found.indices.shape == (300, 10)
    assert found.info is not None
    assert (found.info.method, found.info.asked) == ("exact", "auto")
    assert found.info.why == "the exact search is quick enough for 300 rows"
    assert choose_method("usearch", 300, 0.99) == ("usearch", "asked for")
    assert choose_method("auto", 300_000, 0.99)[0] == "exact"
    assert choose_method("auto", 300_001, 0.99) == (
        "approx",
        "300,001 rows are more than 300,000, and nearly all neighbors are enough",
    )
    assert choose_method("auto", 400_000, 1.0) == ("exact", "a recall of 1 was asked for")
    expected = r"^method: expected one of exact, approx, usearch, auto, got "
    with pytest.raises(ValueError, match=expected):
        find_neighbors(rows, method="annoy")  # type: ignore[arg-type]


def test_the_approximate_method_finds_nearly_all_and_measures_how_nearly() -> None:
    rows = clustered(9000).astype(np.float16)
    exact = find_neighbors(rows, 10)
    found = find_neighbors(rows, 10, method="approx", recall=0.9)
    assert found.info is not None
    info = found.info
    assert (info.method, info.recall_asked, info.kernel) == ("approx", 0.9, _core.kernel_name())
    assert info.recall.rows == 1000
    assert 0.9 <= info.recall.value <= info.recall.high
    true = np.mean(found.similarities >= exact.similarities[:, -1:])
    assert info.recall.low - 0.01 <= true <= info.recall.high + 0.01
    assert info.settings["probes"] in range(1, 143)
    _core.check_graph(found.indices, found.similarities)
    again = find_neighbors(rows, 10, method="approx", recall=0.9, threads=1)
    np.testing.assert_array_equal(found.indices, again.indices)
    np.testing.assert_array_equal(found.similarities, again.similarities)


def test_few_rows_are_searched_exactly_by_the_approximate_method() -> None:
    found = find_neighbors(clustered(300), 5, method="approx")
    np.testing.assert_array_equal(found.indices, find_neighbors(clustered(300), 5).indices)
    assert found.info is not None
    assert found.info.recall.rows is None
    with pytest.raises(ValueError, match=r"for a recall of 1 take `exact`$"):
        find_neighbors(clustered(300), 5, method="approx", recall=1.0)


def test_every_kernel_of_this_machine_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = clustered(2000)
    monkeypatch.setenv("DS2_FAST_KERNEL", "abacus")
    with pytest.raises(
        ValueError, match=r"^DS2_FAST_KERNEL is `abacus`; this machine runs "
    ) as told:
        find_neighbors(rows)
    names = str(told.value).rpartition("runs ")[2].split(", ")
    assert names[-1] == "portable"
    digests = set()
    for name in names:
        monkeypatch.setenv("DS2_FAST_KERNEL", name)
        found = find_neighbors(rows)
        assert found.info is not None
        assert found.info.kernel == name
        digests.add(found.indices.tobytes() + found.similarities.tobytes())
    assert len(digests) == 1


@pytest.mark.parametrize("value", [0, -0.5, 1.5])
def test_a_recall_is_a_share(value: float) -> None:
    with pytest.raises(ValueError, match=r"^recall must lie in \(0, 1\], got "):
        find_neighbors(clustered(30), 2, recall=value)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("k", [1, 10, 50])
def test_usearch_finds_nearly_all_and_its_numbers_are_true(dtype: type, k: int) -> None:
    rows = clustered(3000).astype(dtype)
    exact = find_neighbors(rows, k)
    found = find_neighbors(rows, k, method="usearch")
    _core.check_graph(found.indices, found.similarities)
    info = found.info
    assert info is not None
    assert (info.method, info.dtype, info.notices) == ("usearch", "f16", ())
    assert info.recall.rows == 1000
    assert info.recall.low <= info.recall.value <= info.recall.high
    assert info.recall.value >= info.recall_asked == 0.99
    # The sample tells the truth of the whole.
    of_all = float(np.mean(found.similarities >= exact.similarities[:, -1:]))
    assert info.recall.low <= of_all <= info.recall.high
    # The similarities are those of the exact search, bit for bit.
    places = np.arange(3000)
    assert np.array_equal(found.similarities, cosines(rows[places], rows, found.indices))
    same = found.indices == exact.indices
    assert np.array_equal(found.similarities[same], exact.similarities[same])


def test_rows_of_any_length_are_compared_by_direction() -> None:
    rows = clustered(500)
    scaled = (rows * np.logspace(-12, 12, 500, dtype=np.float32)[:, None]).astype(np.float32)
    exact = find_neighbors(scaled, 5)
    found = find_neighbors(scaled, 5, method="usearch", recall=1)
    assert np.array_equal(found.indices, exact.indices)
    assert np.array_equal(found.similarities, exact.similarities)


def test_usearch_is_the_same_for_any_number_of_threads_and_every_time() -> None:
    rows = clustered(4000)
    one = find_neighbors(rows, 10, method="usearch", threads=1)
    for threads in (1, 2, 3, None):
        other = find_neighbors(rows, 10, method="usearch", threads=threads)
        assert one.indices.tobytes() == other.indices.tobytes()
        assert one.similarities.tobytes() == other.similarities.tobytes()


def test_duplicates_and_rows_of_zeros() -> None:
    rows = with_duplicates_and_zeros(800)
    with pytest.raises(ValueError, match=r"^row 5 is all zeros and has no direction$"):
        find_neighbors(rows, 10, method="usearch")
    exact = find_neighbors(rows, 10, allow_zero=True)
    found = find_neighbors(rows, 10, method="usearch", allow_zero=True)
    _core.check_graph(found.indices, found.similarities)
    assert found.info is not None
    assert found.info.method == "usearch"
    zeros = [5, 40, 799]
    assert np.array_equal(found.indices[zeros], exact.indices[zeros])
    assert (found.similarities[zeros] == 0).all()
    copies = [3, *range(400, 460)]
    assert (found.similarities[copies] == 1).all()


def test_rows_of_zeros_are_nearer_than_opposite_ones() -> None:
    rows = np.float32([[1, 0], [0, 0], [-1, 0], [-1, 0.5], [0, 0]])
    exact = find_neighbors(rows, 3, allow_zero=True)
    found = find_neighbors(rows, 3, method="usearch", allow_zero=True)
    assert np.array_equal(found.indices, exact.indices)
    assert np.array_equal(found.similarities, exact.similarities)


@given(n=st.integers(2, 40), k=st.integers(1, 39), zero=st.booleans())
def test_small_pools_come_out_exactly(n: int, k: int, zero: bool) -> None:
    k = min(k, n - 1)
    rows = np.random.default_rng(n).integers(-2, 3, size=(n, 3)).astype(np.float32)
    if not zero:
        rows[~rows.any(axis=1)] = 1
    exact = find_neighbors(rows, k, allow_zero=True)
    found = find_neighbors(rows, k, method="usearch", allow_zero=True, say=lambda _: None)
    assert np.array_equal(found.similarities, exact.similarities)


def test_all_rows_zero() -> None:
    rows = np.zeros((6, 4), np.float32)
    found = find_neighbors(rows, 2, method="usearch", allow_zero=True)
    assert found.indices.tolist() == find_neighbors(rows, 2, allow_zero=True).indices.tolist()


def test_misuse_is_named_as_by_the_exact_method() -> None:
    rows = np.ones((6, 4), np.float32)
    bad = rows.copy()
    bad[3, 2] = np.nan
    zero = rows.copy()
    zero[2] = 0
    cases: list[tuple[Any, dict[str, Any]]] = [
        (rows.astype(np.float64), {}),
        (rows[0], {}),
        (rows.tolist(), {}),
        (rows.astype(">f4"), {}),
        (rows, {"k": 0}),
        (rows, {"k": 6}),
        (rows, {"threads": 0}),
        (zero, {}),
        (np.ones((0, 4), np.float32), {}),
        (np.ones((1, 4), np.float32), {}),
    ]
    for wrong, options in cases:
        messages = []
        for method in ("exact", "usearch"):
            with pytest.raises((TypeError, ValueError)) as caught:
                find_neighbors(wrong, **{"k": 2, "method": method, **options})
            messages.append((type(caught.value), str(caught.value)))
        assert messages[0] == messages[1]
    for wrong, message in [
        (bad, "row 3, column 2 is nan; embeddings must be finite"),
        (rows[:, ::2], "C-contiguous"),
        (np.ones((6, 0), np.float32), "at least 1 column"),
    ]:
        with pytest.raises(ValueError, match=message):
            find_neighbors(wrong, 2, method="usearch")


def random_rows(rows: int) -> NDArray[np.float32]:
    """Rows without any structure in many dimensions, which no index finds its way in."""
    return np.random.default_rng(1).normal(size=(rows, 256)).astype(np.float32)


def test_a_recall_that_is_missed_raises_the_expansion() -> None:
    rows = random_rows(2500)
    index = Hnsw(256)
    index.add(rows)
    low = find_in(index, Request(rows, 10, recall=0.5))
    high = find_in(index, Request(rows, 10, recall=0.99))
    assert low.info is not None
    assert high.info is not None
    assert low.info.settings["expansion_search"] == 64
    assert high.info.settings["expansion_search"] in (128, 256, 512)
    assert 0.5 <= low.info.recall.value < 0.99 <= high.info.recall.value


def test_a_recall_that_is_not_reached_is_found_exactly_and_said() -> None:
    rows = random_rows(5000)
    exact = find_neighbors(rows, 10)
    said: list[str] = []
    found = find_neighbors(rows, 10, method="usearch", recall=1, say=said.append)
    assert np.array_equal(found.indices, exact.indices)
    assert np.array_equal(found.similarities, exact.similarities)
    info = found.info
    assert info is not None
    assert (info.method, info.asked, info.why) == ("exact", "usearch", "`usearch` failed")
    assert said == list(info.notices)
    assert "even at expansion 512, and 1 was asked for: the neighbors are found exactly" in said[0]
    with pytest.warns(RuntimeWarning, match="the neighbors are found exactly instead"):
        find_neighbors(rows, 10, method="usearch", recall=1)


def test_a_library_that_cannot_be_loaded_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("usearch", "usearch.index"):
        monkeypatch.setitem(sys.modules, name, None)
    rows = clustered(200)
    with pytest.raises(IndexFailedError, match=r"^usearch could not be loaded: "):
        Hnsw(32)
    with pytest.warns(RuntimeWarning, match=r"^usearch could not be loaded: .* found exactly"):
        found = find_neighbors(rows, 5, method="usearch")
    assert np.array_equal(found.indices, find_neighbors(rows, 5).indices)


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands for the interpreter")
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("kill -SEGV $$", "usearch died with signal 11 when it was tried"),
        ("echo 'no such instruction' >&2; exit 3", "usearch failed when it was tried: no such"),
    ],
)
def test_a_library_that_dies_does_so_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    interpreter.chmod(0o755)
    rows = clustered(200)
    survives.cache_clear()
    monkeypatch.setattr(sys, "executable", str(interpreter))
    said: list[str] = []
    found = find_neighbors(rows, 5, method="usearch", say=said.append)
    assert len(said) == 1
    assert words in said[0]
    assert np.array_equal(found.indices, find_neighbors(rows, 5).indices)
    # With the right interpreter it is tried once more.
    monkeypatch.undo()
    found = find_neighbors(rows, 5, method="usearch")
    assert found.info is not None
    assert found.info.method == "usearch"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_progress_raises_stops_every_method(error: type[BaseException]) -> None:
    rows = clustered(3000)
    for last in (0, 1500, 2500):

        def stop(done: int, total: int, last: int = last) -> None:
            assert total == 3000
            if done >= last:
                raise error

        with pytest.raises(error):
            find_neighbors(rows, 10, method="usearch", progress=stop)


def test_progress_counts_rows_once() -> None:
    seen: list[tuple[int, int]] = []
    rows = clustered(3000)
    find_neighbors(
        rows, 3, method="usearch", progress=lambda done, total: seen.append((done, total))
    )
    assert seen[0] == (0, 3000)
    assert seen[-1] == (3000, 3000)
    assert seen == sorted(seen)
    assert len(seen) > 4


def test_an_index_is_written_and_read_back(tmp_path: Any) -> None:
    rows = clustered(1500)
    index = Hnsw(32)
    index.add(rows)
    paths = [tmp_path / name for name in ("one", "two")]
    for path in paths:
        again = Hnsw(32)
        for start in range(0, 1500, 700):
            again.add(rows[start : start + 700], first=start)
        again.save(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    opened = Hnsw.open(paths[0], 32)
    assert len(opened) == len(index) == 1500
    for threads in (1, 2):
        found = opened.search(rows[:300], 12, expansion=64, threads=threads)
        assert np.array_equal(found, index.search(rows[:300], 12, expansion=64, threads=1))
    assert opened.search(rows[:1], 5, expansion=64).shape == (1, 5)
    with pytest.raises(IndexFailedError, match="could not read"):
        Hnsw.open(tmp_path / "three", 32)
    paths[1].write_bytes(paths[1].read_bytes()[:5000])
    with pytest.raises(IndexFailedError, match="could not read"):
        Hnsw.open(paths[1], 32)
    with pytest.raises(IndexFailedError, match=r"could not read|other settings"):
        Hnsw.open(paths[0], 33)
    with pytest.raises(OSError):
        index.save(tmp_path / "no" / "folder")


def test_an_index_of_fewer_rows_than_asked_for() -> None:
    index = Hnsw(2)
    assert index.search(np.ones((2, 2), np.float32), 3, expansion=64).tolist() == [[-1] * 3] * 2
    index.add(np.float32([[1, 0], [0, 0], [0, 1]]))
    assert len(index) == 2
    found = index.search(np.float32([[1, 0.1], [0, 1]]), 4, expansion=64)
    assert found.tolist() == [[0, 2, -1, -1], [2, 0, -1, -1]]
    assert index.search(np.float32([[1, 0.1]]), 4, expansion=64).tolist() == [[0, 2, -1, -1]]


@given(
    n=st.integers(2, 60),
    dim=st.sampled_from([1, 3, 16, 17, 40]),
    dtype=st.sampled_from([np.float32, np.float16]),
)
def test_nearest_and_cosines_have_the_bits_of_the_core(n: int, dim: int, dtype: type) -> None:
    rng = np.random.default_rng(n * 100 + dim)
    rows = rng.normal(size=(n, dim)).round(1).astype(dtype)
    rows[: n // 3] *= dtype(2.0**10)
    k = min(7, n - 1)
    exact = find_neighbors(rows, k, allow_zero=True)
    indices, similarities = nearest(rows, rows, k, own=np.arange(n))
    assert np.array_equal(indices, exact.indices)
    assert similarities.tobytes() == exact.similarities.tobytes()


def test_lengths_whose_squares_float32_cannot_hold() -> None:
    rows = clustered(60) * np.float32(1)
    for factor in (1e30, 1e-30):
        scaled = (rows * np.float32(factor)).astype(np.float32)
        exact = find_neighbors(scaled, 5)
        indices, similarities = nearest(scaled, scaled, 5, own=np.arange(60))
        assert np.array_equal(indices, exact.indices)
        assert np.array_equal(similarities, exact.similarities)


def test_recall_counts_equals_and_not_the_missing() -> None:
    true = np.float32([[0.9, 0.5], [0.3, 0.1]])
    assert measure_recall(true, true).value == 1
    found = np.float32([[0.9, -np.inf], [0.3, 0.05]])
    recall = measure_recall(found, true)
    assert (recall.value, recall.rows) == (0.5, 2)
    with pytest.raises(ValueError, match="cannot be compared"):
        measure_recall(found[:1], true)


def test_wilson_is_the_root_of_its_own_equation() -> None:
    for share, trials in [(0.99, 1000), (0.5, 10), (1.0, 1000), (0.0, 5)]:
        low, high = wilson(share, trials)
        assert 0 <= low <= share <= high <= 1
        for end in (low, high):
            if 0 < end < 1 and end != share:
                # A true share at the end of the interval is 1.96 standard errors off.
                distance = abs(share - end) / np.sqrt(end * (1 - end) / trials)
                assert distance == pytest.approx(1.959964, abs=1e-5)


def test_the_sample_is_the_same_each_time() -> None:
    sample = sample_rows(5000)
    assert np.array_equal(sample, sample_rows(5000))
    assert len(set(sample.tolist())) == 1000
    assert sample.tolist() == sorted(sample.tolist())
    assert sample.max() < 5000
    assert sample_rows(7).tolist() == list(range(7))


def test_what_is_known_of_a_graph_survives_json() -> None:
    import json

    for method in ("exact", "usearch"):
        info = find_neighbors(clustered(200), 5, method=method).info  # type: ignore[arg-type]
        assert info is not None
        assert GraphInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info
    assert Neighbors(np.zeros((1, 1), np.uint32), np.zeros((1, 1), np.float32)).info is None
