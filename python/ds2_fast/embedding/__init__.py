"""Texts to unit rows: sentence-transformers models through onnxruntime, without torch."""

from __future__ import annotations

import os

from ds2_fast.embedding.encoder import BLOCK_ROWS, Embedder
from ds2_fast.embedding.opening import open_embedder
from ds2_fast.embedding.resolving import resolve_model
from ds2_fast.embedding.store import ModelStore
from ds2_fast.embedding.token_counts import count_tokens
from ds2_fast.embedding.writing import open_embeddings, write_embeddings
from ds2_fast.progress import Progress, silent

__all__ = [
    "BLOCK_ROWS",
    "DEFAULT_MODEL",
    "Embedder",
    "count_tokens",
    "load_embedder",
    "open_embeddings",
    "write_embeddings",
]

DEFAULT_MODEL = "all-MiniLM-L6-v2"


def load_embedder(
    name_or_dir: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    offline: bool = False,
    onnx_file: str | None = None,
    max_length: int | None = None,
    prompt: str | None = None,
    threads: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Progress = silent,
) -> Embedder:
    """Find a model, fetch or export it if need be, and open it.

    Args:
        name_or_dir: a model folder in the layout of sentence-transformers, or an `.onnx` file in
            one; a name in the cache; a name of the hub, `owner/name` or `owner/name@revision`.
        offline: open no socket; `HF_HUB_OFFLINE=1` means the same.
        onnx_file: use this ONNX file of the model, as a path inside its folder. The only way to a
            dynamically quantized one, whose vectors depend on the texts embedded together.
        max_length: tokens kept of a text, the special ones included; None for the model's own.
        prompt: prefix of every text; None for the model's default prompt, mostly none.
        threads: callers of the network; None for all processors. Never changes a vector.
        cache_dir: cache folder of ds2-fast; None for `$DS2_FAST_CACHE` or the system's.
        progress: called with `(done, total)` bytes while a model is downloaded.

    Returns:
        The model, ready to embed.

    Raises:
        ModelError: no such model, or it cannot be fetched, exported or run; see the message.

    Cost: reading and checking the model's files; the first time also its download and export.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, got {threads}")
    files = resolve_model(
        name_or_dir,
        store=ModelStore(cache_dir),
        offline=offline,
        onnx_file=onnx_file,
        progress=progress,
    )
    return open_embedder(files, max_length=max_length, prompt=prompt, threads=threads)
