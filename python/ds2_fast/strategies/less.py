"""LESS: samples whose gradients point where those of a target do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.strategies.strategy import Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs

BLOCK = 1024
"""Rows read together: 64 MB for 8,192 columns as float64."""


@dataclass(frozen=True)
class Less(Strategy):
    """The samples whose gradient is most like the mean gradient of a target (LESS).

    The score is `max_j sum_i w_i <g_i(z), mean of g_i(v) over v in subtask j>`: i the checkpoints,
    w their weights (mean learning rates, brought to sum 1; alike unless given), g_i(z) the
    projected Adam gradient of a sample and g_i(v) that of a target sample, all scaled to length 1,
    j the subtasks of the target (one unless given). The gradients are those you made, with one row
    for each sample; the paper has 4 checkpoints of a LoRA, projected to 8,192 dimensions.
    """

    name = "less"
    source = "Xia et al., ICML 2024, arXiv 2402.04333"
    needs = "gradient features of the pool and of a target (.npy, one of each a checkpoint)"

    train_features: tuple[str, ...] = option(
        (), "Gradients of the pool (.npy), a file for each checkpoint.", file=True
    )
    target_features: tuple[str, ...] = option(
        (), "Gradients of the target (.npy), a file for each checkpoint.", file=True
    )
    weights: str | None = option(
        None, "Weights of the checkpoints, with commas between.  [default: all alike]"
    )
    subtasks: str | None = option(
        None, "File with the subtask of each target row, one a line.", file=True
    )

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the influence on the subtask that gains most."""
        self._check_named()
        weights = _weights(self.weights, len(self.train_features))
        total: NDArray[np.float64] | None = None
        for train, target, weight in zip(
            self.train_features, self.target_features, weights, strict=True
        ):
            pool = _gradients(inputs, train, "--train-features")
            wanted = _gradients(inputs, target, "--target-features")
            _check_shapes(inputs, train, pool, target, wanted)
            means = _means(_unit(wanted, target, 0), _subtasks(self.subtasks, len(wanted)))
            found = weight * align(pool, means, train)
            total = found if total is None else total + found
        assert total is not None
        best: NDArray[np.float64] = total.max(axis=1)
        return best

    def _check_named(self) -> None:
        for given, whose, flag in (
            (self.train_features, "pool", "--train-features"),
            (self.target_features, "target", "--target-features"),
        ):
            if not given:
                raise PoolError(
                    f"`less` needs gradients, and those of the {whose} are not named",
                    f"name an .npy file for each checkpoint with `{flag}`",
                )
        if len(self.train_features) != len(self.target_features):
            raise PoolError(
                f"`less` has {len(self.train_features)} files of the pool's gradients and "
                f"{len(self.target_features)} of the target's",
                "name one of each for every checkpoint, in the same order",
            )


def align(rows: NDArray[Any], means: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Multiply rows, scaled to length 1, with the mean gradients.

    Args:
        rows: `(N, d)`, floats; rows of zeros stay zeros.
        means: float64 `(S, d)`.
        name: of the rows, for errors.

    Returns:
        float64 `(N, S)`. `N S d` multiply-adds, about 0.6e9 a second.
    """
    found = np.empty((len(rows), len(means)))
    for start in range(0, len(rows), BLOCK):
        block = _unit(rows[start : start + BLOCK], name, start)
        # Not `@`: a BLAS may add in an order that depends on its threads.
        found[start : start + BLOCK] = np.einsum("id,sd->is", block, means)
    return found


def _unit(rows: NDArray[Any], name: str, first: int) -> NDArray[np.float64]:
    """Scale rows to length 1; those of zeros stay."""
    wide = rows.astype(np.float64)
    length = np.sqrt(np.einsum("id,id->i", wide, wide))
    bad = ~np.isfinite(length)
    if bad.any():
        raise PoolError(
            f"row {first + int(np.argmax(bad))} of `{name}` is not finite",
            "make the gradients again, or set such rows to zero",
        )
    return wide / np.where(length > 0, length, 1.0)[:, np.newaxis]


def _gradients(inputs: Inputs, file: str, flag: str) -> NDArray[Any]:
    rows = inputs.load(file, flag)
    if rows.ndim != 2 or rows.size == 0:  # noqa: PLR2004
        raise PoolError(
            f"`{file}` (`{flag}`) has the shape {rows.shape}, and gradients have rows and columns",
            "save one row for each sample",
        )
    return rows


def _check_shapes(
    inputs: Inputs, train: str, pool: NDArray[Any], target: str, wanted: NDArray[Any]
) -> None:
    if len(pool) != len(inputs):
        raise PoolError(
            f"`{train}` (`--train-features`) has {len(pool):,} rows, and the pool {len(inputs):,} "
            "samples",
            "save one row for each sample, in the order of the pool",
        )
    if pool.shape[1] != wanted.shape[1]:
        raise PoolError(
            f"`{train}` has {pool.shape[1]:,} columns, and `{target}` {wanted.shape[1]:,}",
            "make both with the same projection",
        )


def _weights(text: str | None, checkpoints: int) -> list[float]:
    """Read the weights of the checkpoints, and bring them to sum 1."""
    if text is None:
        return [1 / checkpoints] * checkpoints
    try:
        weights = [float(part) for part in text.split(",")]
    except ValueError:
        weights = []
    if not weights or not all(math.isfinite(each) and each >= 0 for each in weights):
        raise PoolError(
            f"`--weights` must be numbers of at least 0 with commas between, got `{text}`",
            "give the mean learning rate of each checkpoint: `--weights 1.7e-5,1.3e-5`",
        )
    if len(weights) != checkpoints or sum(weights) == 0:
        raise PoolError(
            f"`--weights {text}` has {len(weights)} weights of sum {sum(weights):g} for "
            f"{checkpoints} checkpoints",
            "give one for each `--train-features`, not all 0",
        )
    return [each / sum(weights) for each in weights]


def _subtasks(file: str | None, rows: int) -> NDArray[np.intp]:
    """Number the subtask of each target row, in the order in which they first occur."""
    if file is None:
        return np.zeros(rows, dtype=np.intp)
    try:
        names = Path(file).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PoolError(
            f"cannot read `{file}` (`--subtasks`): {str(reason).lower()}",
            "name a text file with the subtask of each target row on its line",
        ) from None
    if len(names) != rows:
        raise PoolError(
            f"`{file}` (`--subtasks`) has {len(names):,} lines for {rows:,} target rows",
            "give one line for each row of the target's gradients",
        )
    codes = {name.strip(): code for code, name in enumerate(dict.fromkeys(map(str.strip, names)))}
    return np.array([codes[name.strip()] for name in names], dtype=np.intp)


def _means(rows: NDArray[np.float64], codes: NDArray[np.intp]) -> NDArray[np.float64]:
    """Average the rows of each subtask."""
    return np.array([rows[codes == code].mean(axis=0) for code in range(codes.max() + 1)])
