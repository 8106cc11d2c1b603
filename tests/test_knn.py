"""The exact neighbors against a twin in plain numpy, and graphs read from files."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.errors import PoolError
from ds2_fast.knn import Neighbors, find_neighbors, load_graph, map_embeddings

DTYPES = [np.float32, np.float16]


def cosines(rows: NDArray[Any]) -> NDArray[np.float64]:
    """All cosine similarities in float64; 0 for rows of zeros, -inf for a row with itself."""
    wide = rows.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    unit = wide / np.where(lengths > 0, lengths, 1)[:, None]
    similarities = unit @ unit.T
    np.fill_diagonal(similarities, -np.inf)
    return similarities


def assert_exact(rows: NDArray[Any], neighbors: Neighbors) -> None:
    """Compare with the twin, up to what rounding to float32 and sums in float64 may change."""
    n, k = neighbors.indices.shape
    assert neighbors.indices.dtype == np.uint32
    assert neighbors.similarities.dtype == np.float32
    _core.check_graph(neighbors.indices, neighbors.similarities)
    twin = cosines(rows)
    tolerance = 2.0**-24 + 2 * rows.shape[1] * 2.0**-52
    of_found = np.take_along_axis(twin, neighbors.indices.astype(np.int64), axis=1)
    np.testing.assert_allclose(neighbors.similarities, of_found, rtol=0, atol=tolerance)
    best = -np.sort(-twin, axis=1)[:, :k]
    np.testing.assert_allclose(neighbors.similarities, best, rtol=0, atol=tolerance)
    # Where the twin leaves no doubt, the rows themselves are the same.
    ranked = np.argsort(-twin, axis=1, kind="stable")
    sorted_twin = np.take_along_axis(twin, ranked, axis=1)
    gaps = np.full((n, n + 1), np.inf)
    gaps[:, 1:-1] = sorted_twin[:, :-1] - sorted_twin[:, 1:]
    clear = (gaps[:, :k] > 2 * tolerance) & (gaps[:, 1 : k + 1] > 2 * tolerance)
    assert np.array_equal(neighbors.indices[clear], ranked[:, :k][clear])


pools = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        dtype,
        st.tuples(st.integers(2, 120), st.integers(1, 24)),
        # A coarse grid, so that duplicates, equal similarities and rows of zeros are common.
        elements=st.integers(-4, 4).map(lambda value: value / 4),
        fill=st.integers(-4, 4).map(lambda value: value / 4),
    )
)


@given(rows=pools, k=st.integers(1, 60), threads=st.integers(1, 3))
def test_neighbors_are_those_of_the_twin(rows: NDArray[Any], k: int, threads: int) -> None:
    k = min(k, len(rows) - 1)
    assert_exact(rows, find_neighbors(rows, k, threads=threads, allow_zero=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dim", [1, 7, 16, 33, 384])
def test_random_rows(dtype: type, dim: int) -> None:
    rows = np.random.default_rng(dim).normal(size=(400, dim)).astype(dtype)
    for k in (1, 10, 128, 399):
        assert_exact(rows, find_neighbors(rows, k))


@given(rows=pools, seed=st.integers(0, 2**32 - 1))
def test_scaling_rows_changes_nothing(rows: NDArray[Any], seed: int) -> None:
    scales = 2.0 ** np.random.default_rng(seed).integers(-3, 4, size=(len(rows), 1))
    scaled = (rows * scales).astype(rows.dtype)
    before = find_neighbors(rows, 1, allow_zero=True)
    after = find_neighbors(scaled, 1, allow_zero=True)
    assert np.array_equal(before.indices, after.indices)
    assert np.array_equal(before.similarities, after.similarities)


def test_ties_go_by_row_and_equal_rows_are_neighbors() -> None:
    rows = np.tile(np.float32([0.3, -0.2, 0.9]), (5, 1))
    found = find_neighbors(rows, 3)
    assert found.indices.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2]]
    assert (found.similarities == 1).all()


def test_two_rows_are_each_others_neighbors() -> None:
    found = find_neighbors(np.float32([[1, 0], [-1, 0]]), 1)
    assert found.indices.tolist() == [[1], [0]]
    assert found.similarities.tolist() == [[-1], [-1]]


def test_a_row_of_zeros_is_similar_to_nothing() -> None:
    rows = np.float32([[1, 0], [0, 0], [-1, 0], [1, 1]])
    with pytest.raises(ValueError, match=r"^row 1 is all zeros and has no direction$"):
        find_neighbors(rows, 1)
    found = find_neighbors(rows, 3, allow_zero=True)
    assert found.indices[1].tolist() == [0, 2, 3]
    assert found.similarities[1].tolist() == [0, 0, 0]
    assert found.indices[0].tolist() == [3, 1, 2]


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_too_few_rows(n: int) -> None:
    message = rf"^need at least k\+1 rows for k = 5 neighbors, got {n}$"
    with pytest.raises(ValueError, match=message):
        find_neighbors(np.ones((n, 3), np.float32), 5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_that_are_not_finite(value: float, dtype: type) -> None:
    rows = np.ones((6, 4), dtype)
    rows[3, 2] = rows[4, 0] = value
    with pytest.raises(ValueError, match=r"^row 3, column 2 is (NaN|inf|-inf); embeddings must be"):
        find_neighbors(rows, 2)


def test_misuse_is_named() -> None:
    rows = np.ones((6, 4), np.float32)
    expected = r"^rows: expected float32 or float16 \(N, d\), got "
    for wrong, got in [
        (rows.astype(np.float64), r"float64 \(6, 4\)$"),
        (rows[0], r"float32 \(4,\)$"),
        (rows.astype(">f4"), r">f4 \(6, 4\)$"),
        (rows.tolist(), "list$"),
    ]:
        with pytest.raises(TypeError, match=expected + got):
            find_neighbors(wrong, 2)  # type: ignore[arg-type]
    for wrong in (rows[:, ::2], rows[::2], np.asfortranarray(rows)):
        with pytest.raises(ValueError, match=r"C-contiguous"):
            find_neighbors(wrong, 2)
    with pytest.raises(ValueError, match=r"^k must be at least 1, got 0$"):
        find_neighbors(rows, 0)
    with pytest.raises(ValueError, match=r"^threads must be at least 1, got 0$"):
        find_neighbors(rows, 1, threads=0)
    with pytest.raises(ValueError, match=r"at least 1 column"):
        find_neighbors(np.ones((6, 0), np.float32), 1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_do_not_matter(dtype: type) -> None:
    rows = np.random.default_rng(3).normal(size=(3000, 20)).round(1).astype(dtype)
    one = find_neighbors(rows, 30, threads=1)
    for threads in (2, 3, None):
        other = find_neighbors(rows, 30, threads=threads)
        assert one.indices.tobytes() == other.indices.tobytes()
        assert one.similarities.tobytes() == other.similarities.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_file_is_mapped(tmp_path: Any, dtype: type) -> None:
    rows = np.random.default_rng(5).normal(size=(200, 9)).astype(dtype)
    path = tmp_path / "embeddings.npy"
    np.save(path, rows)
    mapped = map_embeddings(path)
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    expected = find_neighbors(rows, 7)
    for source in (path, str(path), mapped):
        assert np.array_equal(find_neighbors(source, 7).indices, expected.indices)


def test_files_that_hold_no_embeddings(tmp_path: Any) -> None:
    path = tmp_path / "embeddings.npy"
    with pytest.raises(PoolError, match=r"^there is no embeddings file"):
        find_neighbors(path)
    path.write_bytes(b"id,text\n")
    with pytest.raises(PoolError, match=r"cannot be read as a \.npy file"):
        find_neighbors(path)
    rows = np.ones((6, 4), np.float32)
    np.save(path, np.asfortranarray(rows))
    with pytest.raises(PoolError, match=r"Fortran order"):
        find_neighbors(path)
    for wrong in (rows.astype(np.float64), rows[0], rows.astype(">f4")):
        np.save(path, wrong)
        with pytest.raises(PoolError, match=r"expected float32 or float16") as caught:
            find_neighbors(path)
        assert "np.save" in caught.value.hint
    np.save(path, rows)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(PoolError, match=r"cannot be read as a \.npy file"):
        find_neighbors(path)


def test_progress_counts_rows() -> None:
    seen: list[tuple[int, int]] = []
    rows = np.random.default_rng(0).normal(size=(900, 8)).astype(np.float32)
    find_neighbors(rows, 3, threads=1, progress=lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, 900)
    assert seen[-1] == (900, 900)
    assert seen == sorted(seen)
    assert len(seen) > 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_progress_raises_stops_the_search(error: type[BaseException]) -> None:
    rows = np.random.default_rng(0).normal(size=(900, 8)).astype(np.float32)
    calls = 0

    def stop(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if done > 0:
            raise error

    with pytest.raises(error):
        find_neighbors(rows, 3, threads=1, progress=stop)
    assert calls == 2
    # The array was released and the next search works.
    rows *= 2
    assert_exact(rows, find_neighbors(rows, 3))


def test_other_threads_run_during_the_search() -> None:
    rows = np.random.default_rng(0).normal(size=(20_000, 64)).astype(np.float32)
    started, seen = threading.Event(), []

    def other() -> None:
        started.wait()
        seen.append("ran")

    thread = threading.Thread(target=other)
    thread.start()

    def progress(done: int, total: int) -> None:
        if done == 0:
            started.set()
        else:
            seen.append("tick")

    find_neighbors(rows, 10, progress=progress)
    thread.join()
    assert seen.index("ran") < len(seen) - 1


@pytest.mark.data
def test_real_embeddings(data_dir: Any) -> None:
    rows = np.array(map_embeddings(data_dir / "alpaca52k_minilm_f16.npy")[:3000])
    assert_exact(rows, find_neighbors(rows, 50))


GRAPH_INDICES = [[1, 2], [0, 2], [1, 0]]
GRAPH_SIMILARITIES = [[0.75, 0.5], [0.75, 0.25], [0.25, -0.5]]


def save_graph(path: Any, **arrays: Any) -> Any:
    np.savez(path, **{name: np.asarray(array) for name, array in arrays.items()})
    return path


@pytest.mark.parametrize("integer", [np.uint32, np.int64, np.int32, np.uint64])
@pytest.mark.parametrize("real", [np.float32, np.float64, np.float16])
def test_a_graph_is_read(tmp_path: Any, integer: type, real: type) -> None:
    path = tmp_path / "graph.npz"
    indices = np.array(GRAPH_INDICES, integer)
    similarities = np.array(GRAPH_SIMILARITIES, real)
    for arrays in ({"similarities": similarities}, {"distances": 1 - similarities}):
        graph = load_graph(save_graph(path, indices=indices, **arrays), rows=3)
        assert graph.indices.dtype == np.uint32
        assert graph.similarities.dtype == np.float32
        assert graph.indices.tolist() == GRAPH_INDICES
        assert graph.similarities.tolist() == GRAPH_SIMILARITIES


def test_a_graph_made_here_is_read_back(tmp_path: Any) -> None:
    rows = np.random.default_rng(1).normal(size=(300, 3)).round(0).astype(np.float32)
    found = find_neighbors(rows, 20, allow_zero=True)
    path = save_graph(tmp_path / "g.npz", indices=found.indices, similarities=found.similarities)
    graph = load_graph(path)
    assert np.array_equal(graph.indices, found.indices)
    assert np.array_equal(graph.similarities, found.similarities)


def test_rounding_and_ties_of_other_programs_are_mended(tmp_path: Any) -> None:
    path = save_graph(
        tmp_path / "graph.npz",
        indices=[[2, 1], [0, 2], [1, 0]],
        distances=[[-2e-7, 0], [0.5, 0.5 + 1e-12], [2 + 1e-6, 2 + 1e-6]],
    )
    graph = load_graph(path)
    assert graph.similarities.tolist() == [[1, 1], [0.5, 0.5], [-1, -1]]
    assert graph.indices.tolist() == [[1, 2], [0, 2], [0, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": [[0, 1], [0, 2], [1, 0]]}, "row 0, column 0: a row is not its own neighbor"),
        ({"indices": [[1, 3], [0, 2], [1, 0]]}, "neighbor 3 is not one of the 3 rows"),
        ({"indices": [[1, -1], [0, 2], [1, 0]]}, "row 0, column 1: -1 is not a row"),
        ({"indices": [[1, 2.0], [0, 2], [1, 0]]}, "indices: expected integers"),
        ({"indices": [1, 2, 0]}, "indices: expected integers"),
        ({"indices": [[1, 1], [0, 2], [1, 0]]}, "neighbor 1 comes twice"),
        (
            {"similarities": [[0.5, 0.75], [0.5, 0.5], [0.5, 0.5]]},
            "row 0, column 1: similarity 0.75",
        ),
        ({"similarities": [[1.01, 0.5], [0.5, 0.5], [0.5, 0.5]]}, "1.01 is not in"),
        ({"similarities": [[0.5, np.nan], [0.5, 0.5], [0.5, 0.5]]}, "NaN is not in"),
        ({"similarities": [[1.0], [0.5], [0.5]]}, "similarities: expected floats"),
        ({"distances": GRAPH_SIMILARITIES}, "one of `similarities` and `distances`"),
    ],
)
def test_a_graph_that_breaks_a_rule(tmp_path: Any, change: dict[str, Any], message: str) -> None:
    arrays = {"indices": GRAPH_INDICES, "similarities": GRAPH_SIMILARITIES} | change
    path = save_graph(tmp_path / "graph.npz", **arrays)
    with pytest.raises(PoolError) as caught:
        load_graph(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert "nearest first" in caught.value.hint


def test_files_that_hold_no_graph(tmp_path: Any) -> None:
    path = tmp_path / "graph.npz"
    with pytest.raises(PoolError, match=r"^there is no graph file"):
        load_graph(path)
    path.write_bytes(b"")
    with pytest.raises(PoolError, match=r"graph\.npz"):
        load_graph(path)
    path.write_bytes(b"PK\x03\x04 not really a zip file")
    with pytest.raises(PoolError, match=r"graph\.npz"):
        load_graph(path)
    path.write_bytes(b"id,text\n")
    with pytest.raises(PoolError, match=r"graph\.npz"):
        load_graph(path)
    with path.open("wb") as file:
        np.save(file, np.zeros((3, 2)))
    with pytest.raises(PoolError, match=r"is not an \.npz file"):
        load_graph(path)
    save_graph(path, indices=GRAPH_INDICES, similarities=GRAPH_SIMILARITIES)
    with pytest.raises(PoolError, match=r"neighbors of 3 samples, the pool has 4"):
        load_graph(path, rows=4)


def test_arrays_of_a_graph_must_fit() -> None:
    indices, similarities = np.uint32(GRAPH_INDICES), np.float32(GRAPH_SIMILARITIES)
    _core.check_graph(indices, similarities)
    with pytest.raises(ValueError, match=r"uint32 \(3, 2\) and float32 \(3, 1\)"):
        _core.check_graph(indices, similarities[:, :1].copy())
    with pytest.raises(TypeError, match=r"indices: expected uint32 \(N, k\), got int64 \(3, 2\)"):
        _core.check_graph(indices.astype(np.int64), similarities)  # type: ignore[arg-type]
