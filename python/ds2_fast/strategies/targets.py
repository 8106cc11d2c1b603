"""Samples like those that are wanted: read from a file, and placed beside the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError

if TYPE_CHECKING:
    from ds2_fast.pool import Pool
    from ds2_fast.strategies.inputs import Inputs


def read_target(strategy: str, file: str | None) -> Pool:
    """Read the target of a strategy, in any format that pools have.

    Args:
        strategy: its name, for errors.
        file: what `--target` names.

    Raises:
        PoolError: none is named, or it cannot be read.
    """
    if file is None:
        raise PoolError(
            f"`{strategy}` needs samples like those that are wanted, and no file of them is named",
            "name one with `--target`, in any format of pools",
        )
    from ds2_fast.pool import read_pool

    return read_pool(file)


def place_target(inputs: Inputs, file: str | None, embeddings: str | None) -> NDArray[np.float32]:
    """Place the target in the space of the pool's embeddings.

    Args:
        inputs: the pool.
        file: what `--target` names; embedded with the model of the pool.
        embeddings: what `--target-embeddings` names; rows of the pool's width.

    Returns:
        float32 `(Q, d)`, rows of length 1.

    Raises:
        PoolError: neither or both are named, the pool was not embedded by a model, or the rows do
            not fit.
        ModelError: the model cannot be opened again.
    """
    if embeddings is None:
        rows: NDArray[Any] = _embed(inputs, read_target("target", file).texts())
    elif file is not None:
        raise PoolError("the target is named twice", "leave out `--target`, or its embeddings")
    else:
        rows = inputs.load(embeddings, "--target-embeddings")
    width = inputs.features.rows.shape[1]
    if rows.ndim != 2 or rows.shape[1] != width or len(rows) == 0:  # noqa: PLR2004
        raise PoolError(
            f"`{embeddings}` (`--target-embeddings`) has the shape {rows.shape}, and the pool's "
            f"embeddings are {width} wide",
            "embed the target with the model that embedded the pool",
        )
    units = unit_rows(rows)
    bad = ~np.isfinite(units).all(axis=1) | ~units.any(axis=1)
    if bad.any():
        raise PoolError(
            f"row {int(np.argmax(bad))} of `{embeddings}` (`--target-embeddings`) is not finite, "
            "or all zeros",
            "embed the target again",
        )
    return units


def _embed(inputs: Inputs, texts: list[str]) -> NDArray[np.float32]:
    features = inputs.features
    if features.embedder is None:
        given = features.space == "given"
        raise PoolError(
            "the pool's embeddings were given, and what made them cannot embed the target"
            if given
            else f"a target is placed by an embedding model, and the space of the pool is "
            f"`{features.space}`",
            "give the target's with `--target-embeddings FILE.npy` (`ds2-fast embed` makes them)"
            if given
            else "select with `--space embedding`",
        )
    from ds2_fast.features import open_model

    model = open_model(
        inputs.line, features.embedder[0], offline=inputs.offline, threads=inputs.threads
    )
    return model.embed(texts)


def unit_rows(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Scale rows to length 1, float32; rows of zeros stay.

    Args:
        rows: `(N, d)`, floats.
    """
    wide = rows.astype(np.float64)
    length = np.sqrt(np.einsum("id,id->i", wide, wide))
    wide /= np.where(length > 0, length, 1.0)[:, np.newaxis]
    return wide.astype(np.float32)
