"""A subset as a Hugging Face dataset folder: one Parquet file, and a card that says what it is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ds2_fast.atomic import atomic_path
from ds2_fast.errors import PoolError, RunError
from ds2_fast.pool.conversion import Shape
from ds2_fast.pool.pool import Pool
from ds2_fast.pool.subset import check_output, write_subset

CARD = "README.md"
FILE = "data/train-00000-of-00001.parquet"
"""Where `load_dataset(folder)` and the hub look for the split `train`."""


def check_folder(pool: Pool, folder: str | os.PathLike[str]) -> None:
    """See whether a dataset folder could be written; nothing is left there.

    Args:
        pool: the pool.
        folder: the folder; it may exist, as long as `data` holds nothing that is not ours.

    Raises:
        PoolError: the folder is or holds the pool, or other data.
        RunError: the folder cannot be made or written.
    """
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise RunError(f"`{path}` is a file, not a folder", "leave out the slash at its end")
    if path.is_dir():
        _refuse_mixture(path)
    # A folder that is still to be made is as writable as the one it will be in.
    places = (path / "data", path, path.parent)
    there = next((place for place in places if place.is_dir()), path.parent)
    check_output(pool, there / Path(FILE).name)


def _refuse_mixture(folder: Path) -> None:
    """Refuse a folder whose other files would be loaded together with the subset."""
    data = folder / "data"
    others = (
        []
        if not data.is_dir()
        else [each for each in data.iterdir() if each.name != Path(FILE).name]
    )
    others += [
        each for each in folder.iterdir() if each.name in {"state.json", "dataset_dict.json"}
    ]
    if others:
        raise PoolError(
            f"`{folder}` already holds `{others[0].relative_to(folder)}`, which would be loaded "
            "with the subset",
            "name another folder",
        )


def write_dataset(
    pool: Pool,
    rows: Sequence[int] | NDArray[np.integer],
    folder: str | os.PathLike[str],
    *,
    card: str,
    add_columns: pl.DataFrame | None = None,
    to: Shape | None = None,
) -> Path:
    """Write rows of the pool as a dataset folder, which `load_dataset(folder)` reads.

    The folder holds `data/train-00000-of-00001.parquet` and `README.md`, the layout of a dataset on
    the hub. The card comes last: a folder that has one is whole.

    Args:
        pool: the pool.
        rows: which rows, each in 0..N-1.
        folder: the folder; it is made if its parent exists.
        card: text of the README.md.
        add_columns: see `write_subset`.
        to: see `write_subset`.

    Returns:
        The folder.

    Raises:
        PoolError: as `check_folder` and `write_subset`.
        RunError: the folder cannot be made or written, or the disk is full.

    Cost: O(bytes written).
    """
    path = Path(folder)
    check_folder(pool, path)
    try:
        (path / "data").mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            (path / CARD).unlink()
    except OSError as error:
        raise RunError(
            f"cannot write `{path}`: {error.strerror}", "choose another folder"
        ) from error
    write_subset(pool, rows, path / FILE, add_columns=add_columns, to=to)
    with atomic_path(path / CARD) as temporary:
        temporary.write_text(card, "utf-8", newline="\n")
    return path
