"""The space `auto`: make each for a sample, compare, and make the winner for all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast import artifacts
from ds2_fast.features import (
    DEFAULT_EMBEDDER,
    Features,
    embed_pool,
    given_features,
    join_features,
    lexical_features,
    open_model,
)
from ds2_fast.lexical import hybrid
from ds2_fast.line import Line
from ds2_fast.spaces import LEAST, compare_spaces, sample_rated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ds2_fast.embedding import Embedder
    from ds2_fast.pool import Pool, Scores
    from ds2_fast.progress import Progress
    from ds2_fast.rundir import Stage
    from ds2_fast.spaces import SpaceComparison


def choose_features(
    line: Line,
    pool: Pool,
    scores: Scores,
    *,
    embeddings: str | Path | NDArray[Any] | None,
    embedder: str | None,
    offline: bool,
    seed: int,
    threads: int | None,
) -> Features:
    """Compare the spaces by what their neighbors know about the scores; take the best.

    Compared are either the given embeddings or a model's, the lexical space, and both joined. Of a
    large pool the model embeds a sample first, and the rest only if it wins or both joined do.

    Args:
        line: where artifacts go.
        pool: the pool.
        scores: its scores.
        embeddings: given rows, see `make_features`.
        embedder: the model named; None is the usual one.
        offline: open no socket.
        seed: of the lexical projection.
        threads: at most so many.

    Returns:
        Features of the whole pool in the best space, with the comparison.

    Raises:
        PoolError: if given rows do not fit the pool.
        ModelError: if the model cannot be had.

    Cost: the lexical space (about 3 s per 50,000 short texts), up to 50,000 texts through the
    model, and three exact graphs of up to 50,000 rows.
    """
    sample = sample_rated(scores.values)
    semantic, model, name = None, None, embedder or DEFAULT_EMBEDDER
    if embeddings is not None:
        semantic = given_features(line, pool, embeddings)
    else:
        model = open_model(line, name, offline=offline, threads=threads)
        if len(sample) in (len(pool), *range(LEAST)):
            semantic = embed_pool(line, pool, model, name)
    if len(sample) < LEAST:
        line.narrator.warn(
            f"no spaces are compared: {len(sample)} samples are rated; the embeddings are taken"
        )
        assert semantic is not None, "it was given or embedded"
        return semantic
    lexical = lexical_features(line, pool, seed, threads)
    if semantic is not None:
        rows, digest = semantic.rows[sample], semantic.digest
    else:
        assert model is not None, "without embeddings there is a model"
        stage = _embed_sample(line, pool, model, sample)
        rows, digest = stage.value, stage.digest
    comparison = _compare(line, scores, sample, (rows, digest), lexical, threads=threads)
    if comparison.chosen == "lexical":
        return replace(lexical, comparison=comparison)
    if semantic is None and model is not None:
        semantic = embed_pool(line, pool, model, name)
    assert semantic is not None, "it was given, or its model is open"
    if comparison.chosen == "hybrid":
        semantic = join_features(line, semantic, lexical)
    return replace(semantic, comparison=comparison)


def _embed_sample(
    line: Line, pool: Pool, model: Embedder, sample: NDArray[np.int64]
) -> Stage[NDArray[Any]]:
    from ds2_fast.embedding import write_embeddings

    partial = line.run.path / "sample_embeddings.partial.npy"

    def compute(progress: Progress) -> Path:
        texts = pool.texts()
        write_embeddings(model, [texts[row] for row in sample], partial, progress=progress)
        return partial

    return line.stage(
        "sample embedding",
        artifacts.SAMPLE_EMBEDDINGS,
        compute,
        inputs={
            "texts": pool.digest(),
            "embedder": model.key,
            "sample": artifacts.digest_array(sample),
        },
        params={"dtype": "float16"},
        unit="samples",
        told=lambda rows: f"embedded {len(rows):,} samples with {model.name} to compare spaces",
    )


def _compare(
    line: Line,
    scores: Scores,
    sample: NDArray[np.int64],
    semantic: tuple[NDArray[Any], str],
    lexical: Features,
    *,
    threads: int | None,
) -> SpaceComparison:
    rows, digest = semantic

    def compute(progress: Progress) -> SpaceComparison:
        words = lexical.rows[sample]
        # Of equals the first is taken: rather one space than two, rather a model's than words.
        spaces = {"embedding": rows, "lexical": words, "hybrid": hybrid(rows, words)}
        return compare_spaces(
            spaces,
            scores.values[sample],
            scores.num_classes,
            threads=threads,
            progress=progress,
        )

    return line.stage(
        "space",
        artifacts.SPACES,
        compute,
        inputs={
            "scores": artifacts.digest_array(scores.values),
            "embedding": digest,
            "lexical": lexical.digest,
        },
        params={"num_classes": scores.num_classes, "sample": len(sample)},
        unit="spaces",
        told=lambda found: found.line,
    ).value
