"""Folders of causal language models: which file is the network, and what config.json says."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ds2_fast.embedding.folder import read_json
from ds2_fast.embedding.network import list_files, weight_files
from ds2_fast.embedding.opening import sha256_file
from ds2_fast.errors import ModelError

_USUAL = ("onnx/model.onnx", "model.onnx")
_LIMITS = (
    "n_positions", "max_position_embeddings", "n_ctx", "max_sequence_length", "max_seq_len",
    "seq_length",
)  # fmt: skip
_HINT = (
    "export the model with optimum: `optimum-cli export onnx --task text-generation --model NAME "
    "FOLDER`"
)


@dataclass(frozen=True)
class LmFolder:
    """A causal language model on disk, found but not yet opened.

    Attributes:
        name: what the user calls it.
        path: its folder.
        onnx: the file of the network.
        config: the parsed `config.json`.
        positions: the longest text the network takes, in tokens; None if the folder does not say.
    """

    name: str
    path: Path
    onnx: Path
    config: Mapping[str, Any]
    positions: int | None

    @property
    def tokenizer(self) -> Path:
        """The file of the tokenizer."""
        return self.path / "tokenizer.json"

    def digest(self) -> str:
        """Sha256 in hex of the network, its weights and the tokenizer (about 1 GB/s)."""
        beside = [file.name for file in self.onnx.parent.iterdir()]
        weights = [self.onnx.with_name(name) for name in weight_files(self.onnx.name, beside)]
        parts = [sha256_file(file) for file in (self.onnx, *weights, self.tokenizer)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def find_lm(name_or_dir: str | os.PathLike[str]) -> LmFolder:
    """Find the network and the settings of a causal language model.

    Args:
        name_or_dir: a folder with `config.json`, `tokenizer.json` and `onnx/model.onnx` or
            `model.onnx` (or one single `model*.onnx` in either place); or an ONNX file in one.

    Raises:
        ModelError: there is no such folder, or a file is missing.
    """
    path = Path(os.fspath(name_or_dir)).expanduser()
    if path.is_file() and path.suffix == ".onnx":
        folder = path.parent if (path.parent / "config.json").exists() else path.parent.parent
        onnx, name = path, f"{folder.resolve().name}/{path.name}"
    elif path.is_dir():
        folder, onnx, name = path, path / _choose(path), path.resolve().name
    else:
        raise ModelError(
            f"there is no language model `{name_or_dir}`: neither a folder nor an .onnx file",
            "give a folder with config.json, tokenizer.json and onnx/model.onnx",
        )
    config = read_json(folder / "config.json", required=True)
    return LmFolder(name, folder, onnx, config, _positions(config))


def _choose(folder: Path) -> str:
    files = list_files(folder)
    for file in _USUAL:
        if file in files:
            return file
    others = sorted(
        file
        for file in files
        if file.endswith(".onnx") and file.removeprefix("onnx/").startswith("model")
    )
    if len(others) == 1:
        return others[0]
    if others:
        raise ModelError(
            f"`{folder}` holds several networks and no model.onnx: {', '.join(others)}",
            f"name the one to use: `{folder / others[0]}`",
        )
    raise ModelError(f"`{folder}` holds neither onnx/model.onnx nor model.onnx", _HINT)


def _positions(config: Mapping[str, Any]) -> int | None:
    limits = [config.get(name) for name in _LIMITS]
    known = [limit for limit in limits if isinstance(limit, int) and limit > 0]
    return min(known) if known else None
