"""Model folders in the layout of sentence-transformers: what their small files say."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ds2_fast.embedding.pooling import ACTIVATIONS, POOLING_MODES, Dense, PoolingMode
from ds2_fast.embedding.safetensors import read_safetensors
from ds2_fast.errors import ModelError

# Position 0 of these networks is `pad_token_id + 1`, so that many positions are never used.
_OFFSET_POSITIONS = {"roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "data2vec-text"}
# `sentence_bert_config.json` and its older siblings, one a network.
_LENGTH_FILES = re.compile(r"^sentence_[\w-]+_config\.json$")
# tokenizer_config.json writes 10^30 where nobody set a limit.
_NO_LIMIT = 10**6


@dataclass(frozen=True)
class ModelFolder:
    """What decides the vectors of a model, but for its network and its tokenizer.

    Attributes:
        path: the folder.
        config: the parsed `config.json`.
        max_length: tokens kept of a text, the special ones included; never more than `positions`.
        positions: the longest input of the network, or None where it has no limit.
        pad_id: id of the padding token.
        lowercase: texts are lowercased before they are tokenized.
        pooling: modes of pooling, at least one.
        include_prompt: the tokens of the prompt take part in the pooling.
        prompt: prefix of every text, mostly empty.
        dense: layers after the pooling, in order.
        notes: what the folder leaves open and how it was read; sentences for the user.
    """

    path: Path
    config: dict[str, Any]
    max_length: int
    positions: int | None
    pad_id: int
    lowercase: bool
    pooling: tuple[PoolingMode, ...]
    include_prompt: bool
    prompt: str
    dense: tuple[Dense, ...]
    notes: tuple[str, ...]


def read_model_folder(path: Path) -> ModelFolder:
    """Read `config.json`, `modules.json` and the files of the modules of a model folder.

    A folder without `modules.json` is read as a bare network with mean pooling, and a note says
    so. Every folder's vectors end at unit length, whether it lists a Normalize module or not.

    Raises:
        ModelError: a file is missing or is not valid, or names something we do not compute: a
            module, a pooling mode, an activation, truncation from the left.
    """
    config = read_json(path / "config.json", required=True)
    length_file = _read_length_file(path)
    tokenizer = read_json(path / "tokenizer_config.json")
    if tokenizer.get("truncation_side", "right") != "right":
        raise ModelError(f"`{path}` truncates texts from the left, which is not supported")
    positions = _positions(config)
    pooling, include_prompt, dense, notes = _read_modules(path)
    return ModelFolder(
        path=path,
        config=config,
        max_length=_max_length(path, length_file, tokenizer, positions),
        positions=positions,
        pad_id=int(config.get("pad_token_id") or 0),
        lowercase=bool(length_file.get("do_lower_case", False)),
        pooling=pooling,
        include_prompt=include_prompt,
        prompt=_read_prompt(path),
        dense=dense,
        notes=notes,
    )


def read_json(path: Path, *, required: bool = False) -> dict[str, Any]:
    """Read a JSON object; a file that is absent and not required reads as an empty one.

    Raises:
        ModelError: the file is required and absent, or does not hold a JSON object.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        if not required:
            return {}
        raise ModelError(
            f"`{path.parent}` is not a model folder: it has no `{path.name}`",
            hint="a model folder holds config.json, tokenizer.json, and model.safetensors or "
            "an ONNX file",
        ) from error
    except ValueError as error:
        raise ModelError(f"`{path}` is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"`{path}` must hold a JSON object")
    return value


def _read_length_file(path: Path) -> dict[str, Any]:
    names = sorted(file.name for file in path.iterdir() if _LENGTH_FILES.match(file.name))
    if "sentence_bert_config.json" in names:
        return read_json(path / "sentence_bert_config.json")
    return read_json(path / names[0]) if names else {}


def _positions(config: dict[str, Any]) -> int | None:
    """Return the longest input of the network."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        return None
    if config.get("model_type") in _OFFSET_POSITIONS:
        return positions - int(config.get("pad_token_id") or 0) - 1
    return positions


def _max_length(
    path: Path, length_file: dict[str, Any], tokenizer: dict[str, Any], positions: int | None
) -> int:
    """Return the tokens kept of a text.

    `max_seq_length` decides, and without it the tokenizer's limit; both end at the positions of
    the network. The truncation stored in tokenizer.json is left over from training and ignored.
    """
    own = length_file.get("max_seq_length") or tokenizer.get("model_max_length")
    limits = [int(limit) for limit in (own, positions) if limit and limit < _NO_LIMIT]
    if not limits:
        raise ModelError(
            f"`{path}` does not say how many tokens its model takes",
            hint='write {"max_seq_length": 512} to its `sentence_bert_config.json`',
        )
    return min(limits)


def _read_prompt(path: Path) -> str:
    """Return the default prompt of `config_sentence_transformers.json`, mostly empty."""
    config = read_json(path / "config_sentence_transformers.json")
    name = config.get("default_prompt_name")
    if name is None:
        return ""
    prompt = (config.get("prompts") or {}).get(name)
    if not isinstance(prompt, str):
        raise ModelError(f"`{path}` names the default prompt `{name}` but does not define it")
    return prompt


def _read_modules(
    path: Path,
) -> tuple[tuple[PoolingMode, ...], bool, tuple[Dense, ...], tuple[str, ...]]:
    """Read the modules after the network: pooling, dense layers, normalization."""
    file = path / "modules.json"
    if not file.exists():
        note = f"`{path.name}` has no modules.json: its token vectors are averaged"
        return ("mean",), True, (), (note,)
    try:
        modules = json.loads(file.read_bytes())
        steps = [(step["type"].rpartition(".")[2], path / step["path"]) for step in modules]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"`{file}` is not a list of modules") from error
    pooling: tuple[PoolingMode, ...] | None = None
    include_prompt = True
    dense: list[Dense] = []
    for index, (kind, where) in enumerate(steps):
        if kind == "Pooling" and pooling is None:
            pooling, include_prompt = _read_pooling(where)
        elif kind == "Dense" and pooling is not None:
            dense.append(_read_dense(where))
        # Dropout acts in training alone; unit length is where every model ends here.
        elif kind not in ("Normalize", "Dropout") and not (kind == "Transformer" and index == 0):
            raise ModelError(
                f"`{file}` lists the module `{kind}` at place {index}, which is not supported"
            )
    if pooling is None:
        raise ModelError(f"`{file}` lists no Pooling module")
    return pooling, include_prompt, tuple(dense), ()


def _read_pooling(path: Path) -> tuple[tuple[PoolingMode, ...], bool]:
    """Read the modes of a Pooling module, in either of its two spellings."""
    config = read_json(path / "config.json", required=True)
    named = config.get("pooling_mode")
    if named is None:
        asked = {
            key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
            for key, on in config.items()
            if key.startswith("pooling_mode_") and on
        }
    else:
        asked = {named} if isinstance(named, str) else set(named)
    unknown = sorted(asked - set(POOLING_MODES))
    if unknown or not asked:
        what = f"the mode `{unknown[0]}`, which is not supported" if unknown else "no mode"
        raise ModelError(
            f"`{path / 'config.json'}` asks for {what}; known are {', '.join(POOLING_MODES)}"
        )
    modes = tuple(mode for mode in POOLING_MODES if mode in asked)
    return modes, bool(config.get("include_prompt", True))


def _read_dense(path: Path) -> Dense:
    config = read_json(path / "config.json", required=True)
    activation = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    if activation not in ACTIVATIONS:
        raise ModelError(
            f"`{path / 'config.json'}` asks for the activation `{activation}`; known are "
            + ", ".join(ACTIVATIONS)
        )
    weights = path / "model.safetensors"
    if not weights.exists():
        raise ModelError(f"the dense layer `{path}` has no model.safetensors")
    tensors = read_safetensors(weights)
    weight = tensors.get("linear.weight")
    if weight is None or len(weight.shape) != len(("out", "in")):
        raise ModelError(f"`{weights}` holds no matrix `linear.weight`")
    bias = tensors.get("linear.bias", np.zeros(weight.shape[0], np.float32))
    if bias.shape != (weight.shape[0],):
        raise ModelError(
            f"`{weights}`: `linear.bias` has shape {bias.shape}, expected {weight.shape[:1]}"
        )
    return Dense(np.ascontiguousarray(weight.T), bias, activation)
