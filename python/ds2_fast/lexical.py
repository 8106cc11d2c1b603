"""The lexical space: texts as unit rows by the words they share. It needs no model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast import _core
from ds2_fast.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BLOCK = 4096  # rows joined at a time: about 10 MB of float32 work space
_MATRIX = 2  # dimensions of an (N, d) array


@dataclass(frozen=True)
class Lexical:
    """Texts in the lexical space fitted on them.

    Attributes:
        rows: float32 `(N, dim)`; unit rows, but for those of `unknown`.
        unknown: uint32, rows that are zero, ascending: texts that share no word with the sample.
        terms: words, numbers and symbols that have a weight.
        sampled: texts the directions were fitted on.
        singular_values: float64, of the directions, descending; as many as the rank, at most `dim`.
    """

    rows: NDArray[np.float32]
    unknown: NDArray[np.uint32]
    terms: int
    sampled: int
    singular_values: NDArray[np.float64]


def fit_lexical(
    texts: Sequence[str],
    *,
    dim: int = 256,
    seed: int = 42,
    threads: int | None = None,
    progress: Progress = silent,
) -> Lexical:
    """Place texts in the lexical space fitted on them, and say how the fit went.

    A text weighs a term by `(1 + ln tf) * (1 + ln((1 + N) / (1 + df)))`, `tf` its count in the text
    and `df` the number of texts that have it, scaled to unit length. The directions are the `dim`
    leading right singular vectors of the weights of every s-th text, `s = ceil(N / 20,000)`, found
    by random projection. A row is the projection of its text on them, scaled to unit length.

    Terms are lower-cased words, numbers and single symbols; pairs of characters in scripts without
    spaces. A term must occur in the sample and in at least two texts; the 131,072 most frequent are
    kept. The same texts in the same order give the same bytes for any number of threads. Up to
    20,000 texts, another order changes similarities by rounding only; beyond, it changes the
    sample.

    Args:
        texts: the text of each of N samples.
        dim: columns of the result, at least 1.
        seed: of the random projection, in [0, 2^64).
        threads: threads to use, at least 1; None = one per core.
        progress: called with rows and N (counting, fitting and placing are a third each); raising
            stops the work.

    Returns:
        The rows and what is known about them. Columns past the rank are zero.

    Raises:
        TypeError: if `texts` is one string, or a text is not a string; names its row.
        ValueError: if `dim` or `threads` is below 1, or a text holds a lone surrogate.

    Cost: a second or two per 100,000 short texts on two cores; beside the texts and the result at
    most `8 (dim + 24)` bytes a term and the weights of the sample, about 200 MB, whatever N.

    Source: TF-IDF with latent semantic analysis; Halko, Martinsson and Tropp, SIAM Review 53
    (2011) for the decomposition. The DS2 paper embeds with a language model instead.

    >>> lexical = fit_lexical(["a cat sat", "the cat sat", "", "stocks fell", "oil fell"], dim=4)
    >>> lexical.rows.shape, lexical.unknown.tolist()
    ((5, 4), [2])
    """
    if isinstance(texts, str):
        raise TypeError("texts: expected a sequence of str, got str")
    if dim < 1:
        raise ValueError(f"dim must be at least 1, got {dim}")
    as_list = texts if isinstance(texts, list) else list(texts)
    rows, info = _core.lexical_embed(as_list, dim, seed, threads, progress)
    return Lexical(rows, **info)


def embed_lexical(
    texts: Sequence[str],
    *,
    dim: int = 256,
    seed: int = 42,
    threads: int | None = None,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Place texts in the lexical space fitted on them: the rows of `fit_lexical`.

    Returns:
        float32 `(N, dim)`; unit rows, zero for a text that shares no word with the sample.

    Raises:
        TypeError: if `texts` is one string, or a text is not a string.
        ValueError: if `dim` or `threads` is below 1, or a text holds a lone surrogate.

    >>> rows = embed_lexical(["a cat sat", "the cat sat", "stocks fell", "oil fell"], dim=2)
    >>> bool(rows[0] @ rows[1] > rows[0] @ rows[2])
    True
    """
    return fit_lexical(texts, dim=dim, seed=seed, threads=threads, progress=progress).rows


def place_lexical(
    others: Sequence[str],
    texts: Sequence[str],
    *,
    dim: int = 256,
    seed: int = 42,
    threads: int | None = None,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Place other texts in the lexical space fitted on `texts`.

    The space is fitted once more, which gives the same space: a text of the pool gets the row it
    has in `embed_lexical(texts)`. Another one gets what it shares with the pool.

    Args:
        others: the texts to place, m of them.
        texts: those that the space is fitted on.
        dim: see `fit_lexical`, as the rest.
        seed: see there.
        threads: see there.
        progress: called with rows of `texts` and N.

    Returns:
        float32 `(m, dim)`; unit rows, zero for a text that shares no word with the pool.

    Raises:
        TypeError: if `others` or `texts` is one string, or a text is not a string.
        ValueError: if `dim` or `threads` is below 1, or a text holds a lone surrogate.

    Cost: three quarters of `fit_lexical`.

    >>> pool = ["a cat sat", "the cat sat", "stocks fell", "oil fell"]
    >>> row = place_lexical(["a cat"], pool, dim=2)[0]
    >>> bool((embed_lexical(pool, dim=2) @ row).argmax() < 2)
    True
    """
    for name, given in (("others", others), ("texts", texts)):
        if isinstance(given, str):
            raise TypeError(f"{name}: expected a sequence of str, got str")
    if dim < 1:
        raise ValueError(f"dim must be at least 1, got {dim}")
    return _core.lexical_place(list(others), list(texts), dim, seed, threads, progress)


def hybrid(
    embeddings: NDArray[np.float32] | NDArray[np.float16],
    lexical: NDArray[np.float32],
    weight: float = 1.0,
    *,
    out: NDArray[np.float32] | None = None,
    progress: Progress = silent,
) -> NDArray[np.float32]:
    """Join two spaces: rows `[x / |x|, weight * y / |y|]`, scaled to unit length.

    The cosine of two joined rows is `(cos x + weight^2 cos y) / (1 + weight^2)`. A row that is zero
    in one space keeps its place in the other alone; one that is zero in both stays zero.

    Args:
        embeddings: float32 or float16 `(N, d)`, possibly a read-only map; rows of any length.
        lexical: float32 or float16 `(N, m)`.
        weight: of the lexical part, above 0.
        out: float32 `(N, d + m)` to write to, for example a `.npy` map; None makes a new array.
        progress: called with rows done and N; raising stops the work.

    Returns:
        `out`, or the new array.

    Raises:
        ValueError: if the shapes do not fit, `weight` is not a finite number above 0, or a row is
            not finite; names the row.
        TypeError: if `out` is not float32.

    Cost: one pass; beside the result some MB, whatever N.

    >>> x = np.array([[3.0, 4.0]], dtype=np.float32)
    >>> hybrid(x, np.array([[2.0]], dtype=np.float32)).round(3)
    array([[0.424, 0.566, 0.707]], dtype=float32)
    """
    _check_parts(embeddings, lexical, weight)
    n = len(embeddings)
    split = embeddings.shape[1]
    shape = (n, split + lexical.shape[1])
    if out is None:
        out = np.empty(shape, np.float32)
    if out.dtype != np.float32:
        raise TypeError(f"out: expected float32 {shape}, got {out.dtype} {out.shape}")
    if out.shape != shape:
        raise ValueError(f"out: expected float32 {shape}, got shape {out.shape}")
    for start in range(0, n, _BLOCK):
        rows = slice(start, min(start + _BLOCK, n))
        x, x_known = _unit(embeddings[rows], "embeddings", start)
        y, y_known = _unit(lexical[rows], "lexical", start)
        length = np.sqrt(x_known + weight * weight * y_known)
        scale = 1.0 / np.where(length > 0, length, 1.0)
        out[rows, :split] = x * scale[:, None]
        out[rows, split:] = y * (weight * scale)[:, None]
        progress(rows.stop, n)
    return out


def _check_parts(embeddings: NDArray[Any], lexical: NDArray[Any], weight: float) -> None:
    if not (math.isfinite(weight) and weight > 0):
        raise ValueError(f"weight must be a finite number above 0, got {weight}")
    for name, array in (("embeddings", embeddings), ("lexical", lexical)):
        if array.ndim != _MATRIX or array.shape[1] == 0:
            raise ValueError(f"{name}: expected (N, d) with d >= 1, got shape {array.shape}")
    if len(embeddings) != len(lexical):
        raise ValueError(
            f"embeddings and lexical must have as many rows, got {len(embeddings)} and "
            f"{len(lexical)}"
        )


def _unit(
    block: NDArray[Any], name: str, start: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows scaled to unit length, zeros kept; and 1 for each row that is not zero, else 0."""
    wide = block.astype(np.float64)
    lengths = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    if not np.isfinite(lengths).all():
        row = start + int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise ValueError(f"{name}: row {row} is not finite")
    wide /= np.where(lengths > 0, lengths, 1.0)[:, None]
    return wide, (lengths > 0).astype(np.float64)
