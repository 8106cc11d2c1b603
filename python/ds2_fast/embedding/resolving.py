"""Find a model by what the user wrote: a folder, a cached name, a name of the hub."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

from ds2_fast.embedding.bert_graph import GRAPH_VERSION
from ds2_fast.embedding.hub import fetch_model, is_hub_id, short_name
from ds2_fast.embedding.hub_files import HubError
from ds2_fast.embedding.importing import import_model
from ds2_fast.embedding.network import SAFETENSORS, belongs_to_model, choose_network, list_files
from ds2_fast.embedding.opening import ModelFiles, sha256_file
from ds2_fast.embedding.store import CachedModel, ModelStore
from ds2_fast.errors import ModelError
from ds2_fast.progress import Progress, silent


def resolve_model(
    name_or_dir: str | os.PathLike[str],
    *,
    store: ModelStore,
    offline: bool = False,
    onnx_file: str | None = None,
    progress: Progress = silent,
) -> ModelFiles:
    """Find a model.

    In this order: an existing folder, or an `.onnx` file with `tokenizer.json` beside it or one
    folder up; a name in the cache; a name of the hub, which is fetched into the cache first.

    Args:
        name_or_dir: folder, file, or name.
        store: the cache.
        offline: open no socket.
        onnx_file: the ONNX file of the model to use, as a path inside its folder.
        progress: called with `(done, total)` bytes of a download.

    Raises:
        ModelError: nothing was found, with what was tried; or what was found cannot be used.
    """
    name = os.fspath(name_or_dir)
    path = Path(name).expanduser()
    if path.suffix == ".onnx" and path.is_file():
        return _resolve_file(path)
    if path.is_dir():
        return _resolve_folder(path, store, onnx_file)
    entry = cache_entry(name, onnx_file)
    cached = store.find(entry)
    if cached is None:
        cached = _fetch(name, entry, store, offline=offline, onnx_file=onnx_file, progress=progress)
    return cached.model_files()


def at_hand(name_or_dir: str | os.PathLike[str], store: ModelStore | None = None) -> bool:
    """Say whether a model can be opened without a download, an export, or a file written.

    Args:
        name_or_dir: folder, file, or name.
        store: the cache; None for the usual one.
    """
    name, store = os.fspath(name_or_dir), store or ModelStore()
    path = Path(name).expanduser()
    if path.suffix == ".onnx" and path.is_file():
        return True
    if not path.is_dir():
        return store.find(cache_entry(name, None)) is not None
    if choose_network(list_files(path), str(path)) != SAFETENSORS:
        return True
    return store.find(f"{path.resolve().name}:{_digest_folder(path)[:16]}") is not None


def cache_entry(name: str, onnx_file: str | None) -> str:
    """Return the name in the cache: each graph of one repository is a model of its own."""
    short = short_name(name)
    return short if onnx_file is None else f"{short}:{onnx_file}"


def _resolve_file(path: Path) -> ModelFiles:
    for folder in (path.parent, path.parent.parent):
        if (folder / "tokenizer.json").exists():
            return ModelFiles(name=path.name, path=folder, onnx=path, named=True)
    raise ModelError(f"there is no tokenizer.json beside `{path}`")


def _resolve_folder(path: Path, store: ModelStore, onnx_file: str | None) -> ModelFiles:
    """Use a folder where it is; one without an ONNX file goes through the cache."""
    name = path.resolve().name
    if onnx_file is not None:
        if not (path / onnx_file).is_file():
            raise ModelError(f"`{path}` has no file `{onnx_file}`")
        return ModelFiles(name=name, path=path, onnx=path / onnx_file, named=True)
    chosen = choose_network(list_files(path), str(path))
    if chosen != SAFETENSORS:
        return ModelFiles(name=name, path=path, onnx=path / chosen)
    # The content is in the name, so a changed folder is exported anew.
    entry = f"{name}:{_digest_folder(path)[:16]}"
    cached = store.find(entry) or import_model(
        path, entry, store=store, source={"folder": str(path.resolve())}
    )
    return cached.model_files(name)


def _digest_folder(path: Path) -> str:
    """Return a digest of the files of a model that decide its vectors, and of the exporter."""
    digest = hashlib.sha256(str(GRAPH_VERSION).encode())
    for file in sorted(list_files(path)):
        if belongs_to_model(file) or file == SAFETENSORS:
            digest.update(f"{file} {sha256_file(path / file)}\n".encode())
    return digest.hexdigest()


def _fetch(
    name: str,
    entry: str,
    store: ModelStore,
    *,
    offline: bool,
    onnx_file: str | None,
    progress: Progress,
) -> CachedModel:
    if is_hub_id(name):
        try:
            return fetch_model(
                name,
                store=store,
                cached_as=entry,
                onnx_file=onnx_file,
                offline=offline,
                progress=progress,
            )
        except HubError as error:
            reason = error.message
            cause: Exception | None = error
    else:
        reason = "it is not a name of the hub either"
        cause = None
    raise ModelError(
        f"there is no embedding model `{name}`: not a folder here, not in the cache "
        f"`{store.folder}`, and {reason}",
        hint=f"{_nearest(name, store)}give a model's folder (config.json, tokenizer.json, "
        "model.safetensors or onnx/model.onnx); or, where there is a network, `ds2-fast model "
        "fetch`; or use the lexical space (`--space lexical`), which needs no model",
    ) from cause


def _nearest(name: str, store: ModelStore) -> str:
    """Ask for the cached model whose name is nearest, if one is near."""
    names = ["lexical"]
    with suppress(ModelError):  # a damaged entry is not what this is about
        names += [model.name for model in store.models()]
    close = get_close_matches(name, names, n=1)
    return f"did you mean `{close[0]}`? or " if close else ""
