"""The feature space in which neighbors are sought: given, embedded, lexical, or both."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast import artifacts
from ds2_fast.errors import PoolError
from ds2_fast.line import Line
from ds2_fast.progress import Progress

if TYPE_CHECKING:
    from ds2_fast.embedding import Embedder
    from ds2_fast.pool import Pool, Scores
    from ds2_fast.presets import Preset
    from ds2_fast.spaces import SpaceComparison

DEFAULT_EMBEDDER = "all-MiniLM-L6-v2"
SPACES = ("embedding", "lexical", "hybrid", "auto")


@dataclass(frozen=True)
class Features:
    """Rows to seek neighbors in.

    Args:
        rows: `(N, d)` float16 or float32.
        digest: of their bytes.
        space: `embedding`, `lexical`, `hybrid` or `given`.
        source: what made them: a model, a file, a column.
        allow_zero: whether zero rows may occur (a text without a known word has no lexical
            features).
        embedder: name by which the model can be opened again, and its key; None if no model was
            used.
        comparison: how the space was chosen, if it was.
    """

    rows: NDArray[Any]
    digest: str
    space: str
    source: str
    allow_zero: bool = False
    embedder: tuple[str, str] | None = None
    comparison: SpaceComparison | None = None


def usual_space(
    preset: Preset, space: str | None, embeddings: object | None, embedder: str | None
) -> str | None:
    """Take what the user names, and the preset's space where nothing is named.

    Args:
        preset: of the run.
        space: the space named.
        embeddings: the rows named.
        embedder: the model named.
    """
    if space is None and embeddings is None and embedder is None:
        return preset.space
    return space


def make_features(
    line: Line,
    pool: Pool,
    *,
    embeddings: str | Path | NDArray[Any] | None,
    embedder: str | None,
    space: str | None,
    offline: bool,
    seed: int,
    threads: int | None,
    scores: Scores | None = None,
) -> Features:
    """Take the features the user has, or make them.

    Args:
        line: where artifacts go.
        pool: the pool.
        embeddings: given rows: array, `.npy` file or list column.
        embedder: model name, folder, hub id, or `"lexical"`.
        space: one of `SPACES`, or an `.npy` file; None is `lexical` for the embedder of that name,
            else `embedding`; `auto` compares them, see `choose_features`.
        offline: open no socket.
        seed: of the lexical projection.
        threads: at most so many.
        scores: the scores of the pool; `auto` needs them.

    Raises:
        PoolError: if given features do not fit the pool, or the options each other.
        ModelError: if the model cannot be had.
    """
    if space is None:
        space = "lexical" if embedder == "lexical" else "embedding"
    if space not in SPACES:
        if Path(space).suffix not in (".npy", ".npz"):
            near = get_close_matches(space, SPACES, n=1)
            guess = f"did you mean `{near[0]}`? " if near else ""
            raise PoolError(
                f"there is no space `{space}`",
                f"{guess}name {', '.join(SPACES)}, or an .npy file of your own rows",
            )
        _say_unused(line, "embeddings", embeddings)
        embeddings, space = space, "embedding"
    if space == "lexical":
        _say_unused(line, "embeddings", embeddings)
        _say_unused(line, "embedder", None if embedder == "lexical" else embedder)
        return lexical_features(line, pool, seed, threads)
    if embedder == "lexical":
        raise PoolError(
            f"`lexical` is a space of its own, and the space asked for is `{space}`",
            "leave out `--embedder`, or `--space`",
        )
    if embeddings is not None:
        _say_unused(line, "embedder", embedder)
        embedder = None
    if space == "auto":
        from ds2_fast.auto_space import choose_features

        return choose_features(
            line,
            pool,
            _needed(scores),
            embeddings=embeddings,
            embedder=embedder,
            offline=offline,
            seed=seed,
            threads=threads,
        )
    if embeddings is not None:
        semantic = given_features(line, pool, embeddings)
    else:
        name = embedder or DEFAULT_EMBEDDER
        model = open_model(line, name, offline=offline, threads=threads)
        semantic = embed_pool(line, pool, model, name)
    if space == "embedding":
        return semantic
    return join_features(line, semantic, lexical_features(line, pool, seed, threads))


def _needed(scores: Scores | None) -> Scores:
    if scores is None:
        raise PoolError(
            "`--space auto` compares spaces by the scores, and here none are read",
            "name a space: embedding, lexical or hybrid",
        )
    return scores


def _say_unused(line: Line, option: str, value: object) -> None:
    if value is not None:
        line.narrator.warn(f"`--{option}` is not used: the space asked for does not need it")


def given_features(line: Line, pool: Pool, embeddings: str | Path | NDArray[Any]) -> Features:
    """Read the features that the user has.

    Args:
        line: is told what was read.
        pool: the pool they belong to.
        embeddings: array, `.npy` file or list column.

    Raises:
        PoolError: if they do not fit the pool.
    """
    from ds2_fast.pool import read_embeddings

    given = read_embeddings(pool, embeddings)
    for notice in given.notices:
        line.narrator.warn(notice)
    line.narrator.done("features", given.verdict)
    source = "array" if isinstance(embeddings, np.ndarray) else str(embeddings)
    return Features(given.values, artifacts.digest_array(given.values), "given", source)


def open_model(line: Line, name: str, *, offline: bool, threads: int | None) -> Embedder:
    """Open an embedding model, and say what is to be known of it.

    Args:
        line: is told about downloads.
        name: model name, folder or hub id.
        offline: open no socket.
        threads: at most so many.

    Raises:
        ModelError: if it cannot be had.
    """
    from ds2_fast.embedding import load_embedder

    with line.narrator.stage("model", "bytes") as fetched:
        embedder = load_embedder(name, offline=offline, threads=threads, progress=fetched)
    for note in embedder.notes:
        line.narrator.warn(note)
    return embedder


def embed_pool(line: Line, pool: Pool, embedder: Embedder, name: str) -> Features:
    """Embed every sample of a pool, going on where an interrupted run stopped.

    Args:
        line: where the rows are kept.
        pool: the pool.
        embedder: the model.
        name: by which it was opened.
    """
    from ds2_fast.embedding import write_embeddings

    partial = line.run.path / "embeddings.partial.npy"

    def compute(progress: Progress) -> Path:
        write_embeddings(embedder, pool.texts(), partial, progress=progress)
        return partial

    stage = line.stage(
        "embedding",
        artifacts.EMBEDDINGS,
        compute,
        inputs={"texts": pool.digest(), "embedder": embedder.key},
        params={"dtype": "float16"},
        unit="samples",
        told=lambda rows: (
            f"embedded {len(rows):,} samples with {embedder.name}, {rows.shape[1]} dimensions"
        ),
    )
    again = str(Path(name).absolute()) if Path(name).exists() else name
    return Features(
        stage.value,
        stage.digest,
        "embedding",
        embedder.name,
        embedder=(again, embedder.key),
    )


def lexical_features(line: Line, pool: Pool, seed: int, threads: int | None) -> Features:
    """Place every sample in the lexical space of the pool.

    Args:
        line: where the rows are kept.
        pool: the pool.
        seed: of the random projection.
        threads: at most so many.
    """
    from ds2_fast.lexical import embed_lexical

    stage = line.stage(
        "lexical",
        artifacts.LEXICAL,
        lambda progress: embed_lexical(pool.texts(), seed=seed, threads=threads, progress=progress),
        inputs={"texts": pool.digest()},
        params={"seed": seed},
        unit="samples",
        told=lambda rows: (
            f"made lexical features of {len(rows):,} samples, {rows.shape[1]} dimensions"
        ),
    )
    blank = int(np.count_nonzero(~np.any(stage.value, axis=1)))
    if blank:
        line.narrator.warn(
            f"{blank:,} of {len(pool):,} samples share no word with any other: in the "
            "lexical space they have no neighbors"
        )
    return Features(
        stage.value, stage.digest, "lexical", "TF-IDF + SVD of the pool", allow_zero=True
    )


def join_features(line: Line, semantic: Features, lexical: Features) -> Features:
    """Join a semantic and the lexical space with equal weight.

    Args:
        line: where the rows are kept.
        semantic: embedded or given.
        lexical: of the same pool.
    """
    from ds2_fast.lexical import hybrid

    stage = line.stage(
        "hybrid",
        artifacts.HYBRID,
        lambda progress: hybrid(semantic.rows, lexical.rows, progress=progress),
        inputs={"embedding": semantic.digest, "lexical": lexical.digest},
        params={"weight": 1.0},
        unit="samples",
        told=lambda rows: f"joined both spaces, {rows.shape[1]} dimensions",
    )
    return Features(
        stage.value,
        stage.digest,
        "hybrid",
        f"{semantic.source} + lexical",
        allow_zero=True,
        embedder=semantic.embedder,
    )
