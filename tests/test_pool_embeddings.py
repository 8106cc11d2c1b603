"""Embeddings of a pool: every source, every check."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ds2_fast.errors import PoolError
from ds2_fast.pool import read_embeddings, read_pool

ROWS = np.array([[1, 0], [0.5, 0.25], [-1, 2]], dtype=np.float32)


@pytest.fixture
def pool():
    return read_pool([{"text": "t", "id": each} for each in "abc"])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_npy_is_mapped_not_read(pool, tmp_path, dtype):
    path = tmp_path / "e.npy"
    np.save(path, ROWS.astype(dtype))
    found = read_embeddings(pool, path)
    assert isinstance(found.values, np.memmap)
    assert found.values.dtype == dtype
    assert np.array_equal(found.values, ROWS)
    assert found.verdict == f"embeddings from `{path}`: 3 rows of 2 {dtype}"
    assert found.notices == ()


def test_float64_is_converted_aloud(pool, tmp_path):
    path = tmp_path / "e.npy"
    np.save(path, ROWS.astype(np.float64))
    found = read_embeddings(pool, path)
    assert found.values.dtype == np.float32
    assert np.array_equal(found.values, ROWS)
    assert found.notices == (f"`{path}` is float64 and was converted to float32",)


def test_columns_first_is_copied_aloud(pool, tmp_path):
    path = tmp_path / "e.npy"
    np.save(path, np.asfortranarray(ROWS))
    found = read_embeddings(pool, path)
    assert found.values.flags.c_contiguous
    assert np.array_equal(found.values, ROWS)
    assert found.notices == (f"`{path}` is not stored row by row and was copied",)


def test_npz_is_put_into_the_order_of_the_pool(pool, tmp_path):
    path = tmp_path / "e.npz"
    embeddings = np.vstack([ROWS[[2, 0]], [[9, 9]], ROWS[[1]]]).astype(np.float16)
    np.savez(path, ids=np.array(["c", "a", "z", "b"]), embeddings=embeddings)
    found = read_embeddings(pool, path)
    assert np.array_equal(found.values, ROWS)
    assert found.notices == (f"`{path}` has 1 row of no sample",)


def test_npz_with_whole_numbers_as_ids(tmp_path):
    pool = read_pool([{"text": "t", "id": each} for each in (7, 8, 9)])
    np.savez(tmp_path / "e.npz", ids=np.array([9, 7, 8]), embeddings=ROWS[[2, 0, 1]])
    assert np.array_equal(read_embeddings(pool, tmp_path / "e.npz").values, ROWS)


def test_npz_without_ids_is_taken_in_order(pool, tmp_path):
    path = tmp_path / "e.npz"
    np.savez(path, embeddings=ROWS)
    found = read_embeddings(pool, path)
    assert np.array_equal(found.values, ROWS)
    assert found.notices == (f"`{path}` has no `ids`: its rows are taken in order",)


@pytest.mark.parametrize(
    "dtype", [pl.List(pl.Float32), pl.Array(pl.Float32, 2), pl.List(pl.Float64)]
)
def test_a_column_of_the_pool(dtype):
    pool = read_pool(
        pl.DataFrame({"text": list("abc"), "vec": pl.Series(ROWS.tolist(), dtype=dtype)})
    )
    found = read_embeddings(pool, "vec")
    assert found.values.dtype == np.float32
    assert np.array_equal(found.values, ROWS)


def test_an_array(pool):
    assert read_embeddings(pool, ROWS).values is ROWS


def check(pool, source, message):
    with pytest.raises(PoolError) as caught:
        read_embeddings(pool, source)
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones((2, 3), np.float32), "{} has 2 rows, the pool has 3"),
        (np.ones((3, 2, 1), np.float32), "{} has shape (3, 2, 1), not (samples, dimensions)"),
        (np.ones(3, np.float32), "{} has shape (3,), not (samples, dimensions)"),
        (np.ones((3, 0), np.float32), "{} has rows of no dimensions"),
        (np.ones((3, 2), np.int64), "{} is int64, not float32 or float16"),
        (np.array([[1, 1], [1, np.nan], [1, 1]], np.float32),
         "{} is not finite: nan in row 1, column 1"),
        (np.array([[1, 1], [1, 1], [np.inf, 1]], np.float16),
         "{} is not finite: inf in row 2, column 0"),
        (np.array([[1, 1], [1, 1], [1, 1e300]]), "{} is not finite: inf in row 2, column 1"),
        (np.array([[1, 1], [0, -0.0], [1, 1]], np.float32),
         "row 1 of {} is zero, and has no direction to compare"),
    ],
)  # fmt: skip
def test_what_is_refused(pool, tmp_path, array, message):
    path = tmp_path / "e.npy"
    np.save(path, array)
    check(pool, path, message.format(f"`{path}`"))
    check(pool, array, message.format("the array"))


def test_a_bad_row_far_down(tmp_path):
    rows = np.ones((40_000, 2), np.float16)
    rows[33_333, 1] = np.nan
    pool = read_pool(pl.DataFrame({"text": ["t"] * 40_000}))
    check(pool, rows, "the array is not finite: nan in row 33333, column 1")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"vectors": ROWS}, "{} has no array `embeddings`: it has `vectors`"),
        ({"embeddings": ROWS, "ids": np.array(["a", "b"])},
         "{} has 3 embeddings and ids of shape (2,)"),
        ({"embeddings": ROWS, "ids": np.array(["a", "b", "a"])},
         "{} has the id `a` more than once"),
        ({"embeddings": ROWS, "ids": np.array(["a", "x", "y"])},
         "{} has no embedding for 2 samples (first: row 1, id `b`)"),
    ],
)  # fmt: skip
def test_what_is_refused_in_npz(pool, tmp_path, arrays, message):
    path = tmp_path / "e.npz"
    np.savez(path, **arrays)
    check(pool, path, message.format(f"`{path}`"))


def test_ids_need_ids(tmp_path):
    path = tmp_path / "e.npz"
    np.savez(path, embeddings=ROWS, ids=np.array(list("abc")))
    pool = read_pool([{"text": "t"}] * 3)
    check(pool, path, f"`{path}` goes by ids, and the pool has none")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["x", "y"], "column `vec` holds String, not lists of numbers"),
        ([["x"], ["y"]], "column `vec` holds List(String), not lists of numbers"),
        ([[1.0, 2.0], [1.0]], "row 1 of column `vec` has 1 number, the first one has 2"),
        ([[1.0, 2.0], None], "row 1 of column `vec` has 0 numbers, the first one has 2"),
        ([[1.0, 2.0], [1.0, None]], "row 1 of column `vec` holds a null"),
    ],
)
def test_what_is_refused_in_a_column(values, message):
    check(read_pool(pl.DataFrame({"text": ["t", "t"], "vec": values})), "vec", message)


def test_no_such_thing(pool, tmp_path):
    path = tmp_path / "e.npy"
    check(pool, path, f"there is no file `{path}`")
    with pytest.raises(PoolError) as caught:
        read_embeddings(pool, "txt")
    assert caught.value.message == "the pool has no column `txt`, and it is no .npy or .npz file"
    assert caught.value.hint == "did you mean `text`? the columns are `text`, `id`"


@pytest.mark.parametrize("name", ["e.npy", "e.npz"])
def test_files_that_are_broken(pool, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"not numpy")
    with pytest.raises(PoolError) as caught:
        read_embeddings(pool, path)
    assert caught.value.message.startswith(f"`{path}` is not a numpy file: ")
    assert "\n" not in caught.value.message


def test_pickles_are_refused(pool, tmp_path):
    path = tmp_path / "e.npy"
    np.save(path, np.array([{}, {}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(PoolError, match=r"is not a numpy file: "):
        read_embeddings(pool, path)


def test_the_released_embeddings(data_dir):
    pool = read_pool(data_dir / "alpaca52k_rated.parquet")
    found = read_embeddings(pool, data_dir / "alpaca52k_minilm_f16.npy")
    assert found.values.shape == (len(pool), 384)
