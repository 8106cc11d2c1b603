"""Take a model folder into the cache: export what needs it, check it, store it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from ds2_fast.embedding.bert import BertCheckpoint, read_bert
from ds2_fast.embedding.bert_graph import build_bert_graph
from ds2_fast.embedding.folder import read_json
from ds2_fast.embedding.network import (
    SAFETENSORS,
    belongs_to_model,
    choose_network,
    list_files,
    weight_files,
)
from ds2_fast.embedding.opening import ModelFiles
from ds2_fast.embedding.selftest import check_model
from ds2_fast.embedding.store import CachedModel, ModelStore
from ds2_fast.errors import ModelError


def import_model(
    folder: Path,
    name: str,
    *,
    store: ModelStore,
    source: Mapping[str, str],
    network: str | None = None,
    named: bool = False,
    replace: bool = False,
) -> CachedModel:
    """Check a model and copy it into the cache under a name.

    A `model.safetensors` of a BERT is written as an ONNX graph, `model.onnx`, and the checkpoint
    itself is not copied. Nothing appears in the cache before all checks have passed.

    Args:
        folder: the model folder.
        name: name in the cache.
        store: the cache.
        source: where the folder came from, for the record.
        network: the file that holds the network, as a path inside the folder; None to choose an
            ONNX file or else `model.safetensors`. An ONNX file with an unusual name must be given.
        named: the user chose this network, so a dynamic int8 graph is what they want.
        replace: put the model in the place of one that has the name already; without it that one
            is kept and returned.

    Raises:
        ModelError: a file is missing or not valid, the network cannot be exported, the package
            `onnx` is missing, or the checked vectors are wrong.
    """
    files = list_files(folder)
    chosen = choose_network(files, str(folder)) if network is None else network
    if chosen not in files:
        raise ModelError(f"`{folder}` has no `{chosen}`")
    with store.staging() as staged:
        for file in filter(belongs_to_model, files):
            _copy(folder / file, staged / file)
        onnx, checkpoint = _stage_network(folder, staged, chosen, name)
        embedder = check_model(ModelFiles(name, staged, staged / onnx, named), checkpoint)
        return store.admit(
            staged,
            name,
            source=source,
            onnx=onnx,
            named=named,
            dim=embedder.dim,
            max_length=embedder.max_length,
            replace=replace,
        )


def export_bert(folder: Path, target: Path, name: str) -> BertCheckpoint:
    """Write the ONNX graph of a folder's `config.json` and `model.safetensors`.

    Returns:
        The checkpoint, to check the graph with.

    Raises:
        ModelError: the network is not a plain BERT, or the package `onnx` is missing.
    """
    config = read_json(folder / "config.json", required=True)
    checkpoint = read_bert(config, folder / SAFETENSORS, name)
    target.write_bytes(build_bert_graph(checkpoint).SerializeToString(deterministic=True))
    return checkpoint


def _stage_network(
    folder: Path, staged: Path, chosen: str, name: str
) -> tuple[str, BertCheckpoint | None]:
    """Bring the network into the staged folder; return its ONNX file and the checkpoint, if any."""
    if chosen == SAFETENSORS:
        return "model.onnx", export_bert(folder, staged / "model.onnx", name)
    for file in (chosen, *weight_files(chosen, list_files(folder))):
        _copy(folder / file, staged / file)
    return chosen, None


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
