"""Places of texts in a space of words that was fitted on a pool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.lexical import hybrid, place_lexical

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ds2_fast.progress import Progress


def place_by_words(
    asked: Sequence[str],
    pool: Sequence[str],
    *,
    semantic: NDArray[np.float32] | None,
    seed: int,
    threads: int | None,
    progress: Progress,
) -> NDArray[Any]:
    """Place texts in the lexical space of a pool, or in the hybrid one.

    The space is fitted on the pool once more, which gives the same one: a fitted one that is kept
    would be as large as the pool's rows (23 MB for Alpaca's 22,261 terms).

    Args:
        asked: the texts to place, m of them.
        pool: the texts of the pool.
        semantic: of a hybrid space, the texts as its model embeds them; None for the lexical one.
        seed: of the lexical projection.
        threads: at most so many.
        progress: called with texts of the pool and N.

    Returns:
        float32 `(m, d)`, unit rows; zero for a text that has no place.
    """
    words = place_lexical(asked, pool, seed=seed, threads=threads, progress=progress)
    return words if semantic is None else hybrid(semantic, words)
