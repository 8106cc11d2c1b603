"""Which file of a model holds its network, and which other files belong to the model."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from ds2_fast.errors import ModelError

SAFETENSORS = "model.safetensors"

# Where sentence-transformers and optimum write the float32 graph.
_ONNX_FILES = ("onnx/model.onnx", "model.onnx")
_SMALL_FILES = re.compile(
    r"(config|tokenizer|tokenizer_config|modules|config_sentence_transformers|sentence_[\w-]+_config)"
    r"\.json"
    # The modules after the network, for example 1_Pooling/config.json, 2_Dense/model.safetensors.
    r"|\d+_\w+/(config\.json|model\.safetensors)"
)


def belongs_to_model(file: str) -> bool:
    """Say whether a file, by its path inside the folder, decides vectors beside the network."""
    return _SMALL_FILES.fullmatch(file) is not None


def choose_network(files: Collection[str], where: str) -> str:
    """Choose the file that holds the network: an ONNX file, or else safetensors.

    Only the usual names of the float32 graph count, so no quantized or specialized variant is ever
    picked up.

    Args:
        files: paths inside the folder.
        where: the folder or repository, for the message.

    Raises:
        ModelError: there is neither.
    """
    for file in (*_ONNX_FILES, SAFETENSORS):
        if file in files:
            return file
    if SAFETENSORS + ".index.json" in files:
        reason = "its weights are split over several files"
    else:
        found = sorted(file for file in files if file.endswith((".onnx", ".bin", ".h5", ".pt")))
        reason = f"it has only {', '.join(found)}" if found else "it has no weights"
    raise ModelError(
        f"`{where}` holds neither {_ONNX_FILES[0]} nor {SAFETENSORS}: {reason}",
        hint="export the model to ONNX; or name one of its ONNX files: "
        "`ds2-fast model import DIR --onnx-file FILE`",
    )


def list_files(folder: Path) -> set[str]:
    """Return the files of a model folder, two levels deep, as paths inside it."""
    found = (*folder.glob("*"), *folder.glob("*/*"))
    return {path.relative_to(folder).as_posix() for path in found if path.is_file()}


def weight_files(onnx: str, files: Collection[str]) -> list[str]:
    """Return the files beside an ONNX file that hold weights of it, by the usual names."""
    return [onnx + ending for ending in ("_data", ".data") if onnx + ending in files]
