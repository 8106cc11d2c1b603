"""Open a model on disk: put tokenizer, network and configuration together, and name the result."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ds2_fast.embedding.encoder import Embedder
from ds2_fast.embedding.folder import ModelFolder, read_model_folder
from ds2_fast.embedding.network import weight_files
from ds2_fast.embedding.onnx_engine import TOKEN_BUDGET, OnnxEngine, has_dynamic_int8
from ds2_fast.embedding.pooling import Dense
from ds2_fast.embedding.tokens import TextTokenizer
from ds2_fast.errors import ModelError

VECTOR_VERSION = 1
"""Part of every key; raised when this package changes a vector by more than rounding."""


@dataclass(frozen=True)
class ModelFiles:
    """A model on disk, found but not yet opened.

    Attributes:
        name: what the user calls it.
        path: the model's folder.
        onnx: the network's file.
        named: the user named this ONNX file, so a dynamic int8 graph is what they want.
        cached_as: name of its entry in the cache; empty where the folder is the user's.
        digests: known sha256 of files, by path relative to the folder; files that differ are
            damaged.
    """

    name: str
    path: Path
    onnx: Path
    named: bool = False
    cached_as: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)


def open_embedder(
    files: ModelFiles,
    *,
    max_length: int | None = None,
    prompt: str | None = None,
    threads: int | None = None,
) -> Embedder:
    """Open a model that was found on disk; see `load_embedder` for the options."""
    folder = read_model_folder(files.path)
    length = _choose_length(folder, files.name, max_length)
    prefix = folder.prompt if prompt is None else prompt
    notes = [*folder.notes, *_check_int8(files)]
    digests = _digest_files(files)
    tokenizer = TextTokenizer(
        files.path / "tokenizer.json", max_length=length, prompt=prefix, lowercase=folder.lowercase
    )
    engine = OnnxEngine(
        files.onnx,
        pooling=folder.pooling,
        pad_id=folder.pad_id,
        threads=count_threads() if threads is None else threads,
    )
    if prefix and engine.pools and not folder.include_prompt:
        raise ModelError(
            f"{files.name} leaves its prompt out of the pooling, which is not supported"
        )
    dense = folder.dense if engine.pools else ()
    parts = {
        "version": VECTOR_VERSION,
        "files": digests,
        "max_length": length,
        "prompt": prefix,
        "lowercase": folder.lowercase,
        "pad_id": folder.pad_id,
        "pooling": folder.pooling if engine.pools else "graph",
        "dense": [_digest_dense(layer) for layer in dense],
        "budget": TOKEN_BUDGET,
    }
    return Embedder(
        files.name,
        hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest(),
        tokenizer=tokenizer,
        engine=engine,
        dense=dense,
        max_length=length,
        notes=notes,
    )


def count_threads() -> int:
    """Return the processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def sha256_file(path: Path) -> str:
    """Return the sha256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _choose_length(folder: ModelFolder, name: str, asked: int | None) -> int:
    if asked is None:
        return folder.max_length
    if folder.positions is not None and asked > folder.positions:
        raise ModelError(
            f"a length of {asked} tokens is more than the {folder.positions} that {name} takes",
            hint=f"ask for at most {folder.positions}",
        )
    return asked


def _check_int8(files: ModelFiles) -> list[str]:
    """Refuse a dynamic int8 graph that nobody asked for; warn of one that was asked for."""
    if not has_dynamic_int8(files.onnx):
        return []
    warning = (
        f"`{files.onnx.name}` quantizes activations by the batch: the vector of a text depends on "
        "the texts beside it (cosine down to 0.98)"
    )
    if files.named:
        return [warning]
    raise ModelError(
        warning,
        hint="use a float32 file of the model; or, if this one is wanted, give its own path, or "
        "`ds2-fast model import DIR --onnx-file FILE`",
    )


def _digest_files(files: ModelFiles) -> dict[str, str]:
    """Return sha256 of the network and the tokenizer; compare with what is known."""
    paths = {"network": files.onnx, "tokenizer": files.path / "tokenizer.json"}
    beside = [path.name for path in files.onnx.parent.iterdir()]
    for index, name in enumerate(weight_files(files.onnx.name, beside)):
        paths[f"weights {index}"] = files.onnx.with_name(name)
    for path in paths.values():
        if not path.exists():
            raise ModelError(f"`{files.path}` has no `{path.name}`")
    recorded = {files.path / file: digest for file, digest in files.digests.items()}
    digests = {path: sha256_file(path) for path in {*paths.values(), *recorded}}
    for path, known in recorded.items():
        if digests[path] != known:
            raise ModelError(
                f"the cached model `{files.cached_as}` is damaged: `{path.name}` has changed",
                hint=f"ds2-fast model remove {files.cached_as}, then fetch or import it again",
            )
    return {part: digests[path] for part, path in paths.items()}


def _digest_dense(layer: Dense) -> str:
    digest = hashlib.sha256(layer.activation.encode())
    digest.update(repr(layer.weight.shape).encode())
    digest.update(layer.weight.tobytes())
    digest.update(layer.bias.tobytes())
    return digest.hexdigest()
