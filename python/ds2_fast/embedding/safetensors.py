"""Read a `.safetensors` file: named tensors, upcast to float32."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import ModelError

FloatTensors = dict[str, NDArray[np.float32]]

# A header of 100 MB would describe a million tensors; the format's own readers stop there too.
_MAX_HEADER_BYTES = 100_000_000
_FLOAT_TYPES: dict[str, str] = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_LENGTH = struct.Struct("<Q")


def read_safetensors(path: Path) -> FloatTensors:
    """Read every floating-point tensor of a safetensors file as float32.

    The format is an 8-byte little-endian header length, a JSON header `name -> dtype, shape,
    data_offsets`, and the tensors' bytes. Integer tensors (`position_ids` and the like) carry no
    weights and are left out. F32 tensors are views of the memory-mapped file; F16, BF16 and F64
    are converted.

    Args:
        path: the file.

    Returns:
        float32 arrays by name, in the order of the header.

    Raises:
        ModelError: the file is not safetensors, is cut short, or holds a float type other than
            F64, F32, F16 and BF16.
    """
    size = path.stat().st_size
    data = np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)
    header, start = _read_header(path, data)
    tensors: FloatTensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            dtype, shape = entry["dtype"], [int(length) for length in entry["shape"]]
            begin, end = (start + int(offset) for offset in entry["data_offsets"])
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"`{path}` is damaged: tensor `{name}` has no valid header") from error
        if dtype.startswith(("I", "U", "BOOL")):
            continue
        if not start <= begin <= end <= size:
            raise ModelError(
                f"`{path}` is damaged: tensor `{name}` ends at byte {end} of {size}",
                hint="the file was probably cut short; fetch it again",
            )
        tensors[name] = _decode(path, name, dtype, shape, data[begin:end])
    return tensors


def _read_header(path: Path, data: NDArray[np.uint8]) -> tuple[dict[str, Any], int]:
    """Return the JSON header and the offset of the first tensor byte."""
    if data.size >= _LENGTH.size:
        (length,) = _LENGTH.unpack(data[: _LENGTH.size].tobytes())
        start = _LENGTH.size + length
        if start <= min(_MAX_HEADER_BYTES, data.size):
            try:
                header = json.loads(data[_LENGTH.size : start].tobytes())
            except ValueError:
                header = None
            if isinstance(header, dict):
                return header, start
    raise ModelError(
        f"`{path}` is not a safetensors file: it has no valid header",
        hint="a text file of a few lines in its place is a Git LFS pointer; fetch the file itself",
    )


def _decode(
    path: Path, name: str, dtype: str, shape: list[int], raw: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Turn the bytes of one tensor into a float32 array of its shape."""
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32.
        values = (raw.view("<u2").astype("<u4") << 16).view("<f4")
    elif dtype in _FLOAT_TYPES:
        values = raw.view(np.dtype(_FLOAT_TYPES[dtype]))
    else:
        raise ModelError(
            f"`{path}`: tensor `{name}` has type {dtype}; F64, F32, F16 and BF16 are read"
        )
    if values.size != int(np.prod(shape, dtype=np.int64)):
        raise ModelError(
            f"`{path}` is damaged: tensor `{name}` of shape {shape} has {values.size} values"
        )
    return values.reshape(shape).astype(np.float32, copy=False)
